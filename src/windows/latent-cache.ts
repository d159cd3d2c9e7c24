/**
 * The latents of one stream's last seconds, computed once by the trunk and shared by all tasks,
 * and beside them the averages over past windows that tasks with context look back at. Belongs
 * to one checkpoint; what was before it, few remembered seconds tell. Bounded: the oldest second
 * is overwritten, the oldest average dropped.
 */
import type { NoPredictionReason } from '../core/events.js';
import { gridSamples, patchSamples } from '../core/tasks.js';
import { History, meanLatents } from './history.js';
import type { PastSecond } from './past.js';

export interface CacheShape {
  /** Floats of one second: latents times width. */
  readonly floats: number;
  /** Seconds on the 0.25 s grid to hold: the longest window, in ticks. */
  readonly ticks: number;
}

/** How a task looks back. */
export interface LooksBack {
  /** Averages to keep. */
  readonly contextsMax: number;
  /** From a window of its context to the next. */
  readonly stepSamples: number;
}

interface Remembered extends Pick<PastSecond, 'endSample' | 'usableSamples'> {
  readonly latents: Float32Array;
}

export class LatentCache {
  readonly #shape: CacheShape;
  readonly #latents: Float32Array;
  /** End sample held in each slot, -1 = none. */
  readonly #ends: Float64Array;
  /** Share of channels that were good in each slot's second. */
  readonly #usable: Float32Array;
  /** Why a held second is unusable. */
  readonly #reasons: (NoPredictionReason | undefined)[];
  /** Per task: end sample of a past window to the average of its usable seconds. */
  readonly #contexts = new Map<number, Map<number, Float32Array>>();
  readonly #histories = new Map<number, History>();
  #remembered: readonly Remembered[] = [];

  constructor(shape: CacheShape) {
    this.#shape = shape;
    this.#latents = new Float32Array(shape.ticks * shape.floats);
    this.#ends = new Float64Array(shape.ticks).fill(-1);
    this.#usable = new Float32Array(shape.ticks);
    this.#reasons = new Array<NoPredictionReason | undefined>(shape.ticks);
  }

  /** Keep the second ending at `endSample`; `share` (> 0) of its channels is good. */
  put(endSample: number, share: number, latents: Float32Array): void {
    const slot = this.#slot(endSample);
    this.#ends[slot] = endSample;
    this.#usable[slot] = share;
    this.#reasons[slot] = undefined;
    this.#latents.set(latents, slot * this.#shape.floats);
  }

  putUnusable(endSample: number, reason: NoPredictionReason): void {
    const slot = this.#slot(endSample);
    this.#ends[slot] = endSample;
    this.#usable[slot] = 0;
    this.#reasons[slot] = reason;
  }

  /** Why the second cannot be used; undefined where it can. */
  reason(endSample: number): NoPredictionReason | undefined {
    const slot = this.#slot(endSample);
    return this.#ends[slot] === endSample ? this.#reasons[slot] : 'warming_up';
  }

  /** Share of good channels in the second; 0 where it is unusable or not held. */
  share(endSample: number): number {
    const slot = this.#slot(endSample);
    return this.#ends[slot] === endSample ? (this.#usable[slot] ?? 0) : 0;
  }

  /** The second's latents (a view), or undefined where it is unusable or not held. */
  get(endSample: number): Float32Array | undefined {
    if (this.share(endSample) === 0) return undefined;
    const at = this.#slot(endSample) * this.#shape.floats;
    return this.#latents.subarray(at, at + this.#shape.floats);
  }

  /** A second of before this checkpoint; to be given before any window. */
  remember({ endSample, usableSamples }: PastSecond, latents: Float32Array): void {
    const all = [...this.#remembered, { endSample, usableSamples, latents: latents.slice() }];
    this.#remembered = all.sort((a, b) => a.endSample - b.endSample);
  }

  /** Average of the task's window of so many samples. */
  context(task: number, endSample: number, samples: number): Float32Array | undefined {
    const kept = this.#contexts.get(task)?.get(endSample);
    if (kept !== undefined || this.#remembered.length === 0) return kept;
    const inside = this.#remembered.filter(
      (second) => second.endSample > endSample - samples && second.endSample <= endSample,
    );
    return meanLatents(inside.map(({ latents }) => latents));
  }

  /** Mean of the task's windows kept so far. */
  history(task: number): Float32Array | undefined {
    return this.#histories.get(task)?.mean;
  }

  /** Average the usable seconds at `ends` and keep it as the task's window ending at the last. */
  keepContext(task: number, ends: readonly number[], looksBack: LooksBack): void {
    const endSample = ends[ends.length - 1];
    if (endSample === undefined) return;
    const average = meanLatents(ends.flatMap((end) => this.get(end) ?? []));
    if (average === undefined) return;
    const kept = this.#contexts.get(task) ?? new Map<number, Float32Array>();
    this.#contexts.set(task, kept.set(endSample, average));
    const history =
      this.#histories.get(task) ??
      this.#historyBefore((ends[0] as number) - patchSamples, looksBack.stepSamples);
    this.#histories.set(task, history);
    history.add(average);
    for (const oldest of kept.keys()) {
      if (kept.size <= looksBack.contextsMax) break;
      kept.delete(oldest);
    }
  }

  /** As it would stand by now; a remembered second stands for the usable time since the last. */
  #historyBefore(sample: number, stepSamples: number): History {
    const history = new History();
    let last = 0;
    for (const { endSample, usableSamples, latents } of this.#remembered) {
      if (endSample > sample) break;
      history.add(latents, (usableSamples - last) / stepSamples);
      last = usableSamples;
    }
    return history;
  }

  #slot(endSample: number): number {
    return Math.round(endSample / gridSamples) % this.#shape.ticks;
  }
}
