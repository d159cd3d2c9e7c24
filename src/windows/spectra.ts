/**
 * What the read-out of an expert pack looks at: log band powers of a window's aligned channels, and
 * covariances of its channels in two bands. Live stream and stored trial go through this same code,
 * and so agree to the last bit.
 */
import { modelRateHz, patchSamples } from '../core/tasks.js';
import { type AlignmentKind, alignmentMatrix } from '../signal/alignment.js';

/** Whole Hz, both ends within. Below lie eye movements, above muscles. */
const bandsHz = [
  [4, 7],
  [8, 10],
  [11, 13],
  [14, 18],
  [19, 24],
  [25, 30],
] as const;
export const bandCount = bandsHz.length;
const firstHz = bandsHz[0][0];
const binCount = bandsHz[bandCount - 1]?.[1] - firstHz + 1;
/** Of covariances: the sensorimotor rhythms, mu and beta. */
const covarianceBandsHz = [
  [8, 13],
  [14, 30],
] as const;
const powerFloor = 1e-7;
/** A window's spectra are taken from seconds that overlap by half (Welch 1967). */
const stepSamples = patchSamples / 2;

/** Hann-windowed DFT, `[bins, 200]`, cosines then sines. */
const waves = Float64Array.from({ length: 2 * binCount * patchSamples }, (_, at) => {
  const sample = at % patchSamples;
  const row = Math.floor(at / patchSamples);
  const hann = 0.5 - 0.5 * Math.cos((2 * Math.PI * (sample + 0.5)) / patchSamples);
  const angle = (2 * Math.PI * (firstHz + (row % binCount)) * sample) / modelRateHz;
  return (hann * (row < binCount ? Math.cos(angle) : Math.sin(angle)) * 2) / patchSamples;
});

export interface SpectrumSource {
  readonly channels: number;
  /** Fills `[channels, 200]` patches of the second before `endSample`, and `[channels]` mask. */
  patches(endSample: number, out: Float32Array, mask: Float32Array): void;
  /** Mean covariance that was known at `endSample`; undefined where none was. */
  reference(endSample: number): Float32Array | undefined;
}

interface Second {
  /** `[channels, bands]`, NaN where a channel was not usable. */
  readonly powers: Float64Array;
  /** Aligned, `[channels, 2 * bins]`. */
  readonly spectrum: Float64Array;
}

export class WindowSpectra {
  readonly #source: SpectrumSource;
  readonly #kind: AlignmentKind;
  readonly #keptMax: number;
  readonly #seconds = new Map<number, Second>();
  #matrix: { of: Float32Array; values: Float64Array } | undefined;

  /** `windowS`: longest window that will be asked for. */
  constructor(source: SpectrumSource, kind: AlignmentKind, windowS: number) {
    this.#source = source;
    this.#kind = kind;
    this.#keptMax = 4 * (windowS + 1);
  }

  /** `[channels, bands]`, NaN = unknown; undefined where less than half of it is known. */
  features(endSample: number, windowS: number): Float64Array | undefined {
    const size = this.#source.channels * bandCount;
    const sum = new Float64Array(size);
    const count = new Float64Array(size);
    for (let back = 2 * windowS - 2; back >= 0; back--) {
      const { powers } = this.#second(endSample - back * stepSamples);
      for (let f = 0; f < size; f++) {
        if (Number.isNaN(powers[f])) continue;
        sum[f] += powers[f];
        count[f]++;
      }
    }
    let known = 0;
    const out = sum.map((value, f) => {
      if (count[f] < windowS) return Number.NaN;
      known++;
      return Math.log(value / count[f] + powerFloor);
    });
    return known < size / 2 ? undefined : out;
  }

