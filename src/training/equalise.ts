/**
 * Another electrode, derivation or amplifier: every channel through a smooth random gain over
 * frequency that is the same for the whole window and its context, so that a spectrum's shape says
 * less than how it changes. Seconds are filtered one by one, as circles: what that does at their
 * ends, the Hann window of the model's spectra hardly sees.
 */
import type { Rng } from '../core/rng.js';
import { modelRateHz, patchSamples } from '../core/tasks.js';
import type { Cut } from './augment.js';

/** The gain is drawn here and runs straight between them, over the logarithm of frequency. */
const knotsHz = [0.7, 2, 5, 10, 18, 32];
/** Power of the gain that all channels share; the rest is each one's own. */
const sharedPower = 0.6;
const bins = patchSamples / 2;

/** `sdDb`: spread of the gain at each knot. Masked seconds stay as they are. */
export function equalise(cut: Cut, sdDb: number, rng: Rng): void {
  const shared = drawKnots(Math.sqrt(sharedPower) * sdDb, rng);
  const out = new Float32Array(patchSamples);
  for (let c = 0; c < cut.channels; c++) {
    const own = drawKnots(Math.sqrt(1 - sharedPower) * sdDb, rng);
    const kernel = kernelOf(gains(shared.map((db, k) => db + own[k])));
    for (let s = 0; s < cut.seconds; s++) {
      const row = s * cut.channels + c;
      if (cut.mask[row] === 0) continue;
      const patch = cut.patches.subarray(row * patchSamples, (row + 1) * patchSamples);
      convolve(patch, kernel, out);
      patch.set(out);
    }
  }
}

function drawKnots(sdDb: number, rng: Rng): number[] {
  return knotsHz.map(() => sdDb * rng.normal());
}

/** Amplitude gain of each whole hertz from its decibels at the knots; flat beyond them. */
export function gains(knotsDb: readonly number[]): Float64Array {
  const at = knotsHz.map(Math.log2);
  return Float64Array.from({ length: bins + 1 }, (_, bin) => {
    const hz = Math.log2(Math.max(knotsHz[0], (bin * modelRateHz) / patchSamples));
    const above = at.findIndex((knot) => knot > hz);
    if (above < 0) return 10 ** ((knotsDb.at(-1) as number) / 20);
    const share = (hz - at[above - 1]) / (at[above] - at[above - 1]);
    return 10 ** ((knotsDb[above - 1] + share * (knotsDb[above] - knotsDb[above - 1])) / 20);
  });
}

/** Inverse DFT of a real, even response: the taps of one side, up to half a second. */
function kernelOf(response: Float64Array): Float64Array {
  return Float64Array.from({ length: bins + 1 }, (_, n) => {
    let sum = response[0] + (n % 2 === 0 ? 1 : -1) * response[bins];
    for (let k = 1; k < bins; k++) sum += 2 * response[k] * cosines[(k * n) % patchSamples];
    return sum / patchSamples;
  });
}

const cosines = Float64Array.from({ length: patchSamples }, (_, i) =>
  Math.cos((2 * Math.PI * i) / patchSamples),
);
const round = new Float64Array(2 * patchSamples);

function convolve(x: Float32Array, kernel: Float64Array, out: Float32Array): void {
  for (let i = 0; i < 2 * patchSamples; i++) round[i] = x[(i + bins) % patchSamples];
  for (let n = 0; n < patchSamples; n++) {
    const at = n + bins;
    let sum = kernel[0] * round[at] + kernel[bins] * round[at - bins];
    for (let d = 1; d < bins; d++) sum += kernel[d] * (round[at - d] + round[at + d]);
    out[n] = sum;
  }
}
