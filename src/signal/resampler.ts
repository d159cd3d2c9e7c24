/**
 * Streaming rational resampling to the model's rate by a polyphase FIR: a sinc under a Kaiser
 * window (Kaiser 1974), each phase scaled to sum 1 so that electrode offsets of many millivolts
 * leave no ripple. Output n is due when source sample `floor(n * rateHz / 200)` has arrived and is
 * delayed by exactly `delayS`. This file owns the filter and its arithmetic; the samples belong
 * to the conditioner.
 */
import { modelRateHz } from '../core/tasks.js';
import type { Channels, Frames, Outputs, Rows } from './rows.js';

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
  /** Rows of `taps`, oldest tap first: row r is for an output r/rows past a source sample. */
  readonly #table: readonly Float64Array[];
  /** Where the table has no row for every phase (one more than rows): the one in between. */
  readonly #between: Float64Array | undefined;
  readonly #shape: FilterShape;

  constructor(rateHz: number) {
    [this.step, this.phases] = fraction(rateHz / modelRateHz);
    this.#shape = filterShape(rateHz);
    this.taps = Math.ceil((this.#shape.span + 1) / 4) * 4;
    this.delayS = this.#shape.span / 2 / rateHz;
    const exact = this.phases <= exactPhases;
    const rows = exact ? this.phases : this.taps > 100 ? 512 : 4096;
    this.#table = phaseTable(this.#shape, this.taps, rows, !exact);
    this.#between = exact ? undefined : new Float64Array(this.taps);
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
      const tap = this.#table[0][this.taps - 1 - k];
      sum += tap * Math.cos((2 * Math.PI * hz * (k - span / 2)) / rateHz);
    }
    return sum;
  }

  /**
   * Outputs `first .. first + count` of some channels into their rows of `out`. `history` must
   * reach `taps - 1` samples back from the source of `first`.
   */
  run(history: Frames, channels: Channels, [first, count]: Outputs, out: Rows) {
    const { step, phases, taps } = this;
    const wholeStep = Math.floor(step / phases);
    const partStep = step - wholeStep * phases;
    let oldest = history.offset + this.sourceOf(first) - taps + 1;
    let phase = ((first % phases) * step) % phases;
    for (let i = 0; i < count; i++) {
      weigh(this.#weights(phase), history, oldest, { channels, out, at: i });
      oldest += wholeStep;
      phase += partStep;
      if (phase >= phases) {
        phase -= phases;
        oldest++;
      }
    }
  }

  /** The filter of an output `phase / phases` past a source sample; good until the next call. */
  #weights(phase: number): Float64Array {
    const table = this.#table;
    if (this.#between === undefined) return table[phase];
    const place = (phase / this.phases) * (table.length - 1);
    const row = Math.floor(place);
    const [low, high] = [table[row], table[row + 1]];
    const between = this.#between;
    for (let k = 0; k < between.length; k++) {
      between[k] = low[k] + (place - row) * (high[k] - low[k]);
    }
    return between;
  }
}

interface Target {
  readonly channels: Channels;
  readonly out: Rows;
  readonly at: number;
}

/**
 * One output of each channel: the sum of its frames from `oldest` on, weighed. Four channels side by
 * side and two sums each, so that no addition waits for the one before; a channel's sums are the
 * same beside others and alone. The number of weights is even.
 */
function weigh(weights: Float64Array, history: Frames, oldest: number, target: Target): void {
  const { data, width } = history;
  const { out, at } = target;
  const { from, to } = target.channels;
  const taps = weights.length;
  const base = oldest * width;
  let c = from;
  for (; c + 4 <= to; c += 4) {
    let a0 = 0;
    let a1 = 0;
    let a2 = 0;
    let a3 = 0;
    let b0 = 0;
    let b1 = 0;
    let b2 = 0;
    let b3 = 0;
    for (let k = 0, i = base + c; k < taps; k += 2, i += width) {
      const even = weights[k];
      a0 += even * data[i];
      a1 += even * data[i + 1];
      a2 += even * data[i + 2];
      a3 += even * data[i + 3];
      i += width;
      const odd = weights[k + 1];
      b0 += odd * data[i];
      b1 += odd * data[i + 1];
      b2 += odd * data[i + 2];
      b3 += odd * data[i + 3];
    }
    const place = c * out.width + at;
    out.data[place] = a0 + b0;
    out.data[place + out.width] = a1 + b1;
    out.data[place + 2 * out.width] = a2 + b2;
    out.data[place + 3 * out.width] = a3 + b3;
  }
  for (; c < to; c++) {
    let a = 0;
    let b = 0;
    for (let k = 0, i = base + c; k < taps; k += 2, i += 2 * width) {
      a += weights[k] * data[i];
      b += weights[k + 1] * data[i + width];
    }
    out.data[c * out.width + at] = a + b;
  }
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
  const all = new Float64Array((guard ? rows + 1 : rows) * taps);
  return Array.from({ length: all.length / taps }, (_, r) => {
    const row = all.subarray(r * taps, (r + 1) * taps);
    fillPhase(shape, r / rows, row);
    return row;
  });
}

/** The filter of an output `past` source samples after a source sample, summing to 1. */
function fillPhase({ rateHz, span, cutoffHz }: FilterShape, past: number, row: Float64Array) {
  const beta = 0.1102 * (stopbandDb - 8.7);
  const newest = row.length - 1;
  let sum = 0;
  for (let k = 0; k <= span; k++) {
    const t = k + past - span / 2;
    const edge = span === 0 ? 0 : 1 - (t / (span / 2)) ** 2;
    const angle = (2 * Math.PI * cutoffHz * t) / rateHz;
    const sinc = angle === 0 ? 1 : Math.sin(angle) / angle;
    row[newest - k] = edge < 0 ? 0 : sinc * besselI0(beta * Math.sqrt(edge));
    sum += row[newest - k];
  }
  for (let k = 0; k <= span; k++) row[newest - k] /= sum;
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
