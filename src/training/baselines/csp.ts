/**
 * Common spatial patterns (Ramoser et al. 2000; many classes one against the rest) with log
 * variance features, the control for motor imagery. A trial is `[channels, samples]`, band-passed.
 */
import { product, symmetricEigen } from '../../core/linear-algebra.js';

export interface Trial {
  readonly channels: number;
  readonly data: Float32Array;
}

export interface Csp {
  readonly channels: number;
  /** `[filters, channels]`. */
  readonly filters: readonly Float64Array[];
}

/** `pairs` filters from each end of the spectrum, for each class against the others. */
export function fitCsp(
  trials: readonly Trial[],
  labels: ArrayLike<number>,
  classes: number,
  pairs = 3,
): Csp {
  const n = trials[0]?.channels ?? 0;
  const covariances = trials.map((trial) => covariance(trial));
  const filters: Float64Array[] = [];
  for (let k = 0; k < (classes === 2 ? 1 : classes); k++) {
    const one = mean(
      covariances.filter((_, i) => labels[i] === k),
      n,
    );
    const rest = mean(
      covariances.filter((_, i) => labels[i] !== k),
      n,
    );
    filters.push(...discriminative(one, rest, n, Math.min(pairs, Math.floor(n / 2))));
  }
  return { channels: n, filters };
}

/** Eigenvectors of `one` in the space where `one + rest` is white, both ends. */
function discriminative(
  one: Float64Array,
  rest: Float64Array,
  n: number,
  pairs: number,
): Float64Array[] {
  const sum = one.map((value, i) => value + rest[i]);
  const { values, vectors } = symmetricEigen(sum, n);
  const floor = values[n - 1] * 1e-6;
  const white = new Float64Array(n * n);
  for (let k = 0; k < n; k++) {
    const scale = values[k] > floor ? 1 / Math.sqrt(values[k]) : 0;
    for (let i = 0; i < n; i++) white[k * n + i] = vectors[i * n + k] * scale;
  }
  const inner = product(product(white, one, n), transpose(white, n), n);
  const turned = symmetricEigen(inner, n);
  const picked = new Set<number>();
  for (let p = 0; p < pairs; p++) picked.add(n - 1 - p);
  const kept = values.reduce((count, value) => count + (value > floor ? 1 : 0), 0);
  for (let p = 0; p < pairs; p++) picked.add(Math.max(0, n - kept) + p);
  return [...picked].map((k) => {
    const filter = new Float64Array(n);
    for (let j = 0; j < n; j++)
      for (let i = 0; i < n; i++) filter[i] += turned.vectors[j * n + k] * white[j * n + i];
    return filter;
  });
}

/** Log of the share of variance behind each filter. */
export function cspFeatures(csp: Csp, trial: Trial): Float64Array {
  const c = covariance(trial);
  const n = csp.channels;
  const power = Float64Array.from(csp.filters, (filter) => {
    let sum = 0;
    for (let i = 0; i < n; i++)
      for (let j = 0; j < n; j++) sum += filter[i] * filter[j] * c[i * n + j];
    return Math.max(sum, 1e-12);
  });
  const total = power.reduce((a, b) => a + b, 0);
  return power.map((value) => Math.log(value / total));
}

/** Normalised by its trace, so that a trial's gain says nothing. */
function covariance(trial: Trial): Float64Array {
  const n = trial.channels;
  const samples = trial.data.length / n;
  const out = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let t = 0; t < samples; t++)
        sum += trial.data[i * samples + t] * trial.data[j * samples + t];
      out[i * n + j] = sum;
      out[j * n + i] = sum;
    }
  let trace = 0;
  for (let i = 0; i < n; i++) trace += out[i * n + i];
  return out.map((value) => value / (trace || 1));
}

function mean(matrices: readonly Float64Array[], n: number): Float64Array {
  const out = new Float64Array(n * n);
  for (const matrix of matrices)
    for (let i = 0; i < out.length; i++) out[i] += matrix[i] / matrices.length;
  return out;
}

function transpose(a: Float64Array, n: number): Float64Array {
  return Float64Array.from(a, (_, i) => a[(i % n) * n + Math.floor(i / n)]);
}
