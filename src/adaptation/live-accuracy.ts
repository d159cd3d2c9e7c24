/**
 * How often what the daemon itself said of a task was right: the predictions it served for windows
 * within a labelled trial, against the label, which it did not know then. Nothing is computed
 * again: these are the answers that subscribers got.
 */
import type { Prediction } from '../core/events.js';
import { Prequential, type Proportion } from './prequential.js';

interface Span {
  readonly id: number;
  readonly label: string;
  readonly startS: number;
  readonly endS: number;
}

/** Windows lie on a 0.25 s grid, trials where they were marked. */
const slackS = 0.13;
/** Answers to a trial's windows are in when one of so much later is. */
const afterS = 1;
const predictionsMax = 1000;
const spansMax = 64;

export class LiveAccuracy {
  readonly #outcomes = new Prequential();
  readonly #predictions: Pick<Prediction, 'windowStartS' | 'windowEndS' | 'probabilities'>[] = [];
  #waiting: Span[] = [];

  /** A trial was labelled; it is judged when the answers of its windows are in. */
  labelled(span: Span): void {
    this.#waiting.push(span);
    if (this.#waiting.length > spansMax) this.#waiting.shift();
  }

  forget(id: number): void {
    this.#waiting = this.#waiting.filter((span) => span.id !== id);
    this.#outcomes.forget(id);
  }

  predicted({ windowStartS, windowEndS, probabilities }: Prediction): void {
    this.#predictions.push({ windowStartS, windowEndS, probabilities });
    if (this.#predictions.length > predictionsMax) this.#predictions.shift();
    const done = this.#waiting.filter(({ endS }) => windowEndS > endS + afterS);
    if (done.length === 0) return;
    this.#waiting = this.#waiting.filter((span) => !done.includes(span));
    for (const span of done) this.#judge(span);
  }

  accuracy(): Proportion & { readonly total: number; readonly correct: number } {
    return this.#outcomes.accuracy();
  }

  /** By the largest mean log-probability. A trial without an answer is not counted. */
  #judge({ id, label, startS, endS }: Span): void {
    const own = this.#predictions.filter(
      (one) => one.windowStartS >= startS - slackS && one.windowEndS <= endS + slackS,
    );
    if (own.length === 0) return;
    const sums = new Map<string, number>();
    for (const { probabilities } of own)
      for (const [name, value] of Object.entries(probabilities))
        sums.set(name, (sums.get(name) ?? 0) + Math.log(Math.max(value, 1e-9)));
    const [best] = [...sums].reduce((a, b) => (b[1] > a[1] ? b : a));
    this.#outcomes.add(id, best === label);
  }
}
