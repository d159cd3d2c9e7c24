/**
 * Seconds of a stream that outlive its ring: a checkpoint that takes over in the middle of a night
 * computes from them what it would know by now, the windows of its context and what is usual.
 * One each 10 s of the last minutes, further back one at ever longer intervals.
 */
import { modelRateHz } from '../core/tasks.js';
import type { PatchSource } from './served-stream.js';

export interface PastSecond {
  /** 200 Hz sample index, exclusive. */
  readonly endSample: number;
  /** Samples of the stream so far, without what could not be used. */
  readonly usableSamples: number;
  /** `[channels, 200]`, see `PatchSource.patches`. */
  readonly patches: Float32Array;
  /** `[channels]`. */
  readonly mask: Float32Array;
}

const everySamples = 10 * modelRateHz;
/** Four minutes: the context of the shipped checkpoint, and half a minute of its window. */
const recentMax = 24;
/** Sleep, 5 to 20 minutes after a swap: kappa .63; with 16, .61. All are 460 kB at 8 channels. */
const olderMax = 48;

export class Past {
  readonly #recent: PastSecond[] = [];
  #older: PastSecond[] = [];
  /** Samples between those that are kept as older ones. */
  #stride = everySamples;
  #next = 0;
  #usableSamples = 0;

  /** The second before `endSample` is complete. */
  see(source: PatchSource, endSample: number): void {
    if (endSample < this.#next) return;
    const patches = new Float32Array(source.channels * modelRateHz);
    const mask = new Float32Array(source.channels);
    source.patches(endSample, patches, mask);
    if (!mask.some((value) => value > 0)) return;
    const before = this.#recent.at(-1)?.endSample ?? 0;
    this.#usableSamples += Math.min(everySamples, endSample - before);
    this.#next = nextAfter(endSample, everySamples);
    this.#recent.push({ endSample, usableSamples: this.#usableSamples, patches, mask });
    if (this.#recent.length > recentMax) this.#age(this.#recent.shift() as PastSecond);
  }

  /** Oldest first. */
  seconds(): PastSecond[] {
    return [...this.#older, ...this.#recent];
  }

  #age(second: PastSecond): void {
    const last = this.#older.at(-1);
    if (last !== undefined && second.endSample < nextAfter(last.endSample, this.#stride)) return;
    this.#older.push(second);
    if (this.#older.length < olderMax) return;
    this.#older = this.#older.filter((_, i) => i % 2 === 0);
    this.#stride *= 2;
  }
}

function nextAfter(sample: number, stride: number): number {
  return (Math.floor(sample / stride) + 1) * stride;
}
