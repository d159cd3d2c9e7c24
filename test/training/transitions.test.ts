/** What follows what, counted on the training side only, and how much a window's word counts. */
import { expect, test } from 'vitest';
import { Rng } from '../../src/core/rng.js';
import type { Case } from '../../src/training/judge.js';
import type { PreparedRecording } from '../../src/training/prepared.js';
import type { RecipeTask } from '../../src/training/recipe-schema.js';
import type { Side } from '../../src/training/split.js';
import { countTransitions, fitEvidence } from '../../src/training/transitions.js';
import type { Material } from '../../src/training/windows.js';
import { taskSpec } from '../support/fake-engine.js';

const seed = 4;

function material(set: string, labels: string, side: Side, id: string): Material {
  const spans = [...labels].map((label, i) => ({ startS: 10 * i, endS: 10 * (i + 1), label }));
  const open = () => Promise.reject(new Error('not opened here'));
  return {
    ref: { set, id, subject: id, run: '', side, gain: 1, spans, open },
    prepared: { samples: labels.length * 2000 } as PreparedRecording,
  };
}

const source = { align: 'stream' as const, share: 0.6, channelsMax: 8, judged: true };
const spec: RecipeTask = {
  name: 't',
  classes: ['x', 'y'],
  windowS: 10,
  hopS: 10,
  contextWindows: 0,
  minValid: 0.5,
  smoothing: 1,
  balance: 0.5,
  sources: [
    { ...source, set: 'nights', labels: { a: 'x', b: 'y' }, weight: 3 },
    { ...source, set: 'awake', labels: { '*': 'x' }, weight: 1 },
  ],
};

const materials = [
  material('nights', 'aabbba?ab', 'train', 'p'),
  material('nights', 'bababababa', 'validation', 'q'),
  material('awake', '????', 'train', 'r'),
];

test('counts neighbours of the training side, one added, not over a hole', () => {
  const { matrix, prior, learnedPrior } = countTransitions(0, spec, materials);
  // a: aa, ab | ab; b: bb, bb, ba; with one added to each cell.
  expect(matrix).toEqual([
    [2 / 5, 3 / 5],
    [2 / 5, 3 / 5],
  ]);
  expect(prior).toEqual([0.5, 0.5]);
  // Three quarters of the draws from the nights, there by square roots of four and four.
  expect(learnedPrior[0]).toBeCloseTo(0.75 * 0.5 + 0.25, 6);
});

test(`evidence is low where windows repeat each other, 1 where they do not, seed ${seed}`, () => {
  const rng = new Rng(seed);
  const transitions = {
    matrix: [
      [0.9, 0.1],
      [0.1, 0.9],
    ],
    prior: [0.5, 0.5],
    learnedPrior: [0.5, 0.5],
    evidence: 1,
  };
  const { classes } = spec;
  const task = taskSpec('t', { classes, windowS: 10, hopS: 10, transitions });
  const fitted = (repeats: number): number => {
    const cases: Case[] = [];
    let label = 0;
    let noise = 0;
    for (let i = 0; i < 4000; i++) {
      if (rng.uniform() < 0.1) label = 1 - label;
      if (i % repeats === 0) noise = rng.normal();
      // Log odds of a unit normal around +-1: 2 x.
      const odds = 2 * ((label === 1 ? 1 : -1) + noise);
      const logits = Float32Array.of(0, odds);
      const place = { set: 's', subject: 'p', recording: 'r', endSample: 2000 * (i + 1) };
      cases.push({ ...place, label, logits });
    }
    return fitEvidence(task, cases).transitions?.evidence ?? 0;
  };
  expect(fitted(1)).toBeGreaterThan(0.8);
  expect(fitted(8)).toBeLessThan(0.6);
});
