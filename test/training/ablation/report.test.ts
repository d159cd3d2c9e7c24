/** What the report says of runs whose answer is known. */
import { describe, expect, test } from 'vitest';
import {
  type AblationReport,
  ablationMarkdown,
  differenceOf,
  routingOf,
  specialisation,
  spreadOf,
} from '../../../src/training/ablation/report.js';
import type { VariantName, VariantRun } from '../../../src/training/ablation/variants.js';

const score = (balancedAccuracy: number) => ({
  side: 'test' as const,
  windows: 10,
  balancedAccuracy,
  kappa: 0,
  macroF1: 0,
  auroc: 0,
  confusion: [
    [1, 0],
    [0, 1],
  ],
});

function run(variant: VariantName, seed: number, accuracies: Record<string, number>): VariantRun {
  return {
    variant,
    seed,
    scores: Object.fromEntries(Object.entries(accuracies).map(([k, v]) => [k, score(v)])),
    validation: accuracies,
    bestSteps: [1],
    parameters: 10,
    activeParameters: 5,
    routing: variant === 'f' ? { one: [1, 0, 0.5, 0.5], two: [0, 1, 0.5, 0.5] } : {},
    seconds: 1,
    msPerStep: 1,
    msPerWindow: 1,
  };
}

const report: AblationReport = {
  steps: 4,
  seeds: [1, 2, 3],
  tasks: [
    { name: 'one', classes: ['x', 'y'] },
    { name: 'two', classes: ['x', 'y'] },
  ],
  moe: { blocks: [1, 3], experts: 2, topK: 1 },
  runs: [
    run('c', 1, { one: 0.5, two: 0.9 }),
    run('d', 1, { one: 0.7, two: 0.6 }),
    run('f', 1, { one: 0.8, two: 0.9 }),
    run('c', 2, { one: 0.6, two: 0.8 }),
    run('d', 2, { one: 0.6, two: 0.7 }),
    // Seed 3 is half done: what has no partner is in no difference.
    run('c', 3, { one: 0.1, two: 0.1 }),
  ],
  forgetting: [
    {
      seed: 1,
      added: 'two',
      steps: 2,
      found: [{ way: 'pack', old: { one: { before: 0.75, after: 0.75 } }, added: 0.625 }],
    },
  ],
};

describe('ablation report', () => {
  test('differences are taken seed by seed, and spread over seeds', () => {
    const both = differenceOf(report, ['d', 'c'], 'two');
    expect(both.count).toBe(2);
    expect(both.mean).toBeCloseTo(-0.2);
    expect(both.sd).toBeCloseTo(0.1414, 3);
    expect(spreadOf(report, 'c', 'one').count).toBe(3);
    expect(differenceOf(report, ['f', 'c'], 'one')).toMatchObject({ count: 1, sd: 0 });
    expect(differenceOf(report, ['f', 'e'], 'one').count).toBe(0);
  });

  test('specialisation: none where tasks share experts alike, all where they share none', () => {
    const found = report.runs.find((one) => one.variant === 'f') as VariantRun;
    const [first, second] = routingOf(report, found) as [number[][], number[][]];
    expect(specialisation(first)).toBeCloseTo(1);
    expect(specialisation(second)).toBeCloseTo(0);
    const three = [
      [1, 0, 0],
      [0, 1, 0],
      [0, 0.5, 0.5],
    ];
    // H(expert) - H(expert | task) = 1.459 - 1/3.
    expect(specialisation(three)).toBeCloseTo(1.459 - 1 / 3, 3);
  });

  test('says whose figures these are, negative transfer, and what was forgotten', () => {
    const text = ablationMarkdown(report);
    expect(text).toContain('Judged on: one test (10 windows), two test (10 windows).');
    expect(text).toContain('| d - c | 0.100 +- 0.141 | -0.200 +- 0.141 |');
    expect(text).toContain('| f - e | n/a | n/a |');
    expect(text).toContain('Of fewer seeds: d (2), f (1).');
    expect(text).toContain('| f - c | 0.300 (one seed) | 0.000 (one seed) |');
    expect(text).toContain('| MoE, new experts and head only | 1 | 0.750 to 0.750 | 0.625 |');
    expect(text).toContain('| 1 | n/a | 1.000 (one seed) |');
  });
});
