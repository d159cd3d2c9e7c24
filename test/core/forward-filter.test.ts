/** The chain over windows: the textbook's sums, gaps, and the same bits live and in evaluation. */
import { describe, expect, test } from 'vitest';
import { ForwardFilter, type Transitions } from '../../src/core/forward-filter.js';
import { Rng } from '../../src/core/rng.js';
import type { TaskSpec } from '../../src/core/tasks.js';
import { Decision } from '../../src/daemon/decision.js';
import { filterWindows } from '../../src/training/filtered.js';
import type { Predicted } from '../../src/training/predictor.js';
import { taskSpec } from '../support/fake-engine.js';

const seed = 20261124;
const classes = ['a', 'b', 'c'];

function normalised(values: readonly number[]): number[] {
  const sum = values.reduce((a, b) => a + b, 0);
  return values.map((value) => value / sum);
}

function drawTransitions(rng: Rng, evidence = 1): Transitions {
  const row = () => normalised(classes.map(() => 0.05 + rng.uniform()));
  return { matrix: classes.map(row), prior: row(), learnedPrior: row(), evidence };
}

/** Sum over every path of states: no recursion over time to share a fault with. */
function byPaths(t: Transitions, rows: readonly (readonly number[] | undefined)[]): number[] {
  const ends = classes.map(() => 0);
  const walk = (at: number, state: number, weight: number): void => {
    const row = rows[at];
    const likelihood =
      row === undefined ? 1 : (row[state] as number) / (t.learnedPrior[state] as number);
    const next = weight * likelihood ** t.evidence;
    if (at === rows.length - 1) ends[state] = (ends[state] as number) + next;
    else
      for (const [to, p] of (t.matrix[state] as readonly number[]).entries())
        walk(at + 1, to, next * p);
  };
  for (const [state, p] of t.prior.entries()) walk(0, state, p);
  return normalised(ends);
}

describe(`the forward filter, seed ${seed}`, () => {
  const rng = new Rng(seed);
  const rows = Array.from({ length: 7 }, () => normalised(classes.map(() => rng.uniform())));

  test.each([1, 0.4])('equals the sum over all paths, evidence %d', (evidence) => {
    const t = drawTransitions(rng, evidence);
    const filter = new ForwardFilter(t, 30);
    for (const [i, row] of rows.entries()) {
      const found = filter.update(row, 30 * (i + 1));
      const wanted = byPaths(t, rows.slice(0, i + 1));
      for (const [k, p] of wanted.entries()) expect(found[k], `${i}`).toBeCloseTo(p, 12);
    }
  });

  test('windows left out are hops without evidence', () => {
    const t = drawTransitions(rng);
    const filter = new ForwardFilter(t, 2);
    const [first, second, third] = rows as [number[], number[], number[]];
    filter.update(first, 2);
    filter.update(second, 4);
    const found = filter.update(third, 10.01);
    const wanted = byPaths(t, [first, second, undefined, undefined, third]);
    for (const [k, p] of wanted.entries()) expect(found[k]).toBeCloseTo(p, 12);
  });

  test('after a day without windows the start is forgotten; certainty stays finite', () => {
    const t = drawTransitions(rng);
    const [one, other] = [new ForwardFilter(t, 1), new ForwardFilter(t, 1)];
    one.update([1, 0, 0], 1);
    other.update([0, 0, 1], 1);
    const row = rows[0] as number[];
    const [a, b] = [one.update(row, 86_400), other.update(row, 86_400)];
    for (const [k, p] of a.entries()) expect(b[k]).toBeCloseTo(p, 12);
  });
});

test(`live and evaluation decide the same to the bit, seed ${seed}`, () => {
  const rng = new Rng(seed);
  const task: TaskSpec = {
    ...taskSpec('sleep', { classes, windowS: 30, hopS: 30, temperature: 1.7 }),
    transitions: drawTransitions(rng, 0.55),
  };
  const found = Array.from({ length: 400 }, (_, i): Predicted => {
    const logits = Float32Array.from(classes, () => 3 * rng.normal());
    const window = { endSample: 6000 * (i + 1) } as Predicted['window'];
    return { window, logits, routing: new Float32Array(0) };
  }).filter(() => rng.uniform() < 0.8);
  const decision = new Decision(task);
  const evaluated = filterWindows(task, found);
  let differs = 0;
  for (const [i, { window, logits }] of found.entries()) {
    const live = decision.decide(logits, window.endSample / 200);
    expect([...live.smoothed]).toEqual([...(evaluated[i]?.filtered ?? [])]);
    expect(live.label).toBe(classes[live.smoothed.indexOf(Math.max(...live.smoothed))]);
    if (live.probabilities.some((p, k) => p !== live.smoothed[k])) differs++;
  }
  expect(differs).toBe(found.length);
});
