/** Filters and resampler against SciPy (fixtures made by test/fixtures/signal/make.py). */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { Conditioner } from '../../src/signal/conditioner.js';
import {
  butterworth,
  FilterBank,
  groupDelayS,
  notch,
  response,
  type Sections,
} from '../../src/signal/filters.js';
import { Resampler } from '../../src/signal/resampler.js';

const folder = new URL('../fixtures/signal/', import.meta.url);
const read = (name: string) => JSON.parse(readFileSync(new URL(name, folder), 'utf8')).cases;

interface FilterCase {
  readonly fresh: number[];
  readonly settled: number[];
  readonly hz: number[];
  readonly gain: number[];
}
interface ResamplingCase {
  readonly rateHz: number;
  readonly input: number[];
  readonly every: number;
  readonly output: number[];
}

const filters: { input: number[]; designs: Record<string, FilterCase>; lowDelayS: number } =
  read('filters.json');
const resampling: ResamplingCase[] = read('resampling.json');

const designs: Record<string, Sections> = {
  high: butterworth('high', 2, 0.4, 200),
  low: butterworth('low', 4, 45, 200),
  notch50: notch(50, 30, 200),
  notch60: notch(60, 30, 200),
};

/** Largest difference over the reference's largest value. */
function relativeError(got: ArrayLike<number>, expected: readonly number[]): number {
  expect(got.length).toBe(expected.length);
  const scale = Math.max(...expected.map(Math.abs));
  return Math.max(...expected.map((value, i) => Math.abs(got[i] - value))) / scale;
}

describe('filters', () => {
  test.each(Object.keys(filters.designs))('%s: as sosfilt, from rest and settled', (name) => {
    const { fresh, settled, hz, gain } = filters.designs[name];
    const bank = new FilterBank(designs[name], 2);
    const second = { from: 1, to: 2 };
    const filtered = (input: readonly number[]) => {
      const rows = { data: Float64Array.of(...input.map(() => 0), ...input), width: input.length };
      bank.run(second, rows, input.length);
      return rows.data.slice(input.length);
    };
    // In two pieces, on the second channel: the first must not be touched by it.
    const { input } = filters;
    const pieces = [...filtered(input.slice(0, 131)), ...filtered(input.slice(131))];
    expect(relativeError(pieces, fresh)).toBeLessThan(1e-9);
    bank.restart(1, input[0]);
    // The high-pass takes 12 mV off: its output is 200 times smaller than what rounds.
    expect(relativeError(filtered(input), settled)).toBeLessThan(1e-8);
    const rest = { data: new Float64Array(10), width: 5 };
    bank.run({ from: 0, to: 1 }, rest, 5);
    expect([...rest.data.subarray(0, 5)]).toEqual([0, 0, 0, 0, 0]);
    const gains = hz.map((f) => Math.hypot(...response(designs[name], f, 200)));
    expect(relativeError(gains, gain)).toBeLessThan(1e-9);
  });

  test('group delay as scipy.signal.group_delay', () => {
    expect(groupDelayS(designs.low, 10, 200)).toBeCloseTo(filters.lowDelayS, 8);
  });
});

describe('resampler', () => {
  const one = { from: 0, to: 1 };

  test.each(resampling)('$rateHz Hz: as upfirdn', ({ rateHz, input, every, output }) => {
    const resampler = new Resampler(rateHz);
    const history = new Float64Array(resampler.taps + input.length);
    history.set(input, resampler.taps);
    const due = resampler.firstAfter(input.length);
    const out = new Float64Array(due);
    const frames = { data: history, width: 1, offset: resampler.taps };
    resampler.run(frames, one, [0, due], { data: out, width: due });
    const kept = Array.from(out).filter((_, n) => n % every === 0);
    expect(relativeError(kept, output)).toBeLessThan(1e-6);
  });

  test.each([50, 99.9, 173.61, 199.9, 200.1, 250, 1000 / 3, 512, 16000])(
    '%d Hz: outputs fall due where index arithmetic says',
    (rateHz) => {
      const resampler = new Resampler(rateHz);
      expect(resampler.step / resampler.phases).toBeCloseTo(rateHz / 200, 10);
      // Far out too: a year of samples must not round to a neighbour.
      for (const start of [0, 7777, 6_307_200_000]) {
        for (let n = start; n < start + 300; n++) {
          const exact = Number((BigInt(n) * BigInt(resampler.step)) / BigInt(resampler.phases));
          expect(resampler.sourceOf(n)).toBe(exact);
          expect(resampler.firstAfter(exact + 1)).toBeGreaterThan(n);
          expect(resampler.firstAfter(exact)).toBeLessThanOrEqual(n);
        }
      }
    },
  );

  test.each([50, 125, 173.61, 250, 500, 2048, 16000])('%d Hz: passes EEG, stops images', (hz) => {
    const resampler = new Resampler(hz);
    const top = Math.min(45, 0.35 * hz);
    for (let f = 0; f <= top; f += 1) expect(Math.abs(resampler.gain(f) - 1)).toBeLessThan(2e-3);
    for (let f = 150; f < hz / 2; f += 7.3) {
      expect(Math.abs(resampler.gain(f))).toBeLessThan(10 ** (-65 / 20));
    }
  });

  test('a constant of 100 mV leaves no ripple', () => {
    const resampler = new Resampler(173.61);
    const history = new Float64Array(2000).fill(1e5);
    const out = new Float64Array(500);
    const frames = { data: history, width: 1, offset: 100 };
    resampler.run(frames, one, [0, 500], { data: out, width: 500 });
    for (const x of out) expect(Math.abs(x - 1e5)).toBeLessThan(1e-9);
  });
});

test('the stated group delay is where a slow wave comes out', () => {
  const rateHz = 500;
  const channel = { place: 0, gain: 1, railUv: Number.POSITIVE_INFINITY };
  const conditioner = new Conditioner(rateHz, 1, [channel], 'none');
  const wave = (t: number) => 50 * Math.sin(2 * Math.PI * 10 * t);
  const data = Float32Array.from({ length: rateHz * 20 }, (_, i) => wave(i / rateHz));
  let [c, s] = [0, 0];
  for (let from = 0; from < data.length || conditioner.waiting; ) {
    const frames = Math.min(conditioner.room, data.length - from);
    const { index, samples, data: out } = conditioner.step(data, from, frames);
    from += frames;
    for (let i = 0; i < samples; i++) {
      const t = (index + i) / 200 - conditioner.groupDelayS;
      // The last ten seconds: whole cycles, long after the start.
      if (index + i < 2000) continue;
      c += out[i] * Math.cos(2 * Math.PI * 10 * t);
      s += out[i] * Math.sin(2 * Math.PI * 10 * t);
    }
  }
  const phase = Math.atan2(c, s);
  // The group delay moves the envelope; at 10 Hz the phase delay differs from it by some ms only.
  expect(Math.abs(phase / (2 * Math.PI * 10))).toBeLessThan(0.004);
});
