/**
 * Linear discriminant analysis with Ledoit-Wolf shrinkage of the pooled covariance, as
 * scikit-learn's `LinearDiscriminantAnalysis(solver='lsqr', shrinkage='auto')`: features are
 * standardised before the shrinkage and scaled back after it.
 */
import { ledoitWolf, solveSpd } from '../../core/linear-algebra.js';

export interface Lda {
  readonly classes: number;
  readonly features: number;
  /** `[features, classes]`. */
  readonly weights: Float64Array;
  readonly bias: Float64Array;
}

/** `priors` default to the class shares; classes without a row are never chosen. */
export function fitLda(
  rows: readonly Float64Array[],
  labels: ArrayLike<number>,
  classes: number,
  priors?: readonly number[],
): Lda {
  const features = rows[0]?.length ?? 0;
  const counts = new Array<number>(classes).fill(0);
  const means = Array.from({ length: classes }, () => new Float64Array(features));
  for (const [i, row] of rows.entries()) {
    counts[labels[i]]++;
    for (let f = 0; f < features; f++) means[labels[i]][f] += row[f];
  }
  for (const [k, mean] of means.entries())
    for (let f = 0; f < features; f++) mean[f] /= Math.max(1, counts[k]);

  const share = priors ?? counts.map((count) => count / rows.length);
  const pooled = new Float64Array(features * features);
  for (let k = 0; k < classes; k++) {
    if (counts[k] === 0) continue;
    const own = rows.filter((_, i) => labels[i] === k);
    const covariance = shrunkCovariance(own, means[k], features);
    for (let i = 0; i < pooled.length; i++) pooled[i] += share[k] * covariance[i];
  }
  for (let f = 0; f < features; f++) pooled[f * features + f] += 1e-12;

  const stacked = new Float64Array(features * classes);
  for (let f = 0; f < features; f++)
    for (let k = 0; k < classes; k++) stacked[f * classes + k] = means[k][f];
  const weights = solveSpd(pooled, stacked, features, classes);
  const bias = new Float64Array(classes);
  for (let k = 0; k < classes; k++) {
    let half = 0;
    for (let f = 0; f < features; f++) half += means[k][f] * weights[f * classes + k];
    bias[k] = counts[k] === 0 ? -1e30 : Math.log(share[k]) - half / 2;
  }
  return { classes, features, weights, bias };
}

function shrunkCovariance(
  rows: readonly Float64Array[],
  mean: Float64Array,
  features: number,
): Float64Array {
  const sd = new Float64Array(features);
  for (const row of rows)
    for (let f = 0; f < features; f++) sd[f] += (row[f] - mean[f]) ** 2 / rows.length;
  for (let f = 0; f < features; f++) sd[f] = Math.sqrt(sd[f]) || 1;
  const scaled = rows.map((row) => row.map((value, f) => (value - mean[f]) / sd[f]));
  const covariance = ledoitWolf(scaled, features);
  for (let i = 0; i < features; i++)
    for (let j = 0; j < features; j++) covariance[i * features + j] *= sd[i] * sd[j];
  return covariance;
}

/** Log posterior up to a constant, one a class. */
export function ldaScores(model: Lda, row: ArrayLike<number>): Float64Array {
  const out = model.bias.slice();
  for (let f = 0; f < model.features; f++)
    for (let k = 0; k < model.classes; k++) out[k] += row[f] * model.weights[f * model.classes + k];
  return out;
}
