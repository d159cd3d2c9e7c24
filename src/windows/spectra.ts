/**
 * Log band powers of a window's aligned channels, what the read-out of an expert pack looks at.
 * Live stream and stored trial go through this same code, and so agree to the last bit.
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

export class WindowSpectra {
  readonly #source: SpectrumSource;
  readonly #kind: AlignmentKind;
  readonly #keptMax: number;
  /** End of a second to its powers `[channels, bands]`, NaN where a channel was not usable. */
  readonly #seconds = new Map<number, Float64Array>();
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
      const powers = this.#second(endSample - back * stepSamples);
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

  #second(endSample: number): Float64Array {
    const held = this.#seconds.get(endSample);
    if (held !== undefined) return held;
    const powers = this.#powers(endSample);
    this.#seconds.set(endSample, powers);
    for (const oldest of this.#seconds.keys()) {
      if (this.#seconds.size <= this.#keptMax) break;
      this.#seconds.delete(oldest);
    }
    return powers;
  }

  #powers(endSample: number): Float64Array {
    const { channels } = this.#source;
    const out = new Float64Array(channels * bandCount).fill(Number.NaN);
    if (endSample < patchSamples) return out;
    const patches = new Float32Array(channels * patchSamples);
    const mask = new Float32Array(channels);
    this.#source.patches(endSample, patches, mask);
    const spectra = spectraOf(patches, mask);
    const matrix = this.#matrixAt(endSample);
    const mixed = new Float64Array(2 * binCount);
    for (let c = 0; c < channels; c++) {
      if (mask[c] === 0) continue;
      mixed.fill(0);
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
    return out;
  }

  #matrixAt(endSample: number): Float64Array | undefined {
    const reference = this.#source.reference(endSample);
    if (this.#kind === 'none' || reference === undefined) return undefined;
    if (this.#matrix?.of !== reference)
      this.#matrix = { of: reference, values: alignmentMatrix(this.#kind, reference) };
    return this.#matrix.values;
  }
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
