/** What was not received is marked, counted, and kept out of the filters. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Chunk } from '../../src/core/stream.js';
import { conditionRecording, SignalPath } from '../../src/signal/path.js';
import { Resampler } from '../../src/signal/resampler.js';
import { cut, type Hole, noise, streamOf } from './recordings.js';

const whole = () => 1e9;
const info = (rateHz: number) => streamOf(rateHz, ['Fz', 'Cz', 'Pz'], 187_500);
const options = { mainsHz: 50 } as const;

function conditioned(data: Float32Array, rateHz: number, holes: readonly Hole[] = []) {
  return conditionRecording(info(rateHz), cut(data, 3, rateHz, whole, holes), options);
}

function chunk(index: number, data: Float32Array, channels = 3): Chunk {
  return { index, frames: data.length / channels, data, arrivalS: index / 250 };
}

describe('a lost sample', () => {
  const drawn = fc.record({
    rateHz: fc.constantFrom(64, 128, 173.61, 200, 250, 512, 1024),
    at: fc.double({ min: 0.2, max: 0.9, noNaN: true }),
    frames: fc.integer({ min: 1, max: 1500 }),
    nan: fc.boolean(),
  });

  test('spoils every output made from it, and no whole window holds one', () => {
    fc.assert(
      fc.property(drawn, ({ rateHz, at, frames, nan }) => {
        const data = noise(rateHz, 3, Math.round(12 * rateHz), 5);
        const from = Math.round(at * 12 * rateHz);
        const to = Math.min(from + frames, data.length / 3 - 1);
        if (nan) data.fill(Number.NaN, from * 3, to * 3);
        const { ring } = conditioned(data, rateHz, nan ? [] : [[from, to]]);
        const { valid, samples } = ring.copy(0, ring.nextIndex);
        const { taps } = new Resampler(rateHz);
        const [out, mask] = [new Float32Array(600), new Float32Array(3)];
        let falselyValid = 0;
        for (let n = 0; n < samples; n++) {
          const newest = Math.floor((n * rateHz) / 200 + 1e-9);
          const touched = newest >= from && newest - taps < to;
          if (touched) falselyValid += valid[n] + valid[samples + n] + valid[2 * samples + n];
        }
        expect(falselyValid).toBe(0);
        for (let end = 200; end <= samples; end += 50) {
          const real = valid.subarray(end - 200, end).every((v) => v === 1);
          expect(ring.patches(end, out, mask)).toBe(real ? 3 : 0);
          if (!real) expect(out.every((x) => x === 0)).toBe(true);
        }
        // It is not forever: what was before it and what came long after it is real.
        const settled = Math.ceil(((to + taps) / rateHz + 1) * 200) + 2;
        expect(valid.subarray(Math.min(settled, samples), samples).indexOf(0)).toBe(-1);
        expect(valid[Math.floor((from / rateHz) * 200) - 2]).toBe(from / rateHz > 1.1 ? 1 : 0);
      }),
      { numRuns: 60 },
    );
  });

  test.each([
    [1, 0.5],
    [5, 1.5],
    [25, 3],
    [250, 12],
    [1000, 15],
  ])('%d at 250 Hz leave the valid outputs within %d uV of the unbroken ones', (lost, uv) => {
    const data = noise(250, 3, 250 * 30, 3);
    const clean = conditioned(data, 250).ring.copy(0, 6000).data;
    const { data: got, valid } = conditioned(data, 250, [[3000, 3000 + lost]]).ring.copy(0, 6000);
    let checked = 0;
    let worst = 0;
    for (let i = 0; i < got.length; i++) {
      if (valid[i] === 0) continue;
      checked++;
      worst = Math.max(worst, Math.abs(got[i] - clean[i]));
    }
    expect(worst).toBeLessThan(uv);
    expect(checked).toBeGreaterThan(0.7 * got.length);
  });

  test('in an electrode offset of 100 mV leaves no trace in what is valid', () => {
    // Alpha alone on the offset: whatever exceeds it came from the offset.
    const data = Float32Array.from({ length: 250 * 20 * 3 }, (_, i) => {
      return 100_000 + 10 * Math.sin((2 * Math.PI * 10 * Math.floor(i / 3)) / 250);
    });
    for (const length of [1, 10, 100, 400]) {
      const { data: out, valid } = conditioned(data, 250, [[2000, 2000 + length]]).ring.copy(
        0,
        4000,
      );
      expect(valid[3999]).toBe(1);
      expect(Math.max(...out.map(Math.abs))).toBeLessThan(13);
    }
  });

  test('beside an output that waits for the next tick does not reach back to it', () => {
    // At 125 Hz outputs 549 and 550 are both due with source 343, and a tick ends between them.
    const data = noise(125, 3, 1000, 2);
    data.fill(Number.NaN, 344 * 3, 345 * 3);
    const stream = info(125);
    for (const size of [1, 7, 43, 344, 1000]) {
      const { ring } = conditionRecording(
        stream,
        cut(data, 3, 125, () => size),
        options,
      );
      expect([...ring.copy(549, 552).valid.subarray(0, 3)]).toEqual([1, 1, 0]);
    }
  });

  test('bursts of NaN, infinity and nonsense never reach a filter', () => {
    const data = noise(250, 3, 250 * 10, 3);
    const values = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 3e38, -1e20];
    for (const [i, value] of values.entries()) data[(1000 + 7 * i) * 3 + 1] = value;
    const { ring } = conditioned(data, 250);
    const { data: out, valid } = ring.copy(0, 2000);
    const clean = conditioned(noise(250, 3, 2500, 3), 250).ring.copy(0, 2000).data;
    expect(out.every(Number.isFinite)).toBe(true);
    // The channels beside it do not notice, to the bit; its own end agrees again.
    expect(out.subarray(0, 2000)).toEqual(clean.subarray(0, 2000));
    expect(out.subarray(4000)).toEqual(clean.subarray(4000));
    expect(valid.subarray(2000, 4000).indexOf(0, 300)).toBeLessThan(805);
    expect(Math.abs(out[3999] - clean[3999])).toBeLessThan(1e-3);
  });
});

describe('the count of lost samples', () => {
  test('is that of the chunk indices, announced or not', () => {
    const path = new SignalPath(info(250), options);
    const data = noise(250, 3, 100, 1);
    path.push({ kind: 'chunk', chunk: chunk(0, data) });
    path.push({ kind: 'gap', missing: 7, reason: 'lost' });
    expect(path.lostSamples).toBe(7);
    path.push({ kind: 'chunk', chunk: chunk(107, data) });
    expect(path.lostSamples).toBe(7);
    path.push({ kind: 'chunk', chunk: chunk(210, data) });
    expect(path.lostSamples).toBe(10);
    expect(path.samples).toBe(310);
  });

  test('leaves the seam of a replayed loop out, where nothing was lost', () => {
    const path = new SignalPath(info(250), options);
    const data = noise(250, 3, 100, 1);
    path.push({ kind: 'chunk', chunk: chunk(0, data) });
    path.push({ kind: 'gap', missing: 500, reason: 'seek' });
    expect(path.lostSamples).toBe(0);
    path.push({ kind: 'chunk', chunk: chunk(604, data) });
    expect(path.lostSamples).toBe(4);
  });

  test('and the 200 Hz grid goes through the hole, block by block', () => {
    const path = new SignalPath(info(250), options);
    const data = noise(250, 3, 100, 1);
    const blocks = [0, 2500, 60_000].flatMap((index) => {
      return path.push({ kind: 'chunk', chunk: chunk(index, data) });
    });
    let next = 0;
    let leaps = 0;
    for (const block of blocks) {
      if (block.index !== next) leaps++;
      next = block.index + block.samples;
    }
    expect(next).toBe(Math.ceil((60_100 * 200) / 250));
    // Ten seconds are filled; of four minutes the middle is left out.
    expect(leaps).toBe(1);
    expect(blocks.reduce((sum, b) => sum + b.samples, 0)).toBeLessThan(200 * 80);
  });

  test('frames told twice are taken once', () => {
    const data = noise(250, 3, 750, 1);
    const once = new SignalPath(info(250), options);
    once.push({ kind: 'chunk', chunk: chunk(0, data) });
    const twice = new SignalPath(info(250), options);
    twice.push({ kind: 'chunk', chunk: chunk(0, data.slice(0, 900)) });
    expect(twice.push({ kind: 'chunk', chunk: chunk(50, data.slice(150, 600)) })).toEqual([]);
    twice.push({ kind: 'chunk', chunk: chunk(100, data.slice(300)) });
    expect(twice.ring.copy(0, 600)).toEqual(once.ring.copy(0, 600));
  });

  test('a driver that counts from 0 after a reconnect goes on where it was', () => {
    const path = new SignalPath(info(250), options);
    const data = noise(250, 3, 500, 1);
    path.push({ kind: 'info', info: info(250) });
    path.push({ kind: 'chunk', chunk: chunk(0, data) });
    path.push({ kind: 'gap', missing: 50, reason: 'disconnect' });
    path.push({ kind: 'info', info: info(250) });
    path.push({ kind: 'chunk', chunk: chunk(0, data) });
    expect(path.samples).toBe(1050);
    expect(path.lostSamples).toBe(50);
    path.push({ kind: 'chunk', chunk: chunk(500, data) });
    expect(path.samples).toBe(1550);
  });
});

describe('refused', () => {
  test.each([0, 49.9, 16_001, Number.NaN, -250])('a rate of %d Hz', (rateHz) => {
    expect(() => new SignalPath(info(rateHz))).toThrow(/expected a sampling rate of 50 to 16000/);
  });

  test('a stream without EEG', () => {
    const eog = { label: 'EOG', kind: 'eog', unit: 'uV' } as const;
    const stream = { ...info(250), channels: [eog] };
    expect(() => new SignalPath(stream)).toThrow(/expected at least one EEG channel/);
  });

  test('a chunk whose values do not fill its frames, or whose index is none', () => {
    const path = new SignalPath(info(250));
    const bad = (patch: Partial<Chunk>) => () => {
      path.push({ kind: 'chunk', chunk: { ...chunk(0, new Float32Array(30)), ...patch } });
    };
    expect(bad({ frames: 9 })).toThrow(/expected 27 values/);
    expect(bad({ index: -1 })).toThrow(/whole index/);
    expect(bad({ index: 0.5 })).toThrow(/whole index/);
    expect(bad({ stamps: new Float64Array(3) })).toThrow(/expected 30 values/);
    expect(bad({})).not.toThrow();
    expect(bad({ index: 2 ** 50 })).toThrow(/go on near sample 10/);
  });
});
