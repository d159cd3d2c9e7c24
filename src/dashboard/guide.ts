/**
 * Guided calibration: a dialog over the page that says what to do and when (cue, do, rest), marks
 * each trial as its task begins, and tells how many are still needed. Classes come in shuffled,
 * balanced blocks and the rests vary, so that nobody can foresee the next trial.
 */
import { defaultTiming, type GuidedTrial, TrialSchedule } from '../adaptation/trials.js';
import { Rng } from '../core/rng.js';
import { button, h, humanName, setText } from './dom.js';

type Body = Readonly<Record<string, unknown>>;

export interface GuideOptions {
  /** Marks what begins now. Resolves with the status. */
  readonly label: (label: string, durationS: number) => Promise<Body>;
  /** The guide ended; why, where it was not the person's wish. */
  readonly onEnd: (failure?: string) => void;
}

export class Guide {
  readonly element: HTMLDialogElement;
  readonly #options: GuideOptions;
  readonly #phase = h('p', { class: 'phase', 'aria-live': 'assertive' });
  readonly #what = h('p', { class: 'what' });
  readonly #bar = h('progress', { max: '1', 'aria-label': 'Time left in this phase' });
  readonly #needed = h('p', { class: 'facts' });
  #schedule: TrialSchedule | undefined;
  #timers: ReturnType<typeof setTimeout>[] = [];
  #ticker: ReturnType<typeof setInterval> | undefined;

  constructor(options: GuideOptions) {
    this.#options = options;
    this.element = h(
      'dialog',
      { class: 'guide', 'aria-label': 'Guided calibration' },
      this.#phase,
      this.#what,
      this.#bar,
      this.#needed,
      button('Stop', () => this.stop()),
    );
    this.element.addEventListener('cancel', (event) => {
      event.preventDefault();
      this.stop();
    });
  }

  get running(): boolean {
    return this.#schedule !== undefined;
  }

  start(classes: readonly string[], body: Body): void {
    const [seed = 1] = crypto.getRandomValues(new Uint32Array(1));
    this.#schedule = new TrialSchedule(classes, new Rng(seed), defaultTiming);
    this.show(body);
    this.element.showModal();
    this.#trial();
  }

  /** What is still needed, from the adaptation's status. */
  show({ needed, accuracy }: Body): void {
    const counts = Object.entries((needed ?? {}) as Record<string, number>);
    const open = counts.filter(([, count]) => count > 0);
    const text = open.map(([label, count]) => `${humanName(label)} ${count}`).join(', ');
    const rate = typeof accuracy === 'number' ? `${Math.round(100 * accuracy)} % right so far` : '';
    const enough = counts.length > 0 && open.length === 0 ? 'enough; more makes it surer' : '';
    const told = [text === '' ? enough : `still needed: ${text}`, rate];
    setText(this.#needed, told.filter((part) => part !== '').join(' · '));
  }

  stop(failure?: string): void {
    if (!this.running) return;
    this.#schedule = undefined;
    for (const timer of this.#timers.splice(0)) clearTimeout(timer);
    clearInterval(this.#ticker);
    this.element.close();
    this.#options.onEnd(failure);
  }

  #trial(): void {
    const trial = this.#schedule?.next();
    if (trial === undefined) return;
    const { taskAtS, restAtS, endS, label } = trial;
    this.#enter('ready', `Get ready: ${humanName(label)}`, label, taskAtS);
    this.#timers = [
      setTimeout(() => this.#begin(trial), 1000 * taskAtS),
      setTimeout(() => this.#enter('rest', 'Rest', '', endS - restAtS), 1000 * restAtS),
      setTimeout(() => this.#trial(), 1000 * endS),
    ];
  }

  #begin({ label, taskAtS, restAtS }: GuidedTrial): void {
    const durationS = restAtS - taskAtS;
    this.#enter('now', 'Now', label, durationS);
    this.#options.label(label, durationS).then(
      (body) => this.show(body),
      (error: unknown) => this.stop(error instanceof Error ? error.message : String(error)),
    );
  }

  #enter(phase: 'ready' | 'now' | 'rest', text: string, label: string, seconds: number): void {
    this.element.dataset.phase = phase;
    setText(this.#phase, text);
    setText(this.#what, label === '' ? '–' : humanName(label));
    const beganMs = performance.now();
    this.#bar.value = 0;
    clearInterval(this.#ticker);
    this.#ticker = setInterval(() => {
      this.#bar.value = Math.min(1, (performance.now() - beganMs) / (1000 * seconds));
    }, 100);
  }
}
