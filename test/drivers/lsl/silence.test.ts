import { describe, expect, test } from 'vitest';
import { HostWatch, SilenceWatch } from '../../../drivers/lsl/silence.js';
import { VirtualClock } from '../../support/virtual-clock.js';

function watch(rateHz: number) {
  const clock = new VirtualClock();
  const told: string[] = [];
  const startS = clock.now();
  const at = () => Math.round((clock.now() - startS) * 1000);
  const one = new SilenceWatch({
    clock,
    rateHz,
    onSilent: () => told.push(`silent ${at()}`),
    onFlowing: () => told.push(`flowing ${at()}`),
  });
  const arrivals = (count: number, everyS: number) => {
    for (let i = 0; i < count; i++) {
      clock.advance(everyS);
      one.arrived(clock.now());
    }
  };
  return { clock, told, one, arrivals };
}

describe('silence', () => {
  test('it is told at twice the usual interval, once, and so is its end', () => {
    const { clock, told, one, arrivals } = watch(250);
    arrivals(100, 0.1);
    clock.advance(0.19);
    expect(told).toEqual([]);
    clock.advance(0.02);
    expect(told).toEqual(['silent 10202']);
    clock.advance(60);
    expect(told).toHaveLength(1);
    one.arrived(clock.now());
    expect(told.at(-1)).toBe('flowing 70210');
    arrivals(100, 0.1);
    clock.advance(0.25);
    expect(told.at(-1)).toMatch(/^silent/);
  });

  test('the usual interval is learned, and a long one is forgotten slowly', () => {
    const { clock, told, arrivals } = watch(250);
    arrivals(50, 0.05);
    arrivals(1, 0.09);
    arrivals(5, 0.05);
    clock.advance(0.15);
    expect(told).toEqual([]);
    arrivals(1, 0);
    arrivals(200, 0.05);
    clock.advance(0.15);
    expect(told).toHaveLength(1);
  });

  test('no interval is expected to be shorter than 50 ms', () => {
    const { clock, told, arrivals } = watch(5000);
    arrivals(1000, 0.001);
    clock.advance(0.099);
    expect(told).toEqual([]);
    clock.advance(0.005);
    expect(told).toHaveLength(1);
  });

  test('a stream that has become slower is told a few times, then it is learned', () => {
    const { told, arrivals } = watch(250);
    arrivals(100, 0.05);
    arrivals(50, 0.8);
    const count = told.length;
    expect(count).toBeGreaterThan(0);
    expect(count).toBeLessThan(8);
    arrivals(50, 0.8);
    expect(told).toHaveLength(count);
  });

  test('a slow stream is given its own time', () => {
    const { clock, told, arrivals } = watch(1);
    arrivals(9, 1);
    clock.advance(1.9);
    expect(told).toEqual([]);
    clock.advance(0.2);
    expect(told).toHaveLength(1);
  });

  test('a stream that never begins is told after 2 s', () => {
    const { clock, told } = watch(250);
    clock.advance(1.9);
    expect(told).toEqual([]);
    clock.advance(0.2);
    expect(told).toEqual(['silent 2002']);
  });

  test('what waits in the socket while the timer was late is no silence', () => {
    const { clock, told, one, arrivals } = watch(250);
    arrivals(100, 0.1);
    // The timer fires at 0.2 s; the read comes with it, a millisecond later.
    clock.advance(0.201);
    one.arrived(clock.now());
    clock.advance(0.1);
    expect(told).toEqual([]);
  });

  test('nothing is told after it was closed', () => {
    const { clock, told, one } = watch(250);
    one.close();
    clock.advance(100);
    expect(told).toEqual([]);
  });
});

test('an irregular stream is silent when its host misses three answers', () => {
  const clock = new VirtualClock();
  const told: string[] = [];
  let lastS = Number.NEGATIVE_INFINITY;
  const host = new HostWatch({
    clock,
    answerIntervalS: 2,
    lastAnswerS: () => lastS,
    onSilent: () => told.push('silent'),
    onFlowing: () => told.push('flowing'),
  });
  clock.advance(60);
  expect(told, 'a host without time service').toEqual([]);
  lastS = clock.now();
  clock.advance(5.9);
  expect(told).toEqual([]);
  clock.advance(4.2);
  expect(told).toEqual(['silent']);
  lastS = clock.now();
  clock.advance(2.1);
  expect(told).toEqual(['silent', 'flowing']);
  host.close();
});
