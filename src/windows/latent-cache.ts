/**
 * The latents of one stream's last seconds, computed once by the trunk and shared by all tasks,
 * and beside them the averages over past windows that tasks with context look back at. Belongs
 * to one checkpoint. Bounded: the oldest second is overwritten, the oldest average dropped.
 */
import type { NoPredictionReason } from '../core/events.js';
import { gridSamples } from '../core/tasks.js';
import { History } from './history.js';

export interface CacheShape {
  /** Floats of one second: latents times width. */
  readonly floats: number;
  /** Seconds on the 0.25 s grid to hold: the longest window, in ticks. */
  readonly ticks: number;
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

  context(task: number, endSample: number): Float32Array | undefined {
    return this.#contexts.get(task)?.get(endSample);
  }

  /** Mean of the task's windows kept so far. */
  history(task: number): Float32Array | undefined {
    return this.#histories.get(task)?.mean;
  }

  /** Average the usable seconds at `ends` and keep it as the task's window ending at the last. */
  keepContext(task: number, ends: readonly number[], contextsMax: number): void {
    const endSample = ends[ends.length - 1];
    if (endSample === undefined) return;
    const average = new Float32Array(this.#shape.floats);
    let count = 0;
    for (const end of ends) {
      const latents = this.get(end);
      if (latents === undefined) continue;
      count++;
      for (let i = 0; i < average.length; i++) average[i] += latents[i];
    }
    if (count === 0) return;
    for (let i = 0; i < average.length; i++) average[i] /= count;
    const kept = this.#contexts.get(task) ?? new Map<number, Float32Array>();
    this.#contexts.set(task, kept.set(endSample, average));
    const history = this.#histories.get(task) ?? new History();
    this.#histories.set(task, history);
    history.add(average);
    for (const oldest of kept.keys()) {
      if (kept.size <= contextsMax) break;
      kept.delete(oldest);
    }
  }

  #slot(endSample: number): number {
    return Math.round(endSample / gridSamples) % this.#shape.ticks;
  }
}
