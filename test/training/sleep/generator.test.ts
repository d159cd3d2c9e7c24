/** Generated sleep: does the signal have the powers, stages and waves it was asked for? */
import { describe, expect, test } from 'vitest';
import { Rng } from '../../../src/core/rng.js';
import { bandMean, Fft, welch } from '../../../src/training/fft.js';
import { drawPerson, epochEvents } from '../../../src/training/sleep/micro-structure.js';
import {
  bandsHz,
  shapeNoise,
  smoothDensity,
  whiteNoise,
  whiten,
} from '../../../src/training/sleep/spectrum.js';
import { synthesise } from '../../../src/training/sleep/synthesis.js';

const seed = 5;
const fft = new Fft(512);
const rateHz = 200;
/** Medians of Sleep-EDF's N3 at Fpz-Cz and Pz-Oz, uV^2/Hz. */
const deep = [179, 8.7, 2.4, 0.35, 0.04, 72, 5, 1, 0.14, 0.03];
const site = { front: 1, ocular: 1, spindle: 0.6, vertex: 0.9, alpha: 0.4, slow: 1 };

describe(`FFT, seed ${seed}`, () => {
  test('agrees with the sum it stands for, and undoes itself', () => {
    const rng = new Rng(seed);
    const x = Float64Array.from({ length: 16 }, () => rng.normal());
    const [re, im] = [x.slice(), new Float64Array(16)];
    const small = new Fft(16);
    small.forward(re, im);
    for (let k = 0; k < 16; k++) {
      let [a, b] = [0, 0];
      for (let i = 0; i < 16; i++) {
        a += x[i] * Math.cos((2 * Math.PI * k * i) / 16);
        b -= x[i] * Math.sin((2 * Math.PI * k * i) / 16);
      }
      expect(re[k]).toBeCloseTo(a, 12);
      expect(im[k]).toBeCloseTo(b, 12);
    }
    small.inverse(re, im);
    for (let i = 0; i < 16; i++) expect(re[i]).toBeCloseTo(x[i], 12);
  });

  test('Welch: a sine of amplitude 2 has power 2, white noise 2 / rate', () => {
    const sine = Float64Array.from(
      { length: 20_000 },
      (_, i) => 2 * Math.sin((2 * Math.PI * 25 * i) / 200),
    );
    const total = welch(sine, 200, fft).reduce((a, b) => a + b, 0) * (200 / 512);
    expect(total).toBeCloseTo(2, 3);
    const noise = welch(whiteNoise(40_000, new Rng(seed)), 200, fft);
    expect(bandMean(noise, 200, 5, 90)).toBeCloseTo(0.01, 3);
  });
});

describe(`coloured noise, seed ${seed}`, () => {
  test('band means follow the target within 10 %', () => {
    const targets = [40, 5, 2, 0.5, 0.1];
    const density = smoothDensity(targets);
    const x = shapeNoise(whiteNoise(rateHz * 600, new Rng(seed)), () => density);
    const found = welch(x, rateHz, fft);
    for (const [b, [low, high]] of bandsHz.entries())
      expect(
        Math.abs(bandMean(found, rateHz, low, high) / targets[b] - 1),
        `band ${b}`,
      ).toBeLessThan(0.1);
  });

  test('whitening flattens a real-looking spectrum to unit variance', () => {
    const density = smoothDensity([40, 5, 2, 0.5, 0.1]);
    const coloured = shapeNoise(whiteNoise(rateHz * 120, new Rng(seed)), () => density);
    const found = welch(whiten(coloured), rateHz, fft);
    const [slow, fast] = [bandMean(found, rateHz, 1, 4), bandMean(found, rateHz, 30, 50)];
    expect(slow / fast).toBeGreaterThan(0.7);
    expect(slow / fast).toBeLessThan(1.4);
  });
});

