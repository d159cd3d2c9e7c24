/**
 * Noise with a spectrum that follows measured band powers: a smooth density through five bands,
 * and a filter that changes from frame to frame without a seam.
 */
import type { Rng } from '../../core/rng.js';
import { Fft } from '../fft.js';

/** Bands of data/sleepedf-bandpower, Hz. */
export const bandsHz: readonly (readonly [number, number])[] = [
  [0.5, 4],
  [4, 8],
  [8, 13],
  [13, 30],
  [30, 50],
];
export const synthesisRateHz = 200;
const frameSamples = 1024;
const hopSamples = frameSamples / 2;
const binHz = synthesisRateHz / frameSamples;
const bins = frameSamples / 2 + 1;

/** Where the smooth curve is pinned: near the power's centre of each band. */
const anchorsHz = [1.2, 5.6, 10.2, 19, 38];

/** `[bins]` uV^2/Hz whose mean over each band is the target: straight lines in log-log, pinned. */
export function smoothDensity(targets: ArrayLike<number>): Float64Array {
  const pins = Float64Array.from(targets, (value) => Math.log(Math.max(value, 1e-4)));
  const wanted = pins.slice();
  let density = curve(pins);
  for (let round = 0; round < 6; round++) {
    for (const [b, [low, high]] of bandsHz.entries()) {
      let sum = 0;
      let count = 0;
      for (let k = Math.ceil(low / binHz); k * binHz < high; k++, count++) sum += density[k];
      pins[b] += 0.8 * (wanted[b] - Math.log(sum / count));
    }
    density = curve(pins);
  }
  return density;
}

function curve(pins: Float64Array): Float64Array {
  const out = new Float64Array(bins);
  const at = anchorsHz.map(Math.log);
  for (let k = 1; k < bins; k++) {
    const x = Math.log(Math.max(k * binHz, 0.4));
    let i = 0;
    while (i < at.length - 2 && x > at[i + 1]) i++;
    const slope = (pins[i + 1] - pins[i]) / (at[i + 1] - at[i]);
    // Beyond the last pin the fall goes on; below the first it is kept from exploding.
    out[k] = Math.exp(pins[i] + Math.max(-4, Math.min(4, slope)) * (x - at[i]));
  }
  return out;
}

/**
 * Shape a white signal of unit variance so that second by second its density is `densityAt(t)`:
 * sine windows before and after the filter overlap to one.
 */
export function shapeNoise(
  white: Float32Array,
  densityAt: (timeS: number) => Float64Array,
): Float32Array {
  const fft = new Fft(frameSamples);
  const window = Float64Array.from({ length: frameSamples }, (_, i) =>
    Math.sin((Math.PI * (i + 0.5)) / frameSamples),
  );
  const re = new Float64Array(frameSamples);
  const im = new Float64Array(frameSamples);
  const out = new Float32Array(white.length);
  for (let from = -hopSamples; from < white.length; from += hopSamples) {
    for (let i = 0; i < frameSamples; i++) re[i] = (white[from + i] ?? 0) * window[i];
    im.fill(0);
    fft.forward(re, im);
    const density = densityAt((from + hopSamples) / synthesisRateHz);
    for (let k = 0; k < bins; k++) {
      // White noise of unit variance has the one-sided density 2 / rate.
      const gain = Math.sqrt((density[k] * synthesisRateHz) / 2);
      re[k] *= gain;
      im[k] *= gain;
      if (k === 0 || k === bins - 1) continue;
      re[frameSamples - k] *= gain;
      im[frameSamples - k] *= gain;
    }
    fft.inverse(re, im);
    for (let i = Math.max(0, -from); i < frameSamples && from + i < out.length; i++)
      out[from + i] += re[i] * window[i];
  }
  return out;
}

export function whiteNoise(samples: number, rng: Rng): Float32Array {
  const out = new Float32Array(samples);
  for (let i = 0; i < samples; i++) out[i] = rng.normal();
  return out;
}

/**
 * Flatten a real recording's spectrum frame by frame and bring it to unit variance: its bursts,
 * blinks and jumps stay in time, its own spectrum goes.
 */
export function whiten(x: Float32Array): Float32Array {
  const fft = new Fft(frameSamples);
  const window = Float64Array.from({ length: frameSamples }, (_, i) =>
    Math.sin((Math.PI * (i + 0.5)) / frameSamples),
  );
  const re = new Float64Array(frameSamples);
  const im = new Float64Array(frameSamples);
  const mean = averageMagnitude(x, fft, window);
  const out = new Float32Array(x.length);
  for (let from = -hopSamples; from < x.length; from += hopSamples) {
    for (let i = 0; i < frameSamples; i++) re[i] = (x[from + i] ?? 0) * window[i];
    im.fill(0);
    fft.forward(re, im);
    for (let k = 0; k < frameSamples; k++) {
      const magnitude = mean[Math.min(k, frameSamples - k)];
      re[k] /= magnitude;
      im[k] /= magnitude;
    }
    fft.inverse(re, im);
    for (let i = Math.max(0, -from); i < frameSamples && from + i < out.length; i++)
      out[from + i] += re[i] * window[i];
  }
  let square = 0;
  for (const value of out) square += value * value;
  const scale = 1 / Math.sqrt(square / Math.max(1, out.length) || 1);
  // A single jump must not become the whole recording.
  return out.map((value) => Math.max(-8, Math.min(8, value * scale)));
}

function averageMagnitude(x: Float32Array, fft: Fft, window: Float64Array): Float64Array {
  const re = new Float64Array(frameSamples);
  const im = new Float64Array(frameSamples);
  const power = new Float64Array(bins);
  for (let from = 0; from + frameSamples <= x.length; from += hopSamples) {
    for (let i = 0; i < frameSamples; i++) re[i] = x[from + i] * window[i];
    im.fill(0);
    fft.forward(re, im);
    for (let k = 0; k < bins; k++) power[k] += re[k] * re[k] + im[k] * im[k];
  }
  const out = new Float64Array(bins);
  const reach = 4;
  for (let k = 0; k < bins; k++) {
    let sum = 0;
    let count = 0;
    for (let j = Math.max(0, k - reach); j <= Math.min(bins - 1, k + reach); j++, count++)
      sum += power[j];
    out[k] = Math.sqrt(sum / count) || 1;
  }
  // What the recorder filtered away is not blown up again.
  const floor = 1e-3 * Math.max(...out);
  return out.map((value) => Math.max(value, floor));
}
