/**
 * What one grid tick (0.25 s) of every channel adds up to: sums over the raw samples that arrived
 * in it and over the conditioned samples it holds. Quality and scale are made from these sums.
 */
import { gridSamples, modelRateHz } from '../core/tasks.js';
import type { Channels, Outputs, Rows } from './rows.js';

/** Lines watched at 200 Hz before the notch: mains, and their neighbourhood as a background. */
export const lineHz = [50, 60, 54, 55, 56] as const;
export const mainsLines = 2;
const lines = lineHz.length;

/** Places in a channel's record. */
export const sums = {
  /** Raw samples received, their sum and sum of squares about the channel's first value. */
  real: 0,
  sum: 1,
  squares: 2,
  railed: 3,
  nan: 4,
  missing: 5,
  /** Conditioned samples that are valid, their sum of |x| and of x². */
  valid: 6,
  absolute: 7,
  power: 8,
  /** Correlation with each line: cosines, then sines. */
  cosine: 9,
  sine: 9 + lines,
} as const;

export const recordLength = 9 + 2 * lines;

/** One second of each line, whole cycles. */
const cosines = lineHz.map((hz) => wave(Math.cos, hz));
const sines = lineHz.map((hz) => wave(Math.sin, hz));

export class Tally {
  /** `[channels, recordLength]`. */
  readonly sums: Float64Array;

  constructor(channels: number) {
    this.sums = new Float64Array(channels * recordLength);
  }

  /** Correlate `count` high-passed samples of some channels, the first of grid index `index`. */
  addLines({ from, to }: Channels, signal: Rows, [index, count]: Outputs, upTo: number): void {
    const phase = index % modelRateHz;
    const { data, width } = signal;
    const table = this.sums;
    for (let c = from; c < to; c++) {
      const row = c * width;
      for (let l = 0, at = c * recordLength; l < upTo; l++) {
        const cosineOf = cosines[l];
        const sineOf = sines[l];
        let cosine = table[at + sums.cosine + l];
        let sine = table[at + sums.sine + l];
        // A tick never crosses the table's end: 200 is a multiple of 50.
        for (let i = 0; i < count; i++) {
          cosine += data[row + i] * cosineOf[phase + i];
          sine += data[row + i] * sineOf[phase + i];
        }
        table[at + sums.cosine + l] = cosine;
        table[at + sums.sine + l] = sine;
      }
    }
  }
}

/** Ticks that make up the second every judgement is made on. */
export const ticksPerSecond = modelRateHz / gridSamples;

/** One of a channel's sums over all of the ticks. */
export function total(ticks: readonly Tally[], channel: number, place: number): number {
  const at = channel * recordLength + place;
  let sum = 0;
  for (let t = 0; t < ticks.length; t++) sum += ticks[t].sums[at];
  return sum;
}

/** Power (uV²) of line `l` over the second the ticks make up. */
export function linePower(ticks: readonly Tally[], channel: number, l: number): number {
  const c = total(ticks, channel, sums.cosine + l);
  const s = total(ticks, channel, sums.sine + l);
  return (2 * (c * c + s * s)) / modelRateHz ** 2;
}

function wave(of: (x: number) => number, hz: number): Float64Array {
  return Float64Array.from({ length: modelRateHz }, (_, i) => of((2 * Math.PI * hz * i) / 200));
}
