import { describe, expect, test } from 'vitest';
import { Rng } from '../../../src/core/rng.js';
import { bandMean, Fft, welch } from '../../../src/training/fft.js';
import { couple } from '../../../src/training/sleep/coupling.js';
import { whiteNoise } from '../../../src/training/sleep/spectrum.js';

const rateHz = 200;
const fft = new Fft(8192);
/** Density of unit white noise, 1/Hz. */
const white = 2 / rateHz;

/** Densities below the band and in it, over that of the white noise that went in. */
function coupled(seed: number): { below: number; nearer: number; band: number } {
  const rng = new Rng(seed);
  const signal = whiteNoise(400 * rateHz, rng).map((x) => 10 * x);
  couple([signal], rng);
  const found = welch(signal, rateHz, fft);
  const over = (low: number, high: number) => bandMean(found, rateHz, low, high) / (100 * white);
  return { below: over(0.09, 0.16), nearer: over(0.25, 0.5), band: over(12, 30) };
}

describe('what recorders let through below the band', () => {
  const found = Array.from({ length: 40 }, (_, seed) => coupled(seed));

  test('some take it away, in others it drifts, and the band stays as it is', () => {
    expect(found.filter(({ nearer }) => nearer < 0.7).length).toBeGreaterThan(5);
    expect(found.filter(({ nearer }) => nearer > 1.5).length).toBeGreaterThan(5);
    for (const { band } of found) {
      expect(band).toBeGreaterThan(0.85);
      expect(band).toBeLessThan(1.25);
    }
  });

  test('a drift falls with the square of frequency', () => {
    const drifting = found.filter(({ nearer }) => nearer > 20);
    expect(drifting.length).toBeGreaterThan(3);
    // From 0.12 to 0.35 Hz about nine times, less for what the window leaks.
    for (const { below, nearer } of drifting) {
      expect(below / nearer).toBeGreaterThan(3);
      expect(below / nearer).toBeLessThan(14);
    }
  });
});