  /**
   * Covariances `[bands, pairs]` of the channels at `places`; NaN where one of a pair is unknown,
   * or not there (-1).
   */
  covariances(endSample: number, windowS: number, places: readonly number[]): Float64Array {
    const seconds = Array.from({ length: 2 * windowS - 1 }, (_, back) =>
      this.#second(endSample - back * stepSamples),
    );
    return Float64Array.from(
      covarianceBandsHz.flatMap((band) =>
        places.flatMap((a, i) =>
          places.slice(0, i + 1).map((b) => covarianceOf(seconds, [a, b], band, windowS)),
        ),
      ),
    );
  }

  #second(endSample: number): Second {
    const held = this.#seconds.get(endSample);
    if (held !== undefined) return held;
    const found = this.#look(endSample);
    this.#seconds.set(endSample, found);
    for (const oldest of this.#seconds.keys()) {
      if (this.#seconds.size <= this.#keptMax) break;
      this.#seconds.delete(oldest);
    }
    return found;
  }

  #look(endSample: number): Second {
    const { channels } = this.#source;
    const out = new Float64Array(channels * bandCount).fill(Number.NaN);
    const spectrum = new Float64Array(channels * 2 * binCount);
    if (endSample < patchSamples) return { powers: out, spectrum };
    const patches = new Float32Array(channels * patchSamples);
    const mask = new Float32Array(channels);
    this.#source.patches(endSample, patches, mask);
    const spectra = spectraOf(patches, mask);
    const matrix = this.#matrixAt(endSample);
    for (let c = 0; c < channels; c++) {
      if (mask[c] === 0) continue;
      const mixed = spectrum.subarray(2 * c * binCount, 2 * (c + 1) * binCount);
      for (let d = 0; d < channels; d++) {
        const gain = matrix === undefined ? Number(c === d) : matrix[c * channels + d];
        if (gain === 0 || mask[d] === 0) continue;
        for (let k = 0; k < mixed.length; k++) mixed[k] += gain * spectra[d * mixed.length + k];
      }
      for (const [b, [low, high]] of bandsHz.entries()) {
        let power = 0;
        for (let bin = low - firstHz; bin <= high - firstHz; bin++)
          power += mixed[bin] ** 2 + mixed[binCount + bin] ** 2;
        out[c * bandCount + b] = power / (high - low + 1);
      }
    }
    return { powers: out, spectrum };
  }

  #matrixAt(endSample: number): Float64Array | undefined {
    const reference = this.#source.reference(endSample);
    if (this.#kind === 'none' || reference === undefined) return undefined;
    if (this.#matrix?.of !== reference)
      this.#matrix = { of: reference, values: alignmentMatrix(this.#kind, reference) };
    return this.#matrix.values;
  }
}

/** Mean product of two channels' spectra in the band, where it is known often enough. */
function covarianceOf(
  seconds: readonly Second[],
  [a, b]: readonly [number, number],
  [low, high]: readonly [number, number],
  countMin: number,
): number {
  let sum = 0;
  let count = 0;
  for (const { powers, spectrum } of a < 0 || b < 0 ? [] : seconds) {
    if (Number.isNaN(powers[a * bandCount] + powers[b * bandCount])) continue;
    count++;
    const [one, other] = [2 * a * binCount - firstHz, 2 * b * binCount - firstHz];
    for (let hz = low; hz <= high; hz++)
      sum +=
        spectrum[one + hz] * spectrum[other + hz] +
        spectrum[one + binCount + hz] * spectrum[other + binCount + hz];
  }
  return count < countMin ? Number.NaN : sum / (count * (high - low + 1));
}

/** `[channels, 2 * bins]` of the usable channels. */
function spectraOf(patches: Float32Array, mask: Float32Array): Float64Array {
  const rows = 2 * binCount;
  const out = new Float64Array(mask.length * rows);
  for (let c = 0; c < mask.length; c++) {
    if (mask[c] === 0) continue;
    for (let row = 0; row < rows; row++) {
      let sum = 0;
      for (let i = 0; i < patchSamples; i++)
        sum += patches[c * patchSamples + i] * waves[row * patchSamples + i];
      out[c * rows + row] = sum;
    }
  }
  return out;
}
