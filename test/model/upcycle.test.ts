/** Upcycling: the same function at first, different experts after training, no expert dead. */
import { expect, test } from 'vitest';
import { AdamW } from '../../src/graph/adamw.js';
import type { Tensor } from '../../src/graph/tensor.js';
import { parameterSpecs } from '../../src/model/serving.js';
import { makeTargets } from '../../src/model/training-batch.js';
import { TrainingSession } from '../../src/model/training-session.js';
import { upcycle, upcycleState } from '../../src/model/upcycle.js';
import {
  largestDifference,
  livelyWeights,
  OpenModel,
  randomBatch,
  seeded,
  tinyDense,
} from '../support/model-fixture.js';

const options = { blocks: [1], experts: 8, topK: 2, taskAware: true };
const dataOf = (weights: ReadonlyMap<string, Tensor>, name: string) =>
  (weights.get(name) as Tensor).data;

test.each([
  [2, 1],
  [8, 2],
  [32, 4],
])('%i experts, top %i: output equals the dense model to 1e-6', async (experts, topK) => {
  const { rng, seed } = seeded();
  const dense = livelyWeights(parameterSpecs(tinyDense), rng);
  const up = upcycle(dense, tinyDense, { ...options, blocks: [0, 1], experts, topK }, rng);
  const batch = randomBatch(rng, { rows: 6, channels: 3, seconds: 4, tasks: 2 });
  const before = await OpenModel.open(tinyDense, dense);
  const after = await OpenModel.open(up.arch, up.weights);
  const latents = await before.trunk(batch);
  const expected = await before.tasks(latents, batch);
  const got = await after.tasks(latents, batch);
  await before.close();
  await after.close();
  const scale = Math.max(1, ...expected.logits.map(Math.abs));
  expect(largestDifference(got.logits, expected.logits) / scale, `seed ${seed}`).toBeLessThan(1e-6);
});

test('experts start identical, end different, and none dies', async () => {
  const { rng, seed } = seeded();
  const dense = livelyWeights(parameterSpecs(tinyDense), rng);
  const { arch, weights } = upcycle(dense, tinyDense, { ...options, experts: 4 }, rng);
  const name = (expert: number) => `task.blocks.1.experts.${expert}.in.weight`;
  for (let expert = 1; expert < 4; expert++)
    expect(dataOf(weights, name(expert))).toEqual(dataOf(weights, name(0)));
  const [rows, seconds] = [16, 4];
  const session = await TrainingSession.open(arch, { trunk: false });
  const adam = new AdamW();
  let load = new Float32Array(4);
  for (let step = 0; step < 30; step++) {
    const task = Int32Array.from({ length: rows }, (_, row) => row % 2);
    const labels = Array.from({ length: rows }, () => rng.below(2));
    const size = arch.latents * arch.width;
    const latents = Float32Array.from(
      { length: rows * seconds * size },
      (_, i) => rng.normal() + (labels[Math.floor(i / size / seconds)] as number),
    );
    const batch = {
      rows,
      seconds,
      latents,
      task,
      times: Float32Array.from({ length: rows * seconds }, (_, i) => (i % seconds) - 3),
      mask: new Float32Array(rows * seconds).fill(1),
      target: makeTargets(arch, task, labels, 0.1),
      rowWeight: new Float32Array(rows).fill(1 / rows),
    };
    const result = await session.step(weights, batch, { balance: 0.1, z: 1e-3 });
    adam.step(weights, result.gradients, 3e-3);
    load = new Float32Array(4);
    for (const [i, share] of result.routing.entries()) load[i % 4] += share / rows;
  }
  await session.close();
  for (let a = 0; a < 4; a++) {
    expect(load[a], `load of expert ${a}, seed ${seed}`).toBeGreaterThan(0.02);
    for (let b = 0; b < a; b++)
      expect(largestDifference(dataOf(weights, name(a)), dataOf(weights, name(b)))).toBeGreaterThan(
        1e-3,
      );
  }
});

test('Drop-Upcycling re-draws its share of hidden units, each expert its own', () => {
  const { rng, seed } = seeded();
  const dense = livelyWeights(parameterSpecs(tinyDense), rng);
  const { weights } = upcycle(dense, tinyDense, { ...options, dropUpcycling: 0.5 }, rng);
  const original = dataOf(dense, 'task.blocks.1.ffn.out.weight');
  const changed = (expert: number) => {
    const now = dataOf(weights, `task.blocks.1.experts.${expert}.out.weight`);
    const units = new Set<number>();
    for (let i = 0; i < now.length; i++) if (now[i] !== original[i]) units.add(Math.floor(i / 16));
    return [...units].join();
  };
  for (let expert = 0; expert < 8; expert++)
    expect(changed(expert).split(','), `seed ${seed}`).toHaveLength(16);
  expect(changed(0)).not.toBe(changed(1));
});

test('the optimiser state follows the copies', () => {
  const { rng } = seeded();
  const dense = livelyWeights(parameterSpecs(tinyDense), rng);
  const adam = new AdamW();
  adam.step(dense, livelyWeights(parameterSpecs(tinyDense), rng), 1e-3);
  const { arch, weights } = upcycle(dense, tinyDense, options, rng);
  const state = upcycleState(adam.save(), arch);
  const source = adam.save();
  for (const part of ['first', 'second', 'steps'])
    expect(state.get(`${part}.task.blocks.1.experts.7.in.weight`)).toEqual(
      source.get(`${part}.task.blocks.1.ffn.in.weight`),
    );
  expect(state.has('first.task.blocks.1.router.token')).toBe(false);
  const next = new AdamW();
  next.restore(state);
  next.step(weights, livelyWeights(parameterSpecs(arch), rng), 1e-3);
});

test('options that do not fit are refused', () => {
  const { rng } = seeded();
  const dense = livelyWeights(parameterSpecs(tinyDense), rng);
  const attempt = (change: object) => () =>
    upcycle(dense, tinyDense, { ...options, ...change }, rng);
  expect(attempt({ experts: 1 })).toThrow(/2 to 32/);
  expect(attempt({ experts: 33 })).toThrow(/2 to 32/);
  expect(attempt({ topK: 9 })).toThrow(/top 9/);
  expect(attempt({ blocks: [2] })).toThrow(/task blocks/);
});
