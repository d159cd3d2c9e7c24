/** Installed checkpoints, which one serves, swap and roll-back. */
import type { CommandResult } from '../server/protocol.js';
import { ActionLine } from './actions.js';
import { button, h, humanName, panel } from './dom.js';
import type { Feed, PageEvent, Panel } from './feed.js';

type Checkpoint = CommandResult<'checkpoints.list'>['checkpoints'][number];

export class Checkpoints implements Panel {
  readonly element: HTMLElement;
  readonly #feed: Feed;
  readonly #list = h('ul', { class: 'rows' });
  readonly #line = new ActionLine();
  readonly #rollback = button('Roll back', () => this.#rollBack());

  constructor(feed: Feed) {
    this.#feed = feed;
    const { element, body } = panel('checkpoints', 'Checkpoints', this.#rollback);
    this.element = element;
    body.append(this.#list, this.#line.element);
  }

  onSnapshot(): void {
    this.#refresh();
  }

  onEvent(event: PageEvent): void {
    if (event.kind !== 'checkpoint') return;
    const detail = event.detail === undefined ? '' : `: ${event.detail}`;
    const kind = event.phase === 'failed' ? 'failed' : 'done';
    this.#line.say(`${event.checkpoint} ${event.phase.replace('_', ' ')}${detail}`, kind);
    this.#refresh();
  }

  #refresh(): void {
    this.#feed.call('checkpoints.list').then(
      ({ checkpoints }) => this.#show(checkpoints),
      () => {},
    );
  }

  #show(checkpoints: readonly Checkpoint[]): void {
    this.#rollback.disabled = checkpoints.every(({ previous }) => !previous);
    this.#list.replaceChildren(...checkpoints.map((each) => this.#row(each)));
  }

  #row({ checkpoint, active, previous, trained, parameters, tasks }: Checkpoint): HTMLElement {
    const tags = [
      ...(active ? [h('span', { class: 'tag active' }, 'serving')] : []),
      ...(previous ? [h('span', { class: 'tag' }, 'previous')] : []),
      ...(trained ? [] : [h('span', { class: 'tag warn' }, 'untrained')]),
    ];
    const size = `${(parameters / 1e6).toFixed(1)} M parameters`;
    const about = h('small', {}, [size, ...tasks.map(humanName)].join(' · '));
    const swap = button('Swap in', () => this.#swap(checkpoint), {
      'aria-label': `Swap in ${checkpoint}`,
    });
    return h(
      'li',
      { 'data-checkpoint': checkpoint },
      h('div', {}, h('strong', {}, checkpoint), ...tags, about),
      ...(active ? [] : [swap]),
    );
  }

  #swap(checkpoint: string): void {
    const action = async () => {
      await this.#feed.call('checkpoints.load', { checkpoint });
      const { previous } = await this.#feed.call('checkpoints.activate', { checkpoint });
      return `${checkpoint} serves${previous === undefined ? '' : `, ${previous} is kept`}`;
    };
    void this.#line.run(this.element, `Loading ${checkpoint}`, action).then(() => this.#refresh());
  }

  #rollBack(): void {
    const action = async () => {
      const { checkpoint } = await this.#feed.call('checkpoints.rollback');
      return `rolled back: ${checkpoint} serves`;
    };
    void this.#line.run(this.element, 'Rolling back', action).then(() => this.#refresh());
  }
}
