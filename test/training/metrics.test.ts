/** Figures against scikit-learn's (fixtures/make-metrics.py) and against cases worked by hand. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  accuracy,
  addTables,
  argmax,
  auprc,
  auroc,
  balancedAccuracy,
  calibrationError,
  confusion,
  itr,
  kappa,
  logLoss,
  macroF1,
  perClass,
  softmax,
} from '../../src/training/metrics.js';
import { bootstrap, percentile } from '../../src/training/statistics.js';

interface Case {
  classes: number;
  truth: number[];
  probabilities: number[][];
  confusion: number[][];
  balancedAccuracy: number;
  kappa: number;
  macroF1: number;
  accuracy: number;
  logLoss: number;
  auroc: number;
  auprc: number;
}

const fixture = JSON.parse(
  readFileSync(new URL('./fixtures/metrics.json', import.meta.url), 'utf8'),
) as { cases: Case[] };

describe('figures equal to scikit-learn', () => {
  test.each(fixture.cases)('$classes classes', (one) => {
    const table = confusion(one.truth, one.probabilities.map(argmax), one.classes);
    expect(table).toEqual(one.confusion);
    expect(balancedAccuracy(table)).toBeCloseTo(one.balancedAccuracy, 10);
    expect(kappa(table)).toBeCloseTo(one.kappa, 10);
    expect(macroF1(table)).toBeCloseTo(one.macroF1, 10);
    expect(accuracy(table)).toBeCloseTo(one.accuracy, 10);
    expect(logLoss(one.probabilities, one.truth)).toBeCloseTo(one.logLoss, 10);
    const scores = one.probabilities.map((row) => row[1]);
    const positive = one.truth.map((label) => label === 1);
    expect(auroc(scores, positive)).toBeCloseTo(one.auroc, 10);
    expect(auprc(scores, positive)).toBeCloseTo(one.auprc, 10);
  });
});

describe('figures by hand', () => {
  test('calibration error of a sure and half wrong classifier is one half', () => {
    const rows = [
      [1, 0],
      [1, 0],
    ];
    expect(calibrationError(rows, [0, 1])).toBeCloseTo(0.5);
  });

  test('calibration error of two bins: |1.6 - 1| and |0.9 - 1| over 3 rows', () => {
    const rows = [
      [0.8, 0.2],
      [0.8, 0.2],
      [0.1, 0.9],
    ];
    expect(calibrationError(rows, [0, 1, 1], 10)).toBeCloseTo((0.6 + 0.1) / 3);
  });

  test('transfer rate: two classes without an error are one bit a trial', () => {
    expect(itr(1, 2, 4)).toBeCloseTo(15);
    expect(itr(0.5, 2, 4)).toBe(0);
    // 2 + .75 log2 .75 + .25 log2(.25 / 3) = 0.7925 bits, 15 trials a minute.
    expect(itr(0.75, 4, 4)).toBeCloseTo(11.887, 3);
  });

  test('a class that never occurs is left out, not counted as zero', () => {
    const table = confusion([0, 0, 1], [0, 0, 1], 3);
    expect(balancedAccuracy(table)).toBe(1);
    expect(macroF1(table)).toBe(1);
    expect(perClass(table)[2].recall).toBeNaN();
    expect(addTables([table, table])[0][0]).toBe(4);
  });

  test('one side only has no ROC', () => {
    expect(auroc([1, 2], [true, true])).toBeNaN();
    expect(auroc([1, 1, 1, 1], [true, false, true, false])).toBe(0.5);
  });

  test('softmax survives large logits and follows the temperature', () => {
    expect([...softmax([1000, 1000])]).toEqual([0.5, 0.5]);
    expect(softmax([2, 0], 2)[0]).toBeCloseTo(1 / (1 + Math.exp(-1)), 12);
  });
});

describe('intervals over people', () => {
  test('the interval covers the mean and narrows with people', () => {
    const few = bootstrap([0, 1, 0, 1], (drawn) => drawn.reduce((a, b) => a + b, 0) / drawn.length);
    const values = Array.from({ length: 100 }, (_, i) => i % 2);
    const many = bootstrap(values, (drawn) => drawn.reduce((a, b) => a + b, 0) / drawn.length);
    expect(few.value).toBe(0.5);
    expect(few.low).toBeLessThan(0.2);
    expect(many.high - many.low).toBeLessThan(few.high - few.low);
    // Normal theory for 100 fair coins: 0.5 +- 0.098.
    expect(many.high - many.low).toBeGreaterThan(0.15);
    expect(many.high - many.low).toBeLessThan(0.25);
  });

  test('one person has no interval', () => {
    expect(bootstrap([3], (drawn) => drawn[0]).low).toBeNaN();
    expect(percentile([1, 3], 0.5)).toBe(2);
  });
});
