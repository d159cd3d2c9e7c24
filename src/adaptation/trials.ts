/**
 * Guided calibration: which class comes next, and when. Classes come in shuffled blocks with each
 * class equally often, so that counts are balanced whenever one stops, and nobody can tell the
 * next trial from the last. The pause varies, so that nothing is locked to a rhythm.
 */
import type { Rng } from '../core/rng.js';

export interface TrialTiming {
  /** The cue is shown; nothing is done yet. */
  readonly cueS: number;
  /** The task is done; this is what is labelled. */
  readonly taskS: number;
  readonly restS: number;
  /** The rest is longer by 0 to this. */
  readonly restJitterS: number;
}

export const defaultTiming: TrialTiming = { cueS: 1.5, taskS: 4, restS: 2, restJitterS: 1.5 };

export interface GuidedTrial {
  /** Counts from 0. */
  readonly number: number;
  readonly label: string;
  /** Seconds after the trial's begin. */
  readonly taskAtS: number;
  readonly restAtS: number;
  readonly endS: number;
}

/** Of each class in a block: one alone would let the last trial of a block be foreseen. */
const perBlock = 2;
/** Below this many trials of a class no accuracy is worth its interval. */
const perClassMin = 10;

export class TrialSchedule {
  readonly #classes: readonly string[];
  readonly #rng: Rng;
  readonly #timing: TrialTiming;
  #block: string[] = [];
  #number = 0;

  constructor(classes: readonly string[], rng: Rng, timing: TrialTiming = defaultTiming) {
    this.#classes = classes;
    this.#rng = rng;
    this.#timing = timing;
  }

  next(): GuidedTrial {
    if (this.#block.length === 0) {
      const block = this.#classes.flatMap((label) => new Array<string>(perBlock).fill(label));
      this.#block = this.#rng.shuffle(block);
    }
    const { cueS, taskS, restS, restJitterS } = this.#timing;
    const restAtS = cueS + taskS;
    return {
      number: this.#number++,
      label: this.#block.pop() as string,
      taskAtS: cueS,
      restAtS,
      endS: restAtS + restS + restJitterS * this.#rng.uniform(),
    };
  }
}

/**
 * Trials of each class still needed: up to the least with which learning begins, then as many as
 * the accuracy seen so far asks for (`wanted`, over all classes).
 */
export function stillNeeded(
  counts: Readonly<Record<string, number>>,
  wanted: number,
): Record<string, number> {
  const share = Number.isFinite(wanted) ? Math.ceil(wanted / Object.keys(counts).length) : 0;
  const fill = (count: number) => Math.max(0, perClassMin - count);
  return Object.fromEntries(
    Object.entries(counts).map(([label, count]) => [label, Math.max(fill(count), share)]),
  );
}
