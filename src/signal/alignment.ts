/**
 * Alignment of a person's signals: the channels are mixed so that their mean covariance becomes
 * white (Euclidean alignment, He and Wu 2020), the mean taken recursively and causally, or each
 * channel is brought to unit variance (z-score). What it knew at a grid index stands there from
 * then on, so that a stored trial and the live stream are aligned alike to the last bit.
 */
import { symmetricEigen } from '../core/linear-algebra.js';
import { modelRateHz, patchSamples } from '../core/tasks.js';

export const alignmentKinds = ['none', 'zscore', 'euclidean'] as const;
export type AlignmentKind = (typeof alignmentKinds)[number];

/** The mean is told anew so often, s. */
const stepS = 10;
export const referenceSamples = stepS * modelRateHz;
/** Memory of the recursive mean, seconds of signal. */
const memorySeconds = 600;
/** A second counts at most this many times the mean power: movements are loud. */
const powerMax = 4;
/** Means kept by default: what the ring of a live stream may still be asked for. */
const referencesKept = 8;
/** Eigenvalues below this share of the largest are noise, or channels that are the same. */
const eigenFloor = 1e-3;
/** The signal ends at 45 Hz: every second sample tells its covariance. */
const stride = 2;

export interface Reference {
  /** Grid index from which it holds. */
  readonly from: number;
  /** `[channels, channels]`, in squared scales. */
  readonly covariance: Float32Array;
}

export class RunningCovariance {
  readonly channels: number;
  readonly #mean: Float64Array;
  readonly #counts: Float64Array;
  readonly #kept: Reference[] = [];
  readonly #keptMax: number;
  #seconds = 0;
  #power = 0;

  constructor(channels: number, keptMax = referencesKept) {
    this.channels = channels;
    this.#keptMax = keptMax;
    this.#mean = new Float64Array(channels * channels);
    this.#counts = new Float64Array(channels * channels);
  }

  /** The second ending at `endIndex`: `[channels, 200]` in scales, `mask` 1 where usable. */
  update(endIndex: number, patches: Float32Array, mask: Float32Array): void {
    this.#take(patches, mask);
    if (endIndex % referenceSamples !== 0 || this.#seconds === 0) return;
    this.#kept.push({ from: endIndex, covariance: Float32Array.from(this.#mean) });
    if (this.#kept.length > this.#keptMax) this.#kept.shift();
  }

  /** What was known at `index`; undefined where nothing was. */
  at(index: number): Reference | undefined {
    return this.#kept.findLast(({ from }) => from <= index);
  }

  #take(patches: Float32Array, mask: Float32Array): void {
    const n = this.channels;
    const good = [...mask.keys()].filter((c) => c < n && mask[c] > 0);
    if (good.length === 0) return;
    let power = 0;
    for (const c of good) power += dot(patches, c, c) / good.length;
    const weight = this.#power === 0 ? 1 : Math.min(1, (powerMax * this.#power) / (power || 1));
    this.#seconds++;
    this.#power += (weight * power - this.#power) / Math.min(this.#seconds, memorySeconds);
    for (const [i, a] of good.entries())
      for (const b of good.slice(0, i + 1)) {
        const at = a * n + b;
        this.#counts[at]++;
        const count = Math.min(this.#counts[at], memorySeconds);
        this.#mean[at] += (weight * dot(patches, a, b) - this.#mean[at]) / count;
        this.#mean[b * n + a] = this.#mean[at];
      }
  }
}

function dot(patches: Float32Array, a: number, b: number): number {
  const [from, other] = [a * patchSamples, b * patchSamples];
  let sum = 0;
  for (let i = 0; i < patchSamples; i += stride) sum += patches[from + i] * patches[other + i];
  return (sum * stride) / patchSamples;
}

/** `[channels, channels]` to mix the channels with. Keeps their mean power. */
export function alignmentMatrix(kind: AlignmentKind, covariance: Float32Array): Float64Array {
  const n = Math.round(Math.sqrt(covariance.length));
  const out = new Float64Array(n * n);
  if (kind === 'euclidean') return inverseRoot(covariance, n);
  for (let i = 0; i < n; i++) {
    const variance = covariance[i * n + i];
    out[i * n + i] = kind === 'none' || variance <= 0 ? 1 : 1 / Math.sqrt(variance);
  }
  return out;
}

function inverseRoot(covariance: Float32Array, n: number): Float64Array {
  const { values, vectors } = symmetricEigen(Float64Array.from(covariance), n);
  const power = values.reduce((sum, value) => sum + Math.max(0, value), 0) / n;
  const floor = eigenFloor * Math.max(values[n - 1], 1e-12);
  const out = new Float64Array(n * n);
  for (let k = 0; k < n; k++) {
    const gain = Math.sqrt(power / Math.max(values[k], floor));
    for (let i = 0; i < n; i++)
      for (let j = 0; j < n; j++) out[i * n + j] += gain * vectors[i * n + k] * vectors[j * n + k];
  }
  return out;
}
