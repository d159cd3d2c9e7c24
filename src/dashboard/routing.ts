/** Which experts each task uses now: tasks by experts for every MoE block. */
import type { Snapshot } from '../client/client.js';
import { h, humanName, panel, setText } from './dom.js';
import type { PageEvent, Panel } from './feed.js';

type Routing = Snapshot['routing'];

export class RoutingMap implements Panel {
  readonly element: HTMLElement;
  readonly #body: HTMLElement;
  readonly #legend = h('span', { class: 'summary' });
  #shape = '';
  #cells: HTMLElement[] = [];

  constructor() {
    const { element, body } = panel('routing', 'Expert routing', this.#legend);
    this.element = element;
    this.#body = body;
  }

  onSnapshot({ routing, tasks }: Snapshot): void {
    this.#show(
      routing,
      tasks.map(({ name }) => name),
    );
  }

  onEvent(event: PageEvent): void {
    if (event.kind === 'engine') this.#show(event.routing, event.tasks);
  }

  #show(routing: Routing, tasks: readonly string[]): void {
    const experts = routing[0]?.[0]?.length ?? 0;
    const shape = JSON.stringify([routing.length, tasks, experts]);
    if (shape !== this.#shape) {
      this.#shape = shape;
      this.#build(routing.length, tasks, experts);
    }
    const shares = routing.flat(2);
    for (const [i, cell] of this.#cells.entries()) {
      const share = shares[i] ?? 0;
      cell.style.setProperty('--v', share.toFixed(4));
      const percent = `${Math.round(share * 100)} %`;
      cell.setAttribute('aria-label', percent);
      cell.title = percent;
    }
  }

  #build(blocks: number, tasks: readonly string[], experts: number): void {
    this.#cells = [];
    setText(
      this.#legend,
      experts === 0 ? '' : `${blocks} blocks × ${experts} experts, share of tokens`,
    );
    if (experts === 0) {
      this.#body.replaceChildren(
        h('p', { class: 'empty' }, 'This checkpoint is dense: no experts'),
      );
      return;
    }
    const maps = Array.from({ length: blocks }, (_, block) => this.#map(block, tasks, experts));
    this.#body.replaceChildren(h('div', { class: 'maps' }, ...maps));
  }

  #map(block: number, tasks: readonly string[], experts: number): HTMLElement {
    const numbers = Array.from({ length: experts }, (_, e) =>
      h('th', { scope: 'col' }, `${e + 1}`),
    );
    const rows = tasks.map((task) => {
      const cells = Array.from({ length: experts }, () => h('td'));
      this.#cells.push(...cells);
      return h('tr', {}, h('th', { scope: 'row' }, humanName(task)), ...cells);
    });
    return h(
      'table',
      {},
      h('caption', {}, `MoE block ${block + 1}`),
      h('thead', {}, h('tr', {}, h('td'), ...numbers)),
      h('tbody', {}, ...rows),
    );
  }
}
