/**
 * Time stamps of XDF streams as pyxdf computes them: the sender's clock is mapped to the recorder's
 * by a robust line through the clock offsets (Huber loss by ADMM, Boyd et al. 2011, section 6.1.1),
 * piecewise where the sender's clock was reset; then stamps of regular streams are replaced by a
 * line through each segment without breaks.
 */
import type { ClockOffset } from './xdf-chunks.js';
import type { KnownGap } from './xdf-gaps.js';

/** Offsets are scaled by this, s, so that deviations beyond it count linearly. */
const huberS = 1e-4;
const breakS = 1;
const breakSamples = 500;

export interface ClockSpan {
  /** First sample it holds for. */
  readonly sample: number;
  /** Added to a stamp `t`: `intercept + slope * t`. */
  readonly intercept: number;
  readonly slope: number;
}

/** In place. */
export function synchronise(
  stamps: Float64Array,
  offsets: readonly ClockOffset[],
  rateHz: number,
): void {
  const spans = clockSpans(stamps, offsets, rateHz);
  for (const [k, { sample, intercept, slope }] of spans.entries()) {
    const end = spans[k + 1]?.sample ?? stamps.length;
    for (let i = sample; i < end; i++) {
      const t = stamps[i] as number;
      stamps[i] = t + intercept + slope * t;
    }
  }
}

export function clockSpans(
  stamps: Float64Array,
  offsets: readonly ClockOffset[],
  rateHz: number,
): ClockSpan[] {
  if (offsets.length === 0) return [];
  const cuts = [0, ...resets(offsets), offsets.length];
  const spans: ClockSpan[] = [];
  for (let k = 0; k + 1 < cuts.length; k++) {
    const part = offsets.slice(cuts[k], cuts[k + 1]);
    const first = part[0] as ClockOffset;
    const line =
      part.length === 1
        ? { intercept: first.offsetS, slope: 0 }
        : robustLine(
            part.map(({ timeS }) => timeS),
            part.map(({ offsetS }) => offsetS),
          );
    const previous = offsets[(cuts[k] as number) - 1];
    const sample =
      previous === undefined ? 0 : largestStep(stamps, previous.sample, first.sample, rateHz);
    spans.push({ sample, ...line });
  }
  return spans;
}

/** Indices of offsets that begin anew: both the time and the value jump far out of line. */
function resets(offsets: readonly ClockOffset[]): number[] {
  const steps = (of: (o: ClockOffset) => number): number[] =>
    offsets.slice(1).map((o, i) => of(o) - of(offsets[i] as ClockOffset));
  const times = steps(({ timeS }) => timeS);
  const values = steps(({ offsetS }) => offsetS).map(Math.abs);
  const isOut = (all: number[], deviations: number, seconds: number): boolean[] => {
    const middle = median(all);
    const spread = median(all.map((v) => Math.abs(v - middle))) + Number.EPSILON;
    return all.map((v) => v < 0 || ((v - middle) / spread > deviations && v - middle > seconds));
  };
  const timeOut = isOut(times, 5, 5);
  const valueOut = isOut(values, 10, 1);
  return times.flatMap((_, i) => (timeOut[i] && valueOut[i] ? [i + 1] : []));
}

/** The sample between two offsets before which the stamps leave the line of the rate most. */
function largestStep(stamps: Float64Array, from: number, to: number, rateHz: number): number {
  let best = Math.min(to, stamps.length);
  let most = -1;
  for (let i = Math.max(1, from); i <= to && i < stamps.length; i++) {
    const step = (stamps[i] as number) - (stamps[i - 1] as number);
    const off = Math.abs(step - (rateHz > 0 ? 1 / rateHz : 0));
    if (off > most) {
      most = off;
      best = i;
    }
  }
  return best;
}

/** Line `y = intercept + slope * x` under Huber's loss with threshold `huberS`. */
export function robustLine(
  x: readonly number[],
  y: readonly number[],
): { intercept: number; slope: number } {
  const origin = Math.min(...x);
  const n = x.length;
  const a = x.map((value) => (value - origin) / huberS);
  const b = y.map((value) => value / huberS);
  let s1 = 0;
  let s2 = 0;
  for (const value of a) {
    s1 += value;
    s2 += value * value;
  }
  const determinant = n * s2 - s1 * s1;
  if (!(determinant > 0)) return { intercept: median([...y]), slope: 0 };
  const z = new Float64Array(n);
  const u = new Float64Array(n);
  let c0 = 0;
  let c1 = 0;
  for (let iteration = 0; iteration < 1000; iteration++) {
    let t0 = 0;
    let t1 = 0;
    for (let i = 0; i < n; i++) {
      const target = (b[i] as number) + (z[i] as number) - (u[i] as number);
      t0 += target;
      t1 += target * (a[i] as number);
    }
    c0 = (s2 * t0 - s1 * t1) / determinant;
    c1 = (n * t1 - s1 * t0) / determinant;
    for (let i = 0; i < n; i++) {
      const d = c0 + c1 * (a[i] as number) - (b[i] as number) + (u[i] as number);
      const shrunk = d === 0 ? 0 : d * Math.max(0, 1 - 2 / Math.abs(d));
      z[i] = 0.5 * d + 0.5 * shrunk;
      u[i] = d - (z[i] as number);
    }
  }
  const slope = c1;
  return { intercept: c0 * huberS - slope * origin, slope };
}

/** First samples of the segments that no break divides. */
export function segments(stamps: Float64Array, rateHz: number): number[] {
  const threshold = Math.max(breakS, breakSamples / rateHz);
  const starts = [0];
  for (let i = 1; i < stamps.length; i++) {
    if (Math.abs((stamps[i] as number) - (stamps[i - 1] as number)) > threshold) starts.push(i);
  }
  return starts;
}

/**
 * In place: each segment becomes the line of least squares through it, over the sample's place in
 * time, which counts samples that are known to be missing.
 */
export function dejitter(
  stamps: Float64Array,
  starts: readonly number[],
  gaps: readonly KnownGap[] = [],
): void {
  for (const [k, start] of starts.entries()) {
    const end = starts[k + 1] ?? stamps.length;
    const x = places(start, end, gaps);
    const n = end - start;
    const origin = stamps[start] ?? 0;
    let meanX = 0;
    let meanT = 0;
    for (let i = 0; i < n; i++) {
      meanX += (x[i] as number) / n;
      meanT += ((stamps[start + i] as number) - origin) / n;
    }
    let covariance = 0;
    let variance = 0;
    for (let i = 0; i < n; i++) {
      const dx = (x[i] as number) - meanX;
      covariance += dx * ((stamps[start + i] as number) - origin - meanT);
      variance += dx * dx;
    }
    const slope = variance > 0 ? covariance / variance : 0;
    for (let i = 0; i < n; i++) {
      stamps[start + i] = origin + meanT + slope * ((x[i] as number) - meanX);
    }
  }
}

function places(start: number, end: number, gaps: readonly KnownGap[]): Float64Array {
  const x = new Float64Array(end - start);
  let shift = 0;
  let next = gaps.findIndex(({ frame }) => frame > start);
  for (let i = start; i < end; i++) {
    while (next >= 0 && gaps[next]?.frame === i) shift += gaps[next++]?.missing ?? 0;
    x[i - start] = i - start + shift;
  }
  return x;
}

function median(values: number[]): number {
  const sorted = [...values].sort((p, q) => p - q);
  const middle = sorted.length >> 1;
  if (sorted.length === 0) return 0;
  const upper = sorted[middle] as number;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] as number) + upper) / 2;
}
