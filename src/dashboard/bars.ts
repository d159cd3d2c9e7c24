/** The present state of each task as bars of its classes: motor imagery, workload, the user's own. */
import type { Snapshot } from '../client/client.js';
import { h, humanName, panel, setText } from './dom.js';
import type { PageEvent, Panel } from './feed.js';
import type { Task } from './tasks.js';

interface Card {
  readonly element: HTMLElement;
  readonly label: HTMLElement;
  readonly note: HTMLElement;
  readonly rows: ReadonlyMap<string, { readonly row: HTMLElement; readonly share: HTMLElement }>;
}

export class TaskBars implements Panel {
  readonly element: HTMLElement;
  readonly #body: HTMLElement;
  readonly #cards = new Map<string, Card>();
  #stream: string | undefined;

  constructor() {
    const { element, body } = panel('now', 'Now');
    this.element = element;
    this.#body = body;
  }

  onSnapshot({ tasks, latest }: Snapshot, stream: string | undefined): void {
    this.#stream = stream;
    this.#cards.clear();
    for (const task of tasks) this.#cards.set(task.name, card(task));
    this.#body.replaceChildren(...[...this.#cards.values()].map(({ element }) => element));
    for (const event of latest) this.onEvent(event);
  }

  onEvent(event: PageEvent): void {
    if (event.kind !== 'prediction' && event.kind !== 'no_prediction') return;
    const found = this.#cards.get(event.task);
    if (found === undefined || event.stream !== this.#stream) return;
    const isThere = event.kind === 'prediction';
    found.element.classList.toggle('none', !isThere);
    if (!isThere) {
      setText(found.label, '—');
      setText(found.note, event.reason.replaceAll('_', ' '));
      return;
    }
    setText(found.label, humanName(event.label));
    setText(found.note, event.validity < 1 ? `${Math.round(event.validity * 100)} % valid` : '');
    for (const [name, { row, share }] of found.rows) {
      const p = event.smoothed[name] ?? 0;
      row.style.setProperty('--p', String(p));
      row.classList.toggle('top', name === event.label);
      setText(share, `${Math.round(p * 100)}`);
    }
  }
}

function card(task: Task): Card {
  const label = h('strong', {}, '—');
  const note = h('small', {}, 'no prediction yet');
  const rows = new Map(
    task.classes.map((name) => {
      const share = h('span', { class: 'share' }, '0');
      const bar = h('span', { class: 'bar', 'aria-hidden': 'true' });
      const row = h('li', {}, h('span', { class: 'name' }, humanName(name)), bar, share);
      row.style.setProperty('--chance', String(1 / task.classes.length));
      return [name, { row, share }] as const;
    }),
  );
  const head = h('div', { class: 'head' }, h('h3', {}, humanName(task.name)), note, label);
  const list = h('ul', {}, ...[...rows.values()].map(({ row }) => row));
  return { element: h('article', { class: 'task none' }, head, list), label, note, rows };
}
