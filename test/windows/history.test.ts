import { describe, expect, test } from 'vitest';
import { besideUsual, History, historyWindows } from '../../src/windows/history.js';
import { taskSpec } from '../support/fake-engine.js';

const floats = (...values: number[]) => Float32Array.from(values);

describe('what is usual', () => {
  test('is the mean of the windows so far, and unknown before the first', () => {
    const history = new History();
    expect(history.mean).toBeUndefined();
    for (const value of [1, 2, 6]) history.add(floats(value, -value));
    expect([...(history.mean ?? [])]).toEqual([3, -3]);
  });

  test('forgets: what has changed for good is usual after some hours', () => {
    const history = new History();
    for (let i = 0; i < 2 * historyWindows; i++) history.add(floats(0));
    for (let i = 0; i < historyWindows; i++) history.add(floats(1));
    expect(history.mean?.[0]).toBeCloseTo(1 - Math.exp(-1), 2);
  });

  test('is held by a window that was put together before', () => {
    const history = new History();
    history.add(floats(1));
    const then = history.mean;
    history.add(floats(3));
    expect([...(then ?? [])]).toEqual([1]);
  });
});

describe('a window beside what is usual', () => {
  const spec = taskSpec('a', { windowS: 2, hopS: 4, contextWindows: 1 });

  test('is differences, what is missing stays missing', () => {
    const row = { task: 0, seconds: [floats(5), undefined, floats(7)], times: [-4, -1, 0] };
    const beside = besideUsual(row, floats(2), spec);
    expect(beside.seconds.map((one) => one && [...one])).toEqual([[2], [3], undefined, [5]]);
    expect(beside.times).toEqual([-8, -4, -1, 0]);
  });
});
