/**
 * What one grid tick (0.25 s) of every channel adds up to: sums over the raw samples that arrived
 * in it and over the conditioned samples it holds. Quality and scale are made from these sums.
 */
import { gridSamples, modelRateHz } from '../core/tasks.js';

/** Lines watched at 200 Hz before the notch: mains, and their neighbourhood as a background. */
export const lineHz = [50, 60, 54, 55, 56] as const;
const lines = lineHz.length;

/** `[lines, 200]`: one second of each line, whole cycles. */
const cosines = lineHz.map((hz) => wave(Math.cos, hz));
const sines = lineHz.map((hz) => wave(Math.sin, hz));

export class Tally {
  /** Raw samples received, their sum and sum of squares about `shift`. */
  readonly real: Float64Array;
  readonly sum: Float64Array;
  readonly squares: Float64Array;
  readonly railed: Float64Array;
  readonly nan: Float64Array;
  readonly missing: Float64Array;
  /** Conditioned samples that are valid, their sum of |x| and of x². */
  readonly valid: Float64Array;
  readonly absolute: Float64Array;
  readonly power: Float64Array;
  /** `[channels, lines]`: correlation with each line. */
  readonly cosine: Float64Array;
  readonly sine: Float64Array;

  constructor(channels: number) {
    const zeros = () => new Float64Array(channels);
    this.real = zeros();
    this.sum = zeros();
    this.squares = zeros();
    this.railed = zeros();
    this.nan = zeros();
    this.missing = zeros();
    this.valid = zeros();
    this.absolute = zeros();
    this.power = zeros();
    this.cosine = new Float64Array(channels * lines);
    this.sine = new Float64Array(channels * lines);
  }

  clear(): void {
    for (const sums of Object.values(this) as Float64Array[]) sums.fill(0);
  }

  /** Correlate `count` high-passed samples, the first of grid index `index`, with every line. */
  addLines(channel: number, signal: Float64Array, index: number, count: number): void {
    const phase = index % modelRateHz;
    for (let l = 0; l < lines; l++) {
      const cosineOf = cosines[l];
      const sineOf = sines[l];
      let c = this.cosine[channel * lines + l];
      let s = this.sine[channel * lines + l];
      // A tick never crosses the table's end: 200 is a multiple of 50.
      for (let i = 0; i < count; i++) {
        c += signal[i] * cosineOf[phase + i];
        s += signal[i] * sineOf[phase + i];
      }
      this.cosine[channel * lines + l] = c;
      this.sine[channel * lines + l] = s;
    }
  }
}

/** Ticks that make up the second every judgement is made on. */
export const ticksPerSecond = modelRateHz / gridSamples;

/** Sum of `sums(tick)[at]` over the ticks. */
export function total(ticks: readonly Tally[], sums: keyof Tally, at: number): number {
  let sum = 0;
  for (const tick of ticks) sum += (tick[sums] as Float64Array)[at];
  return sum;
}

/** Power (uV²) of line `l` over the second the ticks make up. */
export function linePower(ticks: readonly Tally[], channel: number, l: number): number {
  const at = channel * lines + l;
  const c = total(ticks, 'cosine', at);
  const s = total(ticks, 'sine', at);
  return (2 * (c * c + s * s)) / modelRateHz ** 2;
}

function wave(of: (x: number) => number, hz: number): Float64Array {
  return Float64Array.from({ length: modelRateHz }, (_, i) => of((2 * Math.PI * hz * i) / 200));
}