describe(`nights, seed ${seed}`, () => {
  const epochs = 16;
  const excerpt = {
    stages: Array.from({ length: epochs }, () => 'N3'),
    power: Float32Array.from({ length: epochs * 10 }, (_, i) => deep[i % 10]),
  };
  const options = { seed, channels: [{ label: 'EEG Fpz-Cz', site }], backgrounds: [] };

  test('signal keeps the slope of the measured powers, waves and noise together', () => {
    const [x] = synthesise(excerpt, options);
    expect(x.length).toBe(epochs * 30 * rateHz);
    const found = welch(x, rateHz, fft);
    const levels = bandsHz.map(([low, high]) => Math.log(bandMean(found, rateHz, low, high)));
    const wanted = deep.slice(0, 5).map(Math.log);
    // One gain, a tilt and offsets are drawn for every recording: shape, not level.
    for (let b = 1; b < 4; b++)
      expect(Math.abs(levels[0] - levels[b] - (wanted[0] - wanted[b])), `band ${b}`).toBeLessThan(
        1.6,
      );
  });

  test('spread 1 is the usual; a larger one sets recordings further apart', () => {
    const short = { ...excerpt, stages: excerpt.stages.slice(0, 2) };
    const slopes = (spread?: number): number[] =>
      Array.from({ length: 12 }, (_, i) => {
        const [x] = synthesise(short, { ...options, seed: seed + i, spread });
        const found = welch(x, rateHz, fft);
        const [low, high] = [bandsHz[0], bandsHz[3]].map(([from, to]) =>
          Math.log(bandMean(found, rateHz, from, to)),
        );
        return low - high;
      });
    const scatter = (x: number[]): number => {
      const mean = x.reduce((a, b) => a + b, 0) / x.length;
      return Math.sqrt(x.reduce((sum, v) => sum + (v - mean) ** 2, 0) / x.length);
    };
    const usual = slopes();
    expect(slopes(1)).toEqual(usual);
    expect(scatter(slopes(2.5))).toBeGreaterThan(1.5 * scatter(usual));
  });

  test('the same seed gives the same samples, another seed others', () => {
    const short = { stages: ['W', 'N1', 'N2', 'R'], power: excerpt.power.subarray(0, 40) };
    const bytes = (by: number) =>
      Buffer.from(synthesise(short, { ...options, seed: by })[0].buffer);
    expect(bytes(seed).equals(bytes(seed))).toBe(true);
    expect(bytes(seed).equals(bytes(seed + 1))).toBe(false);
  });
});

describe(`micro-structure, seed ${seed}`, () => {
  const count = (stage: string, seenBy: string, track: string): number => {
    const rng = new Rng(seed);
    let found = 0;
    for (let person = 0; person < 8; person++)
      found += epochEvents(stage, 0, 600, drawPerson(rng), rng).filter(
        (event) => event.seenBy === seenBy && event.track === track,
      ).length;
    return found / 80;
  };

  test('spindles belong to N2, slow waves to N3, slow eyes to N1, vertex waves not to N3', () => {
    const spindles = count('N2', 'spindle', 'sigma') + count('N2', 'spindle', 'alpha');
    expect(spindles).toBeGreaterThan(2);
    expect(spindles).toBeLessThan(6);
    expect(count('W', 'spindle', 'sigma')).toBe(0);
    expect(count('N3', 'slow', 'delta')).toBeGreaterThan(8);
    expect(count('N2', 'slow', 'delta')).toBeLessThan(6);
    expect(count('R', 'slow', 'delta')).toBe(0);
    expect(count('N1', 'ocular', 'delta')).toBeGreaterThan(2);
    expect(count('N3', 'vertex', 'theta')).toBe(0);
  });

  test('a spindle lasts 0.5-2 s, a slow wave in N3 passes 75 uV peak to peak', () => {
    const rng = new Rng(seed);
    const events = Array.from({ length: 40 }, () =>
      epochEvents('N3', 0, 30, drawPerson(rng), rng),
    ).flat();
    const slow = events.filter((event) => event.seenBy === 'slow');
    const sizes = slow.map(({ wave }) => Math.max(...wave) - Math.min(...wave));
    const large = sizes.filter((uv) => uv > 75).length;
    expect(large / sizes.length).toBeGreaterThan(0.7);
    for (const { wave } of events.filter((event) => event.seenBy === 'spindle')) {
      expect(wave.length).toBeGreaterThanOrEqual(0.5 * rateHz);
      expect(wave.length).toBeLessThanOrEqual(2 * rateHz);
    }
  });
});
