/** Pretraining: what is hidden, what the encoder sees of it, and the gradients. */
import * as tf from '@tensorflow/tfjs';
import { beforeAll, expect, test } from 'vitest';
import { MaeSession, maeParameterSpecs } from '../../src/model/mae.js';
import { hideBlocks, maeFeeds } from '../../src/model/mae-batch.js';
import { parameterSpecs } from '../../src/model/serving.js';
import { maeBatch } from '../support/mae-batch.js';
import {
  expectGradients,
  livelyWeights,
  seeded,
  tinyDense,
  tinyLocal,
} from '../support/model-fixture.js';
import { tfMaeStep } from '../support/tfjs-mae.js';

beforeAll(async () => {
  await tf.setBackend('cpu');
});

test.each([
  ['plain', tinyDense],
  ['local', tinyLocal],
])('loss and gradients of every parameter equal TensorFlow.js: %s', async (_, arch) => {
  const { rng, seed } = seeded();
  const weights = livelyWeights(maeParameterSpecs(arch), rng);
  const batch = maeBatch(rng);
  const expected = tfMaeStep(maeFeeds(batch), arch, weights);
  const session = await MaeSession.open(arch);
  const result = await session.step(weights, batch);
  await session.close();
  expect(Math.abs(result.loss - expected.loss), `seed ${seed}`).toBeLessThan(1e-4);
  expect(result.gradients.size).toBe(weights.size);
  expectGradients(result.gradients, expected.gradients, seed);
});

test('what is hidden or invalid does not reach the encoder', () => {
  const { rng } = seeded();
  const batch = maeBatch(rng);
  const patches = batch.patches.map((value, i) => {
    const place = Math.floor(i / 200);
    return batch.hidden[place] === 1 || batch.valid[place] === 0 ? Number.NaN : value;
  });
  const before = maeFeeds(batch);
  const after = maeFeeds({ ...batch, patches });
  expect(after.patches).toEqual(before.patches);
  const asked = (after.askWeight as { data: Float32Array }).data.reduce((a, b) => a + b, 0);
  const hidden = batch.hidden.filter((one, i) => one === 1 && batch.valid[i] === 1).length;
  expect(asked).toBe(hidden);
});

test('hidden blocks reach their share, stay valid, and leave something to see', () => {
  const { rng, seed } = seeded();
  for (let round = 0; round < 200; round++) {
    const [seconds, channels] = [1 + rng.below(30), 1 + rng.below(20)];
    const valid = Uint8Array.from({ length: seconds * channels }, () => rng.below(5) && 1);
    valid[0] = 1;
    const positions = new Float32Array(channels * 6);
    if (round % 3 > 0) for (let i = 0; i < positions.length; i++) positions[i] = rng.normal();
    const share = 0.5 + 0.05 * rng.uniform();
    const hidden = hideBlocks(rng, { seconds, channels, positions, valid, share });
    const total = valid.reduce((a, b) => a + b, 0);
    const count = hidden.reduce((a, b) => a + b, 0);
    expect(count, `seed ${seed}`).toBe(Math.min(total - 1, Math.round(share * total)));
    expect(hidden.every((one, i) => one === 0 || valid[i] === 1)).toBe(true);
  }
});

test('pretraining covers the encoder: all but task tables and heads', () => {
  const names = new Set(maeParameterSpecs(tinyDense).map(({ name }) => name));
  const left = parameterSpecs(tinyDense).filter(({ name }) => !names.has(name));
  expect(left.map(({ name }) => name).filter((name) => !name.startsWith('heads.'))).toEqual([
    'task.embedding',
    'task.pool',
  ]);
});

test('a few steps on one batch lower its loss', async () => {
  const { rng, seed } = seeded();
  const weights = livelyWeights(maeParameterSpecs(tinyDense), rng);
  const batch = maeBatch(rng);
  const session = await MaeSession.open(tinyDense);
  const losses: number[] = [];
  for (let step = 0; step < 5; step++) {
    const { loss, gradients } = await session.step(weights, batch);
    losses.push(loss);
    for (const [name, { data }] of gradients) {
      const weight = weights.get(name) as { data: Float32Array };
      for (let i = 0; i < data.length; i++) weight.data[i] -= 0.02 * (data[i] as number);
    }
  }
  await session.close();
  expect(losses.at(-1), `seed ${seed}: ${losses}`).toBeLessThan(losses[0] as number);
});
