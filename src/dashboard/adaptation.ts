/**
 * Teaching a task while the headset is worn: name it and its classes, mark what happens as it
 * happens (buttons, or Alt and a digit), watch labels and accuracy, keep or take back what was
 * learned.
 */
import type { Snapshot } from '../client/client.js';
import { ActionLine } from './actions.js';
import { button, h, humanName, panel, setText } from './dom.js';
import type { Feed, PageEvent, Panel } from './feed.js';
import { Guide } from './guide.js';

type Body = Readonly<Record<string, unknown>>;

export class Adaptation implements Panel {
  readonly element: HTMLElement;
  readonly #feed: Feed;
  readonly #line = new ActionLine();
  readonly #state = h('span', { class: 'summary' });
  readonly #labels = h('div', { class: 'label-buttons' });
  readonly #counts = h('ul', { class: 'counts' });
  readonly #progress = h('progress', { max: '1', 'aria-label': 'Learning' });
  readonly #facts = h('p', { class: 'facts' });
  readonly #form: HTMLFormElement;
  readonly #running: HTMLElement;
  readonly #intro = h(
    'p',
    { class: 'hint' },
    'Name something you will do with the headset on, then mark it as you do it. ' +
      'New experts learn it while everything else goes on unchanged.',
  );
  readonly #guide: Guide;
  #classes: readonly string[] = [];
  #body: Body = {};

  constructor(feed: Feed) {
    this.#feed = feed;
    const { element, body } = panel('adaptation', 'Teach a task', this.#state);
    this.element = element;
    this.#guide = new Guide({
      label: async (label, durationS) => {
        const answer = await this.#feed.call('adapt.label', { args: { label, durationS } });
        this.#show(answer);
        return answer;
      },
      onEnd: (failure) => {
        if (failure === undefined) this.#line.say('the guide was stopped; labels are kept');
        else this.#line.say(failure, 'failed');
      },
    });
    this.#form = this.#startForm();
    this.#running = h(
      'div',
      { class: 'running' },
      this.#labels,
      this.#counts,
      this.#progress,
      this.#facts,
      h(
        'div',
        { class: 'pair' },
        button('Guide me', () => this.#guide.start(this.#classes, this.#body)),
        button('Undo label', () => this.#command('adapt.undo', 'Label taken back')),
        button('Activate', () => this.#command('adapt.commit', 'Activated')),
        button('Roll back', () => this.#command('adapt.rollback', 'Taken out again')),
      ),
    );
    this.#running.hidden = true;
    body.append(this.#intro, this.#form, this.#running, this.#line.element);
    document.body.append(this.#guide.element);
    document.addEventListener('keydown', (event) => this.#key(event));
  }

  onSnapshot(_: Snapshot, stream: string | undefined): void {
    if (stream === undefined) return;
    this.#feed.call('adapt.status', { args: { stream } }).then(
      (body) => this.#show(body),
      () => {},
    );
  }

  onEvent(event: PageEvent): void {
    if (event.kind === 'adaptation') this.#show(event.body);
  }

  #startForm(): HTMLFormElement {
    const name = h('input', {
      name: 'task',
      required: true,
      placeholder: 'fists',
      pattern: '[a-z0-9][a-z0-9._\\-]*',
    });
    const classes = h('input', {
      name: 'classes',
      required: true,
      placeholder: 'left, right, rest',
    });
    const submit = (event: Event) => {
      event.preventDefault();
      this.#start(name.value.trim(), classes.value);
    };
    return h(
      'form',
      { onsubmit: submit },
      h('label', {}, 'Task', name),
      h('label', {}, 'Classes', classes),
      h('button', { type: 'submit' }, 'Start'),
    );
  }

  #start(task: string, text: string): void {
    const classes = text
      .split(',')
      .map((each) => each.trim())
      .filter((each) => each !== '');
    const { stream } = this.#feed;
    void this.#line.run(this.element, 'Starting', async () => {
      const body = await this.#feed.call('adapt.start', {
        args: { task, classes, ...(stream && { stream }) },
      });
      this.#setClasses(classes);
      this.#show(body);
      return 'mark what happens as it happens: Alt+1, Alt+2, ...';
    });
  }

  #label(label: string): void {
    const { stream } = this.#feed;
    this.#feed.call('adapt.label', { args: { label, ...(stream && { stream }) } }).then(
      (body) => {
        this.#show(body);
        this.#line.say(`marked ${label}`);
      },
      (error: unknown) => this.#line.say(String(error), 'failed'),
    );
  }

  #command(name: 'adapt.undo' | 'adapt.commit' | 'adapt.rollback', done: string): void {
    void this.#line.run(this.element, 'Working', async () => {
      this.#show(await this.#feed.call(name, { args: {} }));
      return done;
    });
  }

  #key(event: KeyboardEvent): void {
    const at = event.altKey ? Number(event.key) - 1 : Number.NaN;
    const label = this.#classes[at];
    if (label === undefined) return;
    event.preventDefault();
    this.#label(label);
  }

  #setClasses(classes: readonly string[]): void {
    if (classes.join() === this.#classes.join()) return;
    this.#classes = classes;
    this.#labels.replaceChildren(
      ...classes.map((label, i) =>
        button(humanName(label), () => this.#label(label), { 'data-key': `${i + 1}` }),
      ),
    );
  }

  /** Shows what there is of state, classes, labels, progress, accuracy and reason. */
  #show(body: Body): void {
    this.#body = body;
    if (this.#guide.running) this.#guide.show(body);
    const { state, classes, labels, progress, accuracy, accuracyLow, accuracyHigh, detail } = body;
    const running = typeof state === 'string' && state !== 'idle';
    setText(this.#state, typeof state === 'string' ? state.replaceAll('_', ' ') : '');
    this.#form.hidden = running;
    this.#intro.hidden = running;
    this.#running.hidden = !running;
    if (Array.isArray(classes)) this.#setClasses(classes.map(String));
    this.#counts.replaceChildren(...countRows(labels));
    this.#progress.hidden = typeof progress !== 'number';
    if (typeof progress === 'number') this.#progress.value = progress;
    const facts = [
      ...(typeof accuracy === 'number' ? [accuracyText(accuracy, accuracyLow, accuracyHigh)] : []),
      ...(typeof body.live === 'string'
        ? [`served: ${body.live} right${intervalText(body.liveLow, body.liveHigh)}`]
        : []),
      ...(typeof detail === 'string' ? [detail] : []),
    ];
    setText(this.#facts, facts.join(' · '));
  }
}

function countRows(labels: unknown): HTMLElement[] {
  if (typeof labels !== 'object' || labels === null) return [];
  return Object.entries(labels).map(([label, count]) =>
    h('li', {}, h('span', {}, humanName(label)), h('strong', {}, String(count))),
  );
}

function accuracyText(accuracy: number, low: unknown, high: unknown): string {
  return `accuracy ${percent(accuracy)} %${intervalText(low, high)}`;
}

function intervalText(low: unknown, high: unknown): string {
  if (typeof low !== 'number' || typeof high !== 'number') return '';
  return ` (95 %: ${percent(low)}–${percent(high)})`;
}

function percent(share: number): string {
  return `${Math.round(share * 100)}`;
}
