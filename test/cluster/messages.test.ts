/** Steps and results: what is written is read again, and anything else is refused. */
import { describe, expect, test } from 'vitest';
import { decodeResult, encodeResult } from '../../src/cluster/result-message.js';
import { decodeStep, encodeStep, windowStampWallS } from '../../src/cluster/step-message.js';
import { BadMessage, type Refusal } from '../../src/cluster/wire.js';
import { Rng } from '../../src/core/rng.js';
import { madeResult, madeStep } from './made-step.js';

const seed = Number(process.env.SEED ?? Date.now() % 1e9);

/** What decoding is refused for; undefined where it is not. Any other throw fails the test. */
function refusal(decode: () => unknown): Refusal | undefined {
  try {
    decode();
    return undefined;
  } catch (error) {
    if (error instanceof BadMessage) return error.reason;
    throw error;
  }
}

describe('a step', () => {
  test('comes back with samples within half a unit of the channel', () => {
    const rng = new Rng(seed);
    for (let round = 0; round < 50; round++) {
      const step = madeStep(rng);
      const { data, positions, ...rest } = decodeStep(encodeStep(step), step);
      expect(rest, `seed ${seed}`).toMatchObject({
        ...{ epoch: step.epoch, startSample: step.startSample, windows: step.windows },
        ...{ scales: step.scales, valid: step.valid, stampWallS: step.stampWallS },
      });
      const samples = step.ticks * 50;
      for (const [i, value] of data.entries()) {
        const c = Math.floor(i / samples);
        const own = step.data.subarray(c * samples, (c + 1) * samples);
        const peak = own.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
        expect(Math.abs(value - (step.data[i] as number))).toBeLessThanOrEqual(peak / 65_000);
      }
      for (const [i, value] of positions.entries())
        expect(value).toBeCloseTo(step.positions[i] as number, 4);
    }
  });

  test('of a person brings the labels and the covariance', () => {
    const rng = new Rng(seed);
    const half = Float32Array.from({ length: 9 }, () => rng.normal());
    const covariance = half.map(
      (value, i) => value + (half[(i % 3) * 3 + Math.floor(i / 3)] as number),
    );
    const labels = ['Fp1', 'Ö'.repeat(70), ''];
    const own = { labels, reference: { from: 2000, covariance } };
    const step = madeStep(rng, { channels: 3, person: 'anna', own });
    const read = decodeStep(encodeStep(step), step).own;
    expect(read?.reference, `seed ${seed}`).toEqual(own.reference);
    expect(read?.labels).toEqual(['Fp1', 'Ö'.repeat(63), '']);
    const early = { ...step, own: { labels, reference: undefined } };
    expect(decodeStep(encodeStep(early)).own?.reference).toBeUndefined();
    const anybody = { ...step, person: '' };
    expect(decodeStep(encodeStep(anybody)).own).toBeUndefined();
  });

  test('of 8 channels and a quarter of a second is about a kilobyte', () => {
    const bytes = encodeStep(madeStep(new Rng(1), { channels: 8, ticks: 1 })).length;
    expect(bytes).toBeLessThan(1150);
  });

  test('tells when a window before its end ended', () => {
    const step = madeStep(new Rng(2), { ticks: 4, startSample: 1000, stampWallS: 100 });
    expect(windowStampWallS(step, { task: 'a', seq: 0, endSample: 1200 })).toBe(100);
    expect(windowStampWallS(step, { task: 'a', seq: 0, endSample: 1100 })).toBe(99.5);
  });

  test('of another schema version, site, kind or length is refused for that', () => {
    const step = madeStep(new Rng(3));
    const bytes = encodeStep(step);
    const changed = (at: number, value: number) => {
      const copy = Uint8Array.from(bytes);
      copy[at] = value;
      return copy;
    };
    expect(refusal(() => decodeStep(changed(2, 1)))).toBe('version');
    expect(refusal(() => decodeStep(changed(0, 7)))).toBe('format');
    expect(refusal(() => decodeStep(changed(1, 2)))).toBe('format');
    expect(refusal(() => decodeStep(bytes.subarray(0, bytes.length - 1)))).toBe('truncated');
    expect(refusal(() => decodeStep(Buffer.concat([bytes, Buffer.of(0)])))).toBe('oversized');
    expect(refusal(() => decodeStep(new Uint8Array(4 << 20)))).toBe('oversized');
    expect(refusal(() => decodeStep(bytes, { ...step, site: 'other' }))).toBe('site');
    expect(refusal(() => decodeStep(bytes, { ...step, stream: 'other' }))).toBe('site');
    expect(refusal(() => decodeStep(bytes, step))).toBeUndefined();
  });

  test('cut or changed anywhere is refused or read, and never does anything else', () => {
    const rng = new Rng(seed);
    const reference = { from: 2000, covariance: new Float32Array(4).fill(1) };
    const own = { labels: ['C3', 'C4'], reference };
    const bytes = encodeStep(madeStep(rng, { channels: 2, ticks: 1, person: 'anna', own }));
    for (let length = 0; length < bytes.length; length++)
      expect(refusal(() => decodeStep(bytes.subarray(0, length)))).toBe('truncated');
    let refused = 0;
    for (let round = 0; round < 3000; round++) {
      const copy = Uint8Array.from(bytes);
      for (let n = rng.below(4); n >= 0; n--) copy[rng.below(copy.length)] = rng.below(256);
      if (refusal(() => decodeStep(copy)) !== undefined) refused++;
    }
    expect(refused, `seed ${seed}`).toBeGreaterThan(0);
  });
});

describe('a result', () => {
  test('comes back as it was', () => {
    const result = madeResult(new Rng(seed));
    const read = decodeResult(encodeResult(result), 'lab');
    expect(read).toEqual(result);
  });

  test('of another site, version or length is refused for that', () => {
    const bytes = encodeResult(madeResult(new Rng(4)));
    const later = Uint8Array.from(bytes);
    later[2] = 9;
    expect(refusal(() => decodeResult(bytes, 'other'))).toBe('site');
    expect(refusal(() => decodeResult(later))).toBe('version');
    for (let length = 0; length < bytes.length; length++)
      expect(refusal(() => decodeResult(bytes.subarray(0, length)))).toBe('truncated');
  });

  test('changed anywhere is refused or read, and never does anything else', () => {
    const rng = new Rng(seed);
    const bytes = encodeResult(madeResult(rng));
    for (let round = 0; round < 3000; round++) {
      const copy = Uint8Array.from(bytes);
      for (let n = rng.below(4); n >= 0; n--) copy[rng.below(copy.length)] = rng.below(256);
      refusal(() => decodeResult(copy));
    }
  });
});
