/** What a read-out says of a window: of its log powers and, where it looks at them, covariances. */
import { type CovarianceMap, evidenceOf, type Readout } from '../core/readout.js';
import { TangentSpace } from './tangent-space.js';

export interface WindowFeatures {
  /** Log powers `[channels, bands]` with the read-out's alignment. */
  readonly powers: ArrayLike<number>;
  /** `[bands, pairs]` of the channels as they come. */
  readonly covariances?: ArrayLike<number> | undefined;
}

export class WindowEvidence {
  readonly #readout: Readout;
  readonly #tangent: { readonly space: TangentSpace; readonly map: CovarianceMap } | undefined;

  constructor(readout: Readout) {
    this.#readout = readout;
    const { covariance: map, channels } = readout;
    if (map === undefined) return;
    this.#tangent = { space: new TangentSpace(map.reference, channels.length), map };
  }

  /** One a class, added to the logits. */
  of({ powers, covariances }: WindowFeatures): Float64Array {
    const evidence = evidenceOf(this.#readout, powers);
    if (this.#tangent === undefined || covariances === undefined) return evidence;
    const { space, map } = this.#tangent;
    const other = evidenceOf(map, space.features(covariances));
    return evidence.map((value, k) => value + (other[k] as number));
  }
}
