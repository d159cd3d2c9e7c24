/** Made-up labelled trials: a slow or a fast rhythm at its own electrode, in coloured noise. */
import type { TrialSignal } from '../../src/adaptation/trial-signal.js';
import type { Rng } from '../../src/core/rng.js';

export const trialChannels = ['C3', 'C4', 'Cz', 'Pz'];
/** `[4, 6]`: places of the electrodes, Cz as reference of none. */
export const trialPositions = Float32Array.from([
  ...[-0.72, 0, 0.69, 0, 0, 0],
  ...[0.72, 0, 0.69, 0, 0, 0],
  ...[0, 0, 1, 0, 0, 0],
  ...[0, -0.72, 0.69, 0, 0, 0],
]);

/** A trial of `seconds`: 11 or 23 Hz at electrode `label`, `strength` times the noise. */
export function madeTrial(
  label: number,
  rng: Rng,
  { seconds = 3, strength = 1 }: { seconds?: number; strength?: number } = {},
): TrialSignal {
  const samples = 200 * seconds;
  const channels = trialChannels.length;
  const data = new Float32Array(channels * samples);
  const phase = 2 * Math.PI * rng.uniform();
  for (let c = 0; c < channels; c++) {
    let slow = 0;
    for (let i = 0; i < samples; i++) {
      slow = 0.95 * slow + rng.normal();
      const turn = (2 * Math.PI * (11 + 12 * label) * i) / 200;
      const rhythm = c === label ? strength * Math.sin(phase + turn) : 0;
      data[c * samples + i] = 10 * (0.3 * slow + rng.normal() * 0.3 + rhythm);
    }
  }
  return {
    data,
    valid: new Uint8Array(channels * samples).fill(1),
    scale: new Float32Array(channels * 4 * seconds).fill(8),
  };
}
