/**
 * The read-out of an expert pack: a linear map from the log spectra of a window, of a person's own
 * aligned channels, and from their covariances, to what is added to the logits of the pack's task.
 * Plain numbers, part of the pack's manifest.
 */

export interface LinearMap {
  /** Of each feature over the trials it was learned from. */
  readonly mean: readonly number[];
  readonly sd: readonly number[];
  /** `[features, classes]`, of standardised features. */
  readonly weights: readonly number[];
  readonly bias: readonly number[];
}

/** Its features are log powers, `[channels, bands]`. */
export interface Readout extends LinearMap {
  readonly alignment: 'none' | 'zscore' | 'euclidean';
  /** Labels of the channels, in the order of the features. */
  readonly channels: readonly string[];
  readonly covariance?: CovarianceMap | undefined;
}

/** Its features are vectors of the tangent space at `reference` (src/windows/tangent-space.ts). */
export interface CovarianceMap extends LinearMap {
  /** `[bands, pairs of channels]`, of the channels as they come. */
  readonly reference: readonly number[];
}

/** Standardised features beyond this are artefacts, and count no more. */
const featureMax = 4;

/** Added to the logits; `features` in the map's order, NaN = unknown. */
export function evidenceOf(map: LinearMap, features: ArrayLike<number>): Float64Array {
  const { mean, sd, weights, bias } = map;
  const out = Float64Array.from(bias);
  const classes = bias.length;
  for (let f = 0; f < mean.length; f++) {
    const value = features[f] as number;
    if (Number.isNaN(value)) continue;
    const z = (value - (mean[f] as number)) / (sd[f] as number);
    const clipped = Math.min(featureMax, Math.max(-featureMax, z));
    for (let k = 0; k < classes; k++) out[k] += clipped * (weights[f * classes + k] as number);
  }
  return out;
}
