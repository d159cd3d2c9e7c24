/** Accuracy, trials and the gate: arithmetic that decides what may serve. */
import { describe, expect, test } from 'vitest';
import { Prequential, trialsNeeded, wilson } from '../../src/adaptation/prequential.js';
import { chanceOf, judge } from '../../src/adaptation/promotion.js';
import { stillNeeded, TrialSchedule } from '../../src/adaptation/trials.js';
import { Rng } from '../../src/core/rng.js';

describe('Wilson’s interval', () => {
  // Witness: SciPy 1.10, binomtest(k, n).proportion_ci(method='wilson').
  test.each([
    [0, 10, 0, 0.2775328],
    [5, 10, 0.2365931, 0.7634069],
    [81, 263, 0.2552885, 0.3662096],
    [15, 148, 0.0623864, 0.1604872],
    [10, 10, 0.7224672, 1],
  ])('%i of %i', (correct, total, low, high) => {
    const interval = wilson(correct, total);
    expect(interval.low).toBeCloseTo(low, 4);
    expect(interval.high).toBeCloseTo(high, 4);
  });

  test('holds the true share in about 95 % of cases', () => {
    const rng = new Rng(1);
    let held = 0;
    for (let i = 0; i < 4000; i++) {
      const share = 0.1 + 0.8 * rng.uniform();
      let correct = 0;
      for (let k = 0; k < 40; k++) if (rng.uniform() < share) correct++;
      const { low, high } = wilson(correct, 40);
      if (low <= share && share <= high) held++;
    }
    expect(held / 4000).toBeGreaterThan(0.93);
    expect(held / 4000).toBeLessThan(0.97);
  });

  test('knows how many trials would settle it', () => {
    expect(trialsNeeded(0, 0, 0.5)).toBe(Number.POSITIVE_INFINITY);
    expect(trialsNeeded(5, 10, 0.5)).toBe(Number.POSITIVE_INFINITY);
    expect(trialsNeeded(10, 10, 0.5)).toBe(0);
    const more = trialsNeeded(14, 20, 0.5);
    const total = 20 + more;
    expect(wilson(0.7 * total, total).low).toBeGreaterThan(0.5);
    expect(wilson(0.7 * (total - 1), total - 1).low).toBeLessThanOrEqual(0.5);
  });
});

describe('prequential accuracy', () => {
  test('counts outcomes, the last ones, and forgets what was taken back', () => {
    const accuracy = new Prequential();
    for (let i = 0; i < 10; i++) accuracy.add(i, i >= 5);
    expect(accuracy.accuracy()).toMatchObject({ value: 0.5, total: 10 });
    expect(accuracy.accuracy(5)).toMatchObject({ value: 1, total: 5 });
    accuracy.forget(0);
    accuracy.forget(99);
    expect(accuracy.accuracy()).toMatchObject({ value: 5 / 9, total: 9 });
    expect(new Prequential().accuracy().low).toBe(0);
  });
});

describe('guided trials', () => {
  test('are balanced at the end of every block, and cannot be foreseen', () => {
    const classes = ['left', 'right', 'rest'];
    const schedule = new TrialSchedule(classes, new Rng(2));
    const counts = new Map<string, number>();
    const orders = new Set<string>();
    for (let block = 0; block < 50; block++) {
      let order = '';
      for (let i = 0; i < 6; i++) {
        const trial = schedule.next();
        expect(trial.number).toBe(6 * block + i);
        expect(trial.restAtS - trial.taskAtS).toBe(4);
        expect(trial.endS).toBeGreaterThanOrEqual(trial.restAtS + 2);
        counts.set(trial.label, (counts.get(trial.label) ?? 0) + 1);
        order += trial.label;
      }
      expect(new Set(counts.values()).size).toBe(1);
      orders.add(order);
    }
    expect(orders.size).toBeGreaterThan(30);
  });

  test('still needed: first the least of each class, then what accuracy asks for', () => {
    expect(stillNeeded({ left: 4, right: 12 }, Number.POSITIVE_INFINITY)).toEqual({
      left: 6,
      right: 0,
    });
    expect(stillNeeded({ left: 12, right: 12 }, 5)).toEqual({ left: 3, right: 3 });
    expect(stillNeeded({ left: 12, right: 12 }, 0)).toEqual({ left: 0, right: 0 });
  });
});

describe('the gate', () => {
  const good = { correct: 32, total: 40, chance: 0.5, changedTasks: [], finite: true };

  test('lets a candidate pass that is above chance with confidence', () => {
    const verdict = judge(good);
    expect(verdict.promote).toBe(true);
    expect(verdict.why).toBe('32 of 40 held-out trials right (95 %: 65 % to 90 %), chance 50 %');
  });

  test.each([
    [{ correct: 24 }, /not above chance \(50 %\) with confidence/],
    [{ total: 0, correct: 0 }, /no trial was held out/],
    [{ servingCorrect: 32 }, /what serves now has 32/],
    [{ changedTasks: ['sleep', 'seizure'] }, /change the outputs of sleep, seizure/],
    [{ finite: false }, /no numbers/],
  ])('holds back %o', (change, why) => {
    const verdict = judge({ ...good, ...change });
    expect(verdict.promote).toBe(false);
    expect(verdict.why).toMatch(why);
  });

  test('takes the commonest label for chance', () => {
    expect(chanceOf(['a', 'a', 'a', 'b'], 2)).toBe(0.75);
    expect(chanceOf(['a', 'b', 'c'], 4)).toBeCloseTo(1 / 3);
    expect(chanceOf([], 4)).toBe(0.25);
  });
});
