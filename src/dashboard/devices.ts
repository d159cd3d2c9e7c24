/** Amplifiers that can be connected, the streams that are, and their recordings. */
import type { Snapshot } from '../client/client.js';
import type { CommandResult } from '../server/protocol.js';
import { ActionLine } from './actions.js';
import { button, h, panel } from './dom.js';
import type { Feed, PageEvent, Panel } from './feed.js';

type Device = CommandResult<'devices.list'>['devices'][number];
type Status = Snapshot['streams'][number];

export class Devices implements Panel {
  readonly element: HTMLElement;
  readonly #feed: Feed;
  readonly #streams = h('ul', { class: 'rows' });
  readonly #devices = h('ul', { class: 'rows' });
  readonly #line = new ActionLine();
  readonly #status = new Map<string, Status>();
  readonly #recordings = new Map<string, string>();

  constructor(feed: Feed) {
    this.#feed = feed;
    const { element, body } = panel(
      'devices',
      'Devices',
      button('Search', () => this.#search()),
    );
    this.element = element;
    body.append(this.#streams, this.#devices, this.#line.element);
  }

  onSnapshot({ streams }: Snapshot): void {
    this.#feed.call('recordings.list').then(
      ({ recordings }) => this.#setRecordings(recordings),
      () => {},
    );
    this.#status.clear();
    for (const status of streams) this.#status.set(status.stream, status);
    this.#showStreams();
    void this.#refresh();
  }

  onEvent(event: PageEvent): void {
    if (event.kind === 'recording') this.#follow(event);
    if (event.kind !== 'status') return;
    const before = this.#status.get(event.stream);
    this.#status.set(event.stream, event);
    if (before?.state !== event.state || before.lostSamples !== event.lostSamples) {
      this.#showStreams();
      if (before?.state !== event.state) void this.#refresh();
    }
  }

  /** Recordings are anybody's to start and stop: what is shown is what the daemon says. */
  #follow({ stream, id, phase, detail }: Extract<PageEvent, { kind: 'recording' }>): void {
    if (phase === 'started') this.#recordings.set(stream, id);
    else if (this.#recordings.get(stream) === id) this.#recordings.delete(stream);
    if (phase === 'failed') this.#line.say(`the recording failed: ${detail}`, 'failed');
    this.#showStreams();
  }

  #setRecordings(recordings: CommandResult<'recordings.list'>['recordings']): void {
    this.#recordings.clear();
    for (const { stream, id, running } of recordings) if (running) this.#recordings.set(stream, id);
    this.#showStreams();
  }

  #refresh(): Promise<void> {
    return this.#feed.call('devices.list').then(
      ({ devices }) => this.#showDevices(devices),
      () => {},
    );
  }

  #search(): void {
    const action = async () => {
      const { devices } = await this.#feed.call('devices.list');
      this.#showDevices(devices);
      return devices.length === 1 ? '1 device' : `${devices.length} devices`;
    };
    void this.#line.run(this.element, 'Searching', action);
  }

  #showStreams(): void {
    this.#streams.replaceChildren(...[...this.#status.values()].map((each) => this.#stream(each)));
  }

  #stream({ stream, name, state, channels, nominalRateHz, lostSamples, detail }: Status) {
    const facts = [
      `${channels.length} channels`,
      `${nominalRateHz} Hz`,
      ...(lostSamples > 0 ? [`${lostSamples} samples lost`] : []),
      ...(detail === undefined ? [] : [detail]),
    ];
    const over = state === 'ended' || state === 'failed';
    const recording = this.#recordings.get(stream);
    const record =
      recording === undefined
        ? button('Record', () => this.#record(stream), { 'aria-label': `Record ${name}` })
        : button('Stop recording', () => this.#stop(recording), {
            class: 'on',
            'aria-label': `Stop recording ${name}`,
          });
    const drop = button('Disconnect', () => this.#disconnect(stream), {
      'aria-label': `Disconnect ${name}`,
    });
    return h(
      'li',
      { 'data-stream': stream },
      h(
        'div',
        {},
        h('strong', {}, name),
        h('span', { class: `tag ${state === 'streaming' ? 'active' : 'warn'}` }, state),
        h('small', {}, facts.join(' · ')),
      ),
      ...(over ? [] : [h('span', { class: 'pair' }, record, drop)]),
    );
  }

  #showDevices(devices: readonly Device[]): void {
    const free = devices.filter(({ connected }) => !connected);
    this.#devices.replaceChildren(
      ...free.map(({ address, name, detail, driver }) =>
        h(
          'li',
          { 'data-address': address },
          h('div', {}, h('strong', {}, name), h('small', {}, `${driver} · ${detail}`)),
          button('Connect', () => this.#connect(address, name), {
            'aria-label': `Connect ${name}`,
          }),
        ),
      ),
    );
  }

  #connect(address: string, name: string): void {
    const action = async () => {
      const { stream } = await this.#feed.call('devices.connect', { address });
      await this.#refresh();
      return `${name} is connected as ${stream}`;
    };
    void this.#line.run(this.element, `Connecting ${name}`, action);
  }

  #disconnect(stream: string): void {
    const action = async () => {
      await this.#feed.call('devices.disconnect', { stream });
      await this.#refresh();
      return `${stream} is disconnected`;
    };
    void this.#line.run(this.element, `Disconnecting ${stream}`, action);
  }

  #record(stream: string): void {
    const action = async () => {
      const { id } = await this.#feed.call('recordings.start', { stream });
      return `recording to ${id}`;
    };
    void this.#line.run(this.element, 'Starting', action);
  }

  #stop(id: string): void {
    const action = async () => {
      const { samples } = await this.#feed.call('recordings.stop', { recording: id });
      return `recorded ${samples} samples to ${id}`;
    };
    void this.#line.run(this.element, 'Ending', action);
  }
}
