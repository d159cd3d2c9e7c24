/**
 * What is below the band: an amplifier with a high-pass takes slow waves away too (laboratories
 * have corners of 0.1 to 0.5 Hz), one without lets the electrodes drift.
 */
import type { Rng } from '../../core/rng.js';
import { synthesisRateHz } from './spectrum.js';

const cornersHz = [0.1, 0.7] as const;
/** Below this a drifting electrode comes to rest. */
const restHz = 0.03;
/** Spectral density of the drift at `driftHz`, log10 of uV^2/Hz: lowest and highest. */
const driftLevels = [0, 2.8] as const;
const driftHz = 0.35;

/** One coupling for all channels of a recording; a drift of its own for each. In place. */
export function couple(signals: readonly Float32Array[], rng: Rng): void {
  const [low, high] = cornersHz;
  const cornerHz = low * (high / low) ** rng.uniform();
  const order = 1 + rng.below(2);
  const coupled = rng.uniform() < 0.5;
  for (const signal of signals) {
    if (coupled) for (let i = 0; i < order; i++) highPass(signal, cornerHz);
    else drift(signal, rng);
  }
}

/** A resistor and a capacitor. */
function highPass(x: Float32Array, cornerHz: number): void {
  const keep = Math.exp((-2 * Math.PI * cornerHz) / synthesisRateHz);
  let slow = x[0] ?? 0;
  for (let i = 0; i < x.length; i++) {
    slow = keep * slow + (1 - keep) * x[i];
    x[i] -= slow;
  }
}

/** A walk that is drawn back: its density falls with the square of frequency. */
function drift(x: Float32Array, rng: Rng): void {
  const [low, high] = driftLevels;
  const density = 10 ** (low + (high - low) * rng.uniform());
  // One-sided density of steps s: 2 s^2 / rate over (2 pi f / rate)^2.
  const step = 2 * Math.PI * driftHz * Math.sqrt(density / (2 * synthesisRateHz));
  const keep = Math.exp((-2 * Math.PI * restHz) / synthesisRateHz);
  let at = (step * rng.normal()) / Math.sqrt(1 - keep ** 2);
  for (let i = 0; i < x.length; i++) {
    at = keep * at + step * rng.normal();
    x[i] += at;
  }
}
