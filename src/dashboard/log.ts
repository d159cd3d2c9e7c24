/** What happened: onsets and ends, markers, streams lost and found, checkpoints. Newest first. */
import type { Snapshot } from '../client/client.js';
import { clockText, h, humanName, panel } from './dom.js';
import type { Feed, PageEvent, Panel } from './feed.js';
import { viewOf } from './tasks.js';

const rowsMax = 60;

export class EventLog implements Panel {
  readonly element: HTMLElement;
  readonly #list = h('ol', { class: 'log', role: 'log', 'aria-label': 'Events', tabindex: '0' });
  readonly #feed: Feed;
  readonly #states = new Map<string, string>();

  #wallMinusLslS = Date.now() / 1000 - performance.now() / 1000;

  constructor(feed: Feed) {
    this.#feed = feed;
    const { element, body } = panel('events', 'Events');
    this.element = element;
    body.append(this.#list);
  }

  onSnapshot({ tasks, streams }: Snapshot, stream: string | undefined): void {
    this.#list.replaceChildren();
    const status = streams.find((each) => each.stream === stream);
    // Both clocks at one moment: the last sample of a stream that flows is a moment old.
    const lastS = status?.state === 'streaming' ? status.lastSampleS : null;
    if (lastS !== null) this.#wallMinusLslS = Date.now() / 1000 - lastS;
    const task = tasks.find((each) => viewOf(each) === 'events')?.name ?? tasks[0]?.name;
    if (stream === undefined || task === undefined) return;
    this.#feed.call('history', { stream, task, limit: 1 }).then(
      ({ events }) => {
        if (this.#feed.stream === stream) for (const event of events) this.onEvent(event);
      },
      () => {},
    );
  }

  onEvent(event: PageEvent): void {
    const line = this.#line(event);
    if (line === undefined) return;
    const [what, text, kind] = line;
    const stampS = 'stampS' in event ? event.stampS : undefined;
    const wallS = stampS === undefined ? undefined : this.#wallMinusLslS + stampS;
    const at = wallS === undefined ? new Date() : new Date(wallS * 1000);
    const time = clockText(at.getHours() * 3600 + at.getMinutes() * 60 + at.getSeconds());
    this.#list.prepend(
      h('li', { 'data-kind': kind }, h('time', {}, time), h('span', {}, what), h('span', {}, text)),
    );
    this.#list.children[rowsMax]?.remove();
  }

  #line(event: PageEvent): [what: string, text: string, kind: string] | undefined {
    switch (event.kind) {
      case 'event':
        return [humanName(event.task), `${humanName(event.label)} ${event.phase}s`, event.phase];
      case 'marker':
        return ['Marker', event.text, 'marker'];
      case 'checkpoint':
        return ['Checkpoint', `${event.checkpoint} ${event.phase.replace('_', ' ')}`, event.phase];
      case 'recording': {
        const { id, phase, detail = '' } = event;
        return ['Recording', `${id} ${phase} ${detail}`.trim(), phase];
      }
      case 'status': {
        const before = this.#states.get(event.stream);
        this.#states.set(event.stream, event.state);
        if (before === undefined || before === event.state) return undefined;
        return ['Stream', `${event.name} ${event.state}`, event.state];
      }
      default:
        return undefined;
    }
  }
}
