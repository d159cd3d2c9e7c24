/** The stamps of fixtures/lsl/stamps.json come from an independent script in numpy (beside it). */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { JitterLine, StampPostprocessor } from '../../../drivers/lsl/postprocess.js';

interface Stamps {
  readonly rateHz: number;
  readonly halftimeS: number;
  readonly raw: readonly number[];
  readonly dejittered: readonly number[];
  readonly monotonized: readonly number[];
  readonly both: readonly number[];
}

const file = new URL('../../fixtures/lsl/stamps.json', import.meta.url);
const stamps = JSON.parse(readFileSync(file, 'utf8')) as Stamps;
const { rateHz, halftimeS } = stamps;
const still = { rateHz, offsetS: () => 0, now: () => 0 };
const off = { clocksync: false, dejitter: false, monotonize: false, halftimeS };

function worst(got: readonly number[], expected: readonly number[]): number {
  return Math.max(...got.map((one, i) => Math.abs(one - (expected[i] ?? Number.NaN))));
}

describe('time stamp post-processing', () => {
  test.each([
    ['dejitter', { ...off, dejitter: true }, stamps.dejittered],
    ['monotonize', { ...off, monotonize: true }, stamps.monotonized],
    ['both', { ...off, dejitter: true, monotonize: true }, stamps.both],
  ] as const)('%s gives what liblsl gives, to a microsecond', (_, options, expected) => {
    const post = new StampPostprocessor(options, still);
    expect(
      worst(
        stamps.raw.map((one) => post.one(one)),
        expected,
      ),
    ).toBeLessThan(1e-6);
  });

  test('dejitter makes an irregular stream neither better nor worse', () => {
    const post = new StampPostprocessor({ ...off, dejitter: true }, { ...still, rateHz: 0 });
    expect(stamps.raw.map((one) => post.one(one))).toEqual(stamps.raw);
  });

  test('dejitter takes most of the jitter off', () => {
    const post = new StampPostprocessor({ ...off, dejitter: true }, still);
    const smooth = stamps.raw.map((one) => post.one(one));
    const spread = (list: readonly number[]) => {
      const steps = list.slice(1000).map((one, i) => one - (list[999 + i] ?? 0));
      const mean = steps.reduce((a, b) => a + b) / steps.length;
      return Math.sqrt(steps.reduce((a, b) => a + (b - mean) ** 2, 0) / steps.length);
    };
    expect(spread(smooth)).toBeLessThan(spread(stamps.raw) / 30);
  });

  test('the offset is asked for after 50 samples and half a second, not more often', () => {
    let now = 10;
    const asked: number[] = [];
    const post = new StampPostprocessor(
      { ...off, clocksync: true },
      {
        rateHz,
        now: () => now,
        offsetS: () => asked.push(now) * 100,
      },
    );
    const out: number[] = [];
    for (let i = 0; i < 300; i++) {
      out.push(post.one(i) - i);
      now += 1 / rateHz;
    }
    // 125 samples are half a second; asking resets both counts.
    expect(asked.map((one) => Math.round((one - 10) * rateHz))).toEqual([0, 126, 252]);
    expect([out[0], out[125], out[126], out[252]]).toEqual([100, 100, 200, 300]);
  });

  test('known losses are skipped: the line goes on behind them', () => {
    const line = new JitterLine(250, 90);
    for (let i = 0; i < 500; i++) line.next(1000 + i / 250);
    line.skip(100);
    expect(line.next(1000 + 600 / 250)).toBeCloseTo(1000 + 600 / 250, 6);
  });

  test('a step beyond the limit starts a new line where that is asked for', () => {
    const post = new StampPostprocessor({ ...off, dejitter: true, restartS: 1 }, still);
    for (let i = 0; i < 500; i++) post.one(1000 + i / rateHz);
    expect(post.one(5000)).toBeCloseTo(5000, 6);
    expect(post.one(5000 + 1 / rateHz)).toBeCloseTo(5000 + 1 / rateHz, 6);
  });
});
