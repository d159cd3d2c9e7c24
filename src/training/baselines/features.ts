/**
 * What classical classifiers are given: log band powers of a window in running scales, and trials
 * band-passed to 8-30 Hz for spatial patterns. Causal, like the model's input.
 */
import { modelRateHz, patchSamples } from '../../core/tasks.js';
import { bandMean, Fft } from '../fft.js';
import type { PreparedRecording } from '../prepared.js';
import { secondEnds } from '../windows.js';
import type { Trial } from './csp.js';

const bands: readonly (readonly [number, number])[] = [
  [0.5, 4],
  [4, 8],
  [8, 13],
  [13, 30],
  [30, 45],
];
export const bandCount = bands.length;

/** `[channels][bands]` log power densities of a window; undefined where no second is usable. */
export function bandPowers(
  recording: PreparedRecording,
  endSample: number,
  windowS: number,
): (Float64Array | undefined)[] {
  const { channels } = recording;
  const ends = secondEnds(endSample, windowS);
  const patches = new Float32Array(windowS * channels * patchSamples);
  const mask = new Float32Array(windowS * channels);
  recording.patches(ends, patches, mask);
  return Array.from({ length: channels }, (_, c) => {
    const sum = new Float64Array(bandCount);
    let seconds = 0;
    for (let s = 0; s < windowS; s++) {
      const row = s * channels + c;
      if (mask[row] === 0) continue;
      const density = periodogram(patches, row * patchSamples);
      for (const [b, [low, high]] of bands.entries())
        sum[b] += bandMean(density, modelRateHz, low, high);
      seconds++;
    }
    return seconds === 0 ? undefined : sum.map((value) => Math.log(value / seconds + 1e-7));
  });
}

const fft = new Fft(256);
const re = new Float64Array(256);
const im = new Float64Array(256);
const hann = Float64Array.from(
  { length: patchSamples },
  (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * (i + 0.5)) / patchSamples),
);

/** One-sided density of one second, Hann window, zero-padded to 256. */
function periodogram(x: Float32Array, from: number): Float64Array {
  let mean = 0;
  for (let i = 0; i < patchSamples; i++) mean += x[from + i] / patchSamples;
  re.fill(0);
  im.fill(0);
  for (let i = 0; i < patchSamples; i++) re[i] = (x[from + i] - mean) * hann[i];
  fft.forward(re, im);
  return Float64Array.from(
    { length: 129 },
    (_, k) => (re[k] * re[k] + im[k] * im[k]) / (modelRateHz * patchSamples * 0.375),
  );
}

/** Mean over the usable channels: the same number of features for any montage. */
export function channelMean(
  powers: readonly (Float64Array | undefined)[],
): Float64Array | undefined {
  const known = powers.flatMap((one) => one ?? []);
  const rows = powers.filter((one) => one !== undefined);
  if (known.length === 0) return undefined;
  const out = new Float64Array(bandCount);
  for (const row of rows) for (let b = 0; b < bandCount; b++) out[b] += row[b] / rows.length;
  return out;
}

/** All channels one after the other; unusable ones stand at the mean of the others. */
export function channelList(
  powers: readonly (Float64Array | undefined)[],
): Float64Array | undefined {
  const mean = channelMean(powers);
  if (mean === undefined) return undefined;
  const out = new Float64Array(powers.length * bandCount);
  for (const [c, row] of powers.entries()) out.set(row ?? mean, c * bandCount);
  return out;
}

/** The window's signal in running scales, `[channels, samples]`, 8 to 30 Hz. */
export function bandPassed(
  recording: Pick<PreparedRecording, 'channels' | 'signal' | 'scales'>,
  endSample: number,
  windowS: number,
): Trial {
  const { channels } = recording;
  const samples = windowS * modelRateHz;
  const signal = recording.signal(endSample - samples, endSample);
  const [scales] = [recording.scales(endSample / 50 - 1, 1)];
  const size = 2 ** Math.ceil(Math.log2(samples));
  const long = new Fft(size);
  const [a, b] = [new Float64Array(size), new Float64Array(size)];
  const data = new Float32Array(channels * samples);
  for (let c = 0; c < channels; c++) {
    if (scales[c] === 0) continue;
    a.fill(0);
    b.fill(0);
    for (let i = 0; i < samples; i++) a[i] = signal[c * samples + i] / scales[c];
    long.forward(a, b);
    for (let k = 0; k < size; k++) {
      const hz = (Math.min(k, size - k) * modelRateHz) / size;
      if (hz >= 8 && hz <= 30) continue;
      a[k] = 0;
      b[k] = 0;
    }
    long.inverse(a, b);
    for (let i = 0; i < samples; i++) data[c * samples + i] = a[i];
  }
  return { channels, data };
}
