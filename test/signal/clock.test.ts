/** Stamps: smooth, monotonic, at the true rate, whatever the arrivals do. */
import { describe, expect, test } from 'vitest';
import { Rng } from '../../src/core/rng.js';
import { SampleClock } from '../../src/signal/clock.js';

const seed = 7;

describe('stamps of the source', () => {
  test('lose their jitter as liblsl’s dejitter does', () => {
    const rng = new Rng(seed);
    const rateHz = 500 * (1 + 30e-6);
    const clock = new SampleClock(500);
    const errors: number[] = [];
    for (let i = 0; i < 60 * 500; i++) {
      const spike = rng.uniform() < 0.02 ? 0.02 * rng.uniform() : 0;
      const stamp = 1000 + i / rateHz + 0.002 * (2 * rng.uniform() - 1) + spike;
      clock.observeStamps(i, 1, Float64Array.of(stamp));
      if (i > 5000) errors.push(clock.at(i) - (1000 + i / rateHz));
    }
    const mean = errors.reduce((sum, e) => sum + e, 0) / errors.length;
    const spread = Math.sqrt(errors.reduce((sum, e) => sum + (e - mean) ** 2, 0) / errors.length);
    // Mean delay of the spikes is 0.2 ms; the raw spread is 1.9 ms.
    expect(Math.abs(mean - 0.0002), `seed ${seed}`).toBeLessThan(1e-4);
    expect(spread, `seed ${seed}`).toBeLessThan(5e-5);
    expect(Math.abs(clock.rateHz - rateHz)).toBeLessThan(0.005);
  });

  test('are the recursion’s own numbers', () => {
    // The recursion written out with matrices, as an independent witness.
    const stamps = [10.5, 10.5083, 10.5161, 10.5239, 10.6, 10.5402];
    const clock = new SampleClock(128);
    const forget = 2 ** (-1 / (128 * 90));
    let w = [0, 1 / 128];
    let p = [
      [1e10, 0],
      [0, 1e10],
    ];
    for (const [n, stamp] of stamps.entries()) {
      clock.observeStamps(n, 1, Float64Array.of(stamp));
      const px = [p[0][0] + p[0][1] * n, p[1][0] + p[1][1] * n];
      const k = px.map((v) => v / (forget + px[0] + n * px[1]));
      const error = stamp - 10 - (w[0] + w[1] * n);
      p = p.map((row, i) => row.map((v, j) => (v - k[i] * px[j]) / forget));
      w = w.map((v, i) => v + k[i] * error);
      expect(clock.at(n)).toBeCloseTo(10 + w[0] + w[1] * n, 5);
    }
  });

  test('begin a new line after a jump, and never go back', () => {
    const clock = new SampleClock(100);
    const feed = (from: number, to: number, offsetS: number) => {
      for (let i = from; i < to; i++) {
        clock.observeStamps(i, 1, Float64Array.of(50 + i / 100 + offsetS));
      }
    };
    feed(0, 500, 0);
    expect(clock.stamp(500)).toBeCloseTo(55, 6);
    feed(500, 700, 5);
    expect(clock.stamp(700)).toBeCloseTo(62, 6);
    feed(700, 900, 0);
    expect(clock.at(900)).toBeCloseTo(59, 6);
    expect(clock.stamp(900), 'the stamp waits').toBeCloseTo(62, 6);
    feed(900, 1400, 0);
    expect(clock.stamp(1400)).toBeCloseTo(64, 6);
  });

  test('that are no numbers are left out', () => {
    const clock = new SampleClock(100);
    clock.observeStamps(0, 3, Float64Array.of(1, Number.NaN, 1.02));
    expect(clock.at(1)).toBeCloseTo(1.01, 6);
  });
});

describe('arrivals', () => {
  /** Chunks of 20 frames with transport delays; the largest error of the last half. */
  function worst(rateHz: number, nominalHz: number, delayS: (i: number) => number): number {
    const clock = new SampleClock(nominalHz);
    let error = 0;
    for (let next = 20; next <= 120 * nominalHz; next += 20) {
      clock.observeArrival(next, 20, 200 + next / rateHz + delayS(next));
      const off = clock.at(next - 1) - (200 + next / rateHz);
      if (next > 60 * nominalHz) error = Math.max(error, Math.abs(off));
    }
    expect(Math.abs(clock.rateHz / rateHz - 1)).toBeLessThan(3e-4);
    return error;
  }

  test('are fitted by a line', () => {
    const rng = new Rng(seed);
    expect(
      worst(250.02, 250, () => 0.01 * rng.uniform()),
      `seed ${seed}`,
    ).toBeLessThan(0.008);
  });

  test('of a device 0.3 % off its nominal rate are followed', () => {
    expect(worst(256.8, 256, () => 0)).toBeLessThan(0.01);
  });

  test('that a stopped process let pile up do not move the line', () => {
    // Two seconds of frames arrive together at 90 s.
    const late = (next: number) => Math.max(0, next > 88 * 250 ? 90 - next / 250 : 0);
    expect(worst(250, 250, late)).toBeLessThan(0.02);
  });

  test('that stay late for long begin a new line', () => {
    const clock = new SampleClock(250);
    for (let next = 25; next < 250 * 60; next += 25) {
      clock.observeArrival(next, 25, next / 250 + (next > 250 * 20 ? 3 : 0));
    }
    expect(clock.at(250 * 60)).toBeCloseTo(63, 2);
  });

  test('say no rate before 2 s', () => {
    const clock = new SampleClock(250);
    expect(clock.at(0)).toBeNaN();
    for (let next = 25; next <= 450; next += 25) clock.observeArrival(next, 25, next / 250);
    expect(clock.rateHz).toBe(0);
    for (let next = 475; next <= 600; next += 25) clock.observeArrival(next, 25, next / 250);
    expect(clock.rateHz).toBeCloseTo(250, 3);
  });
});
