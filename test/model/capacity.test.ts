/** The capacity mixture: exact where all find a place, dropping by rank where they do not. */
import * as tf from '@tensorflow/tfjs';
import { beforeAll, expect, test } from 'vitest';
import { capacity } from '../../src/model/capacity.js';
import { parameterSpecs, servingGraphs } from '../../src/model/serving.js';
import { TrainingSession } from '../../src/model/training-session.js';
import {
  expectGradients,
  largestDifference,
  livelyWeights,
  OpenModel,
  randomBatch,
  seeded,
  tinyMoe,
} from '../support/model-fixture.js';
import { ffn, linear, type TfMixture } from '../support/tfjs-model.js';
import { tfStep } from '../support/tfjs-training.js';
import { trainingBatch } from '../support/training-batch.js';

beforeAll(async () => {
  await tf.setBackend('cpu');
});

/** Which (token, expert) pairs find a place, by a plain loop. */
function seats(order: number[][], usable: ArrayLike<number>, experts: number, factor: number) {
  const tokens = order.length;
  const copies = (order[0] as number[]).length;
  const places = Math.ceil((factor * tokens * copies) / experts);
  const taken = new Array<number>(experts).fill(0);
  const keep = new Float32Array(tokens * experts);
  for (let copy = 0; copy < copies; copy++)
    for (let token = 0; token < tokens; token++) {
      const expert = (order[token] as number[])[copy] as number;
      if (usable[token] === 0) continue;
      if (taken[expert]++ < places) keep[token * experts + expert] = 1;
    }
  return keep;
}

const withCapacity =
  (factor: number, dropped: { count: number }): TfMixture =>
  (h, taskRows, usable, arch, w, name) => {
    const moe = arch.moe as { experts: number; topK: number };
    const tokens = h.shape[0] as number;
    const perRow = tokens / (taskRows.shape[0] as number);
    const byTask = tf.expandDims(linear(taskRows, w, `${name}.router.task`), 1);
    const logits = tf.add(
      linear(h, w, `${name}.router.token`),
      tf.reshape(tf.tile(byTask, [1, perRow, 1]), [tokens, moe.experts]),
    ) as tf.Tensor2D;
    const values = logits.arraySync();
    const bias = (w[`${name}.router.bias`] as tf.Tensor).dataSync();
    const order = values.map((row) =>
      row
        .map((value, i) => [value + (bias[i] as number), i] as const)
        .sort((a, b) => b[0] - a[0])
        .slice(0, moe.topK)
        .map(([, i]) => i),
    );
    const chosen = new Float32Array(tokens * moe.experts);
    for (const [token, list] of order.entries())
      for (const expert of list) chosen[token * moe.experts + expert] = 1;
    const keep = seats(order, usable.dataSync(), moe.experts, factor);
    dropped.count += chosen.filter((one, i) => one === 1 && keep[i] === 0).length;
    const shape: [number, number] = [tokens, moe.experts];
    const picked = tf.tensor2d(chosen, shape);
    const weights = tf.mul(
      tf.softmax(tf.add(logits, tf.mul(tf.sub(picked, 1), 1e9))),
      tf.tensor2d(keep, shape),
    );
    const outputs = Array.from({ length: moe.experts }, (_, i) =>
      tf.mul(ffn(h, w, `${name}.experts.${i}`), tf.slice(weights, [0, i], [-1, 1])),
    );
    return { y: tf.addN(outputs), routing: { logits, chosen: picked } };
  };

test('with a place for everyone it equals the dropless mixture', async () => {
  const { rng, seed } = seeded();
  const weights = livelyWeights(parameterSpecs(tinyMoe), rng);
  const batch = randomBatch(rng, { rows: 5, channels: 3, seconds: 4, tasks: 2 });
  const exact = await OpenModel.open(tinyMoe, weights);
  const bounded = await OpenModel.open(
    tinyMoe,
    weights,
    servingGraphs(tinyMoe, weights, capacity(4)),
  );
  const latents = await exact.trunk(batch);
  const expected = await exact.tasks(latents, batch);
  const got = await bounded.tasks(latents, batch);
  await exact.close();
  await bounded.close();
  expect(largestDifference(got.logits, expected.logits), `seed ${seed}`).toBeLessThan(1e-5);
  expect(largestDifference(got.routing, expected.routing)).toBeLessThan(1e-6);
});

test.each([0.5, 1.25])('gradients with dropped tokens, factor %d', async (factor) => {
  const { rng, seed } = seeded();
  const weights = livelyWeights(parameterSpecs(tinyMoe), rng);
  // Crowds expert 0, so that some find no place, and leaves expert 3 empty.
  for (const block of [0, 1])
    weights.get(`task.blocks.${block}.router.bias`)?.data.set([2, 0, 0, -1e6]);
  const batch = trainingBatch(rng, tinyMoe);
  const router = { balance: 0.3, z: 0.2 };
  const dropped = { count: 0 };
  const expected = tfStep(batch, tinyMoe, weights, router, withCapacity(factor, dropped));
  expect(dropped.count).toBeGreaterThan(0);
  const session = await TrainingSession.open(tinyMoe, {
    trunk: true,
    mixture: capacity(factor),
  });
  const result = await session.step(weights, batch, router);
  await session.close();
  expect(Math.abs(result.loss - expected.loss), `seed ${seed}`).toBeLessThan(1e-4);
  expectGradients(result.gradients, expected.gradients, seed);
});

test('what is masked takes no place and has no influence', async () => {
  const { rng, seed } = seeded();
  const weights = livelyWeights(parameterSpecs(tinyMoe), rng);
  const batch = randomBatch(rng, { rows: 5, channels: 3, seconds: 4, tasks: 2 });
  batch.mask[3] = 0;
  const model = await OpenModel.open(
    tinyMoe,
    weights,
    servingGraphs(tinyMoe, weights, capacity(0.5)),
  );
  const latents = await model.trunk(batch);
  const before = await model.tasks(latents, batch);
  const size = tinyMoe.latents * tinyMoe.width;
  const spoiled = latents.map((value, i) =>
    batch.mask[Math.floor(i / size)] === 0 ? 1e3 * rng.normal() : value,
  );
  const after = await model.tasks(spoiled, batch);
  await model.close();
  expect(after.logits, `seed ${seed}`).toEqual(before.logits);
});
