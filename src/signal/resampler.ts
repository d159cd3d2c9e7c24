/**
 * Streaming rational resampling to the model's rate by a polyphase FIR: a sinc under a Kaiser
 * window (Kaiser 1974), each phase scaled to sum 1 so that electrode offsets of many millivolts
 * leave no ripple. Output n is due when source sample `floor(n * rateHz / 200)` has arrived and is
 * delayed by exactly `delayS`. This file owns the filter and its arithmetic; the samples belong
 * to the conditioner.
 */
import { modelRateHz } from '../core/tasks.js';

const stopbandDb = 70;
/** Ratios with at most this many phases are exact; others interpolate in a table of phases. */
const exactPhases = 1024;

export class Resampler {
  /** Source samples an output is made from, rounded up to a multiple of 4 (the oldest weigh 0). */
  readonly taps: number;
  readonly delayS: number;
  /** rateHz / 200 = step / phases, in lowest terms. */
  readonly step: number;
  readonly phases: number;
  /** `[rows, taps]`, oldest tap first: row r is for an output r/rows past a source sample. */
  readonly #table: Float64Array;
  readonly #rows: number;
  readonly #shape: FilterShape;

  constructor(rateHz: number) {
    [this.step, this.phases] = fraction(rateHz / modelRateHz);
    this.#shape = filterShape(rateHz);
    this.taps = Math.ceil((this.#shape.span + 1) / 4) * 4;
    this.delayS = this.#shape.span / 2 / rateHz;
    const exact = this.phases <= exactPhases;
    this.#rows = exact ? this.phases : this.taps > 100 ? 512 : 4096;
    this.#table = phaseTable(this.#shape, this.taps, this.#rows, !exact);
  }

  /** Index of the newest source sample behind output `n`. */
  sourceOf(n: number): number {
    // Whole turns and the rest apart, so that no product leaves the exact integers in years.
    const turns = Math.floor(n / this.phases);
    const rest = n - turns * this.phases;
    return turns * this.step + Math.floor((rest * this.step) / this.phases);
  }

  /** First output due at or after source sample `index`. */
  firstAfter(index: number): number {
    const turns = Math.floor(index / this.step);
    const rest = index - turns * this.step;
    return turns * this.phases + Math.ceil((rest * this.phases) / this.step);
  }

  /** Amplitude response at `hz`. */
  gain(hz: number): number {
    const { span, rateHz } = this.#shape;
    let sum = 0;
    for (let k = 0; k <= span; k++) {
      const tap = this.#table[this.taps - 1 - k];
      sum += tap * Math.cos((2 * Math.PI * hz * (k - span / 2)) / rateHz);
    }
    return sum;
  }

  /**
   * Outputs `first .. first + count` into `out`. `history[offset + i]` is source sample i; it must
   * reach `taps - 1` samples back from the source of `first`.
   */
  run(history: Float64Array, offset: number, first: number, count: number, out: Float64Array) {
    const { taps, step, phases } = this;
    const table = this.#table;
    const rows = this.#rows;
    const exact = rows === phases;
    const wholeStep = Math.floor(step / phases);
    const partStep = step - wholeStep * phases;
    let oldest = offset + this.sourceOf(first) - taps + 1;
    let phase = ((first % phases) * step) % phases;
    for (let i = 0; i < count; i++) {
      if (exact) {
        out[i] = dot(table, phase * taps, history, oldest, taps);
      } else {
        const place = (phase / phases) * rows;
        const row = Math.floor(place);
        const low = dot(table, row * taps, history, oldest, taps);
        const high = dot(table, (row + 1) * taps, history, oldest, taps);
        out[i] = low + (place - row) * (high - low);
      }
      oldest += wholeStep;
      phase += partStep;
      if (phase >= phases) {
        phase -= phases;
        oldest++;
      }
    }
  }
}

/** Four sums side by side, so that no addition waits for the one before; `taps` is 4 n. */
function dot(a: Float64Array, i: number, b: Float64Array, j: number, taps: number): number {
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  for (const end = i + taps; i < end; i += 4, j += 4) {
    s0 += a[i] * b[j];
    s1 += a[i + 1] * b[j + 1];
    s2 += a[i + 2] * b[j + 2];
    s3 += a[i + 3] * b[j + 3];
  }
  return s0 + s1 + (s2 + s3);
}

interface FilterShape {
  readonly rateHz: number;
  /** Length in source samples; 0 = the source already has the model's rate. */
  readonly span: number;
  readonly cutoffHz: number;
}

/**
 * Pass up to 50 Hz (0.4 of a slow source's rate), stop what would fold or mirror into that. What
 * folds into 50 to 100 Hz is left to the low-pass behind: a shorter filter delays less.
 */
function filterShape(rateHz: number): FilterShape {
  if (rateHz === modelRateHz) return { rateHz, span: 0, cutoffHz: 0 };
  const passHz = Math.min(50, 0.4 * rateHz);
  const stopHz = Math.min(modelRateHz, rateHz) - passHz;
  const widthRadians = (2 * Math.PI * (stopHz - passHz)) / rateHz;
  const span = Math.ceil((stopbandDb - 7.95) / (2.285 * widthRadians));
  return { rateHz, span, cutoffHz: (passHz + stopHz) / 2 };
}

/** `rows` phases, and with `guard` the next sample's first one after them. */
function phaseTable(shape: FilterShape, taps: number, rows: number, guard: boolean) {
  const { rateHz, span, cutoffHz } = shape;
  const kept = guard ? rows + 1 : rows;
  const table = new Float64Array(kept * taps);
  const beta = 0.1102 * (stopbandDb - 8.7);
  for (let r = 0; r < kept; r++) {
    const newest = (r + 1) * taps - 1;
    let sum = 0;
    for (let k = 0; k <= span; k++) {
      const t = k + r / rows - span / 2;
      const edge = span === 0 ? 0 : 1 - (t / (span / 2)) ** 2;
      const angle = (2 * Math.PI * cutoffHz * t) / rateHz;
      const sinc = angle === 0 ? 1 : Math.sin(angle) / angle;
      const value = edge < 0 ? 0 : sinc * besselI0(beta * Math.sqrt(edge));
      table[newest - k] = value;
      sum += value;
    }
    for (let k = 0; k <= span; k++) table[newest - k] /= sum;
  }
  return table;
}

/** Modified Bessel function of order 0, by its power series. */
function besselI0(x: number): number {
  let term = 1;
  let sum = 1;
  for (let k = 1; term > sum * 1e-17; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

/** Best fraction near `value` by continued fractions: error below 1e-12, or 1e6 as denominator. */
function fraction(value: number): [number, number] {
  let [p0, q0, p1, q1] = [1, 0, Math.floor(value), 1];
  let rest = value - p1;
  while (Math.abs(p1 / q1 - value) > 1e-12 * value && rest > 0) {
    const inverse = 1 / rest;
    const whole = Math.floor(inverse);
    if (whole * q1 + q0 > 1e6) break;
    [p0, q0, p1, q1] = [p1, q1, whole * p1 + p0, whole * q1 + q0];
    rest = inverse - whole;
  }
  return [p1, q1];
}
