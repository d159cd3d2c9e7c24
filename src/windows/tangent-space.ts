/**
 * A covariance as a vector in a flat space: its logarithm at the person's mean covariance, upper
 * triangle, off-diagonals times the root of two, so that distances stay (Barachant et al. 2012; at
 * the arithmetic mean, which is near the geometric one and needs no iteration).
 */
import { product, symmetricEigen } from '../core/linear-algebra.js';

/** Towards the identity: a few seconds tell a covariance roughly. */
const shrinkage = 0.1;
/** Eigenvalues of the mean below this share of the largest are noise. */
const eigenFloor = 1e-3;
const powerFloor = 1e-12;

/** Length of the upper triangle of so many channels. */
export const pairsOf = (channels: number): number => (channels * (channels + 1)) / 2;

export class TangentSpace {
  readonly #channels: number;
  readonly #means: readonly Float64Array[];
  /** Of each band, what makes its mean the identity. */
  readonly #whitenings: readonly Float64Array[];

  /** `reference` `[bands, pairs]`. */
  constructor(reference: ArrayLike<number>, channels: number) {
    this.#channels = channels;
    const bands = reference.length / pairsOf(channels);
    this.#means = Array.from({ length: bands }, (_, b) => square(reference, b, channels));
    this.#whitenings = this.#means.map((mean) =>
      spectral(mean, channels, (value, largest) => {
        return 1 / Math.sqrt(Math.max(value, eigenFloor * largest, powerFloor));
      }),
    );
  }

  /** `[bands, pairs]` of covariances `[bands, pairs]`, whose unknown pairs (NaN) are at the mean. */
  features(covariances: ArrayLike<number>): Float64Array {
    const n = this.#channels;
    const pairs = pairsOf(n);
    const out = new Float64Array(this.#means.length * pairs);
    for (const [band, mean] of this.#means.entries()) {
      const own = square(covariances, band, n).map((value, at) =>
        Number.isNaN(value) ? mean[at] : value,
      );
      const white = this.#whitenings[band] as Float64Array;
      const turned = product(product(white, own, n), white, n).map((v) => (1 - shrinkage) * v);
      for (let i = 0; i < n; i++) turned[i * n + i] += shrinkage;
      const log = spectral(turned, n, (value) => Math.log(Math.max(value, shrinkage / 2)));
      for (let i = 0; i < n; i++)
        for (let j = 0; j <= i; j++)
          out[band * pairs + pairsOf(i) + j] = log[i * n + j] * (i === j ? 1 : Math.SQRT2);
    }
    return out;
  }
}

function square(triangles: ArrayLike<number>, band: number, n: number): Float64Array {
  const from = band * pairsOf(n);
  return Float64Array.from({ length: n * n }, (_, at) => {
    const [i, j] = [Math.floor(at / n), at % n];
    return triangles[from + pairsOf(Math.max(i, j)) + Math.min(i, j)] as number;
  });
}

/** The symmetric matrix with its eigenvalues replaced. */
function spectral(
  matrix: Float64Array,
  n: number,
  replace: (value: number, largest: number) => number,
): Float64Array {
  const { values, vectors } = symmetricEigen(matrix, n);
  const out = new Float64Array(n * n);
  for (let k = 0; k < n; k++) {
    const gain = replace(values[k], values[n - 1]);
    for (let i = 0; i < n; i++)
      for (let j = 0; j < n; j++) out[i * n + j] += gain * vectors[i * n + k] * vectors[j * n + k];
  }
  return out;
}
