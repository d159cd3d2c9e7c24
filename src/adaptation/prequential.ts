/**
 * Accuracy by test-then-train: every labelled trial is predicted before anything learns from it
 * (Dawid 1984), so each prediction is of a trial the model has never seen.
 */

export interface Proportion {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** Wilson's score interval (1927) of `correct` out of `total`; z = 1.96 for 95 %. */
export function wilson(correct: number, total: number, z = 1.96): Proportion {
  if (total === 0) return { value: Number.NaN, low: 0, high: 1 };
  const share = correct / total;
  const z2 = (z * z) / total;
  const middle = (share + z2 / 2) / (1 + z2);
  const half = (z / (1 + z2)) * Math.sqrt((share * (1 - share)) / total + z2 / (4 * total));
  return { value: share, low: Math.max(0, middle - half), high: Math.min(1, middle + half) };
}

/**
 * Trials still needed, at the accuracy seen so far, until its interval lies above chance; 0 when it
 * does already, Infinity while what was seen is no better than chance.
 */
export function trialsNeeded(correct: number, total: number, chance: number): number {
  if (wilson(correct, total).low > chance && total > 0) return 0;
  const share = total === 0 ? Number.NaN : correct / total;
  if (!(share > chance)) return Number.POSITIVE_INFINITY;
  let low = total;
  let high = 2 * Math.max(1, total);
  while (wilson(share * high, high).low <= chance) {
    if (high > 1e6) return Number.POSITIVE_INFINITY;
    high *= 2;
  }
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (wilson(share * middle, middle).low > chance) high = middle;
    else low = middle;
  }
  return high - total;
}

export class Prequential {
  readonly #outcomes: { readonly trial: number; readonly correct: boolean }[] = [];

  /** A trial is tested once: told again to a learner that was started anew, it says nothing new. */
  add(trial: number, correct: boolean): void {
    if (this.#outcomes.some((outcome) => outcome.trial === trial)) return;
    this.#outcomes.push({ trial, correct });
  }

  /** A trial that was taken back or named otherwise says nothing any more. */
  forget(trial: number): void {
    const at = this.#outcomes.findIndex((outcome) => outcome.trial === trial);
    if (at >= 0) this.#outcomes.splice(at, 1);
  }

  /** Over the last `last` outcomes; all where absent. */
  accuracy(
    last = this.#outcomes.length,
  ): Proportion & { readonly total: number; readonly correct: number } {
    const outcomes = last === 0 ? [] : this.#outcomes.slice(-last);
    const correct = outcomes.reduce((sum, outcome) => sum + (outcome.correct ? 1 : 0), 0);
    return { ...wilson(correct, outcomes.length), total: outcomes.length, correct };
  }
}
