/** The whole model's loss and gradients against TensorFlow.js autodiff. */
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Architecture } from '../../src/model/architecture.js';
import { parameterSpecs } from '../../src/model/serving.js';
import { TrainingSession } from '../../src/model/training-session.js';
import {
  expectGradients,
  largestDifference,
  livelyWeights,
  seeded,
  tinyApart,
  tinyDense,
  tinyHistory,
  tinyLocal,
  tinyMoe,
} from '../support/model-fixture.js';
import { tfStep } from '../support/tfjs-training.js';
import { trainingBatch } from '../support/training-batch.js';

beforeAll(async () => {
  await tf.setBackend('cpu');
});

const cases: [string, Architecture][] = [
  ['dense', tinyDense],
  ['local', tinyLocal],
  ['latents apart', tinyApart],
  ['beside what is usual', tinyHistory],
  ['dropless MoE', tinyMoe],
  ['MoE with an expert nobody chooses', tinyMoe],
];

describe.each(cases)('%s', (title, arch) => {
  test('gradients of every parameter', async () => {
    const { rng, seed } = seeded();
    const weights = livelyWeights(parameterSpecs(arch), rng);
    const empty = title.includes('nobody');
    if (empty)
      for (const block of [0, 1])
        weights.get(`task.blocks.${block}.router.bias`)?.data.set([-1e6, 0, 0, 0]);
    const batch = trainingBatch(rng, arch);
    const router = { balance: 0.3, z: 0.2 };
    const expected = tfStep(batch, arch, weights, router);
    const session = await TrainingSession.open(arch, { trunk: true });
    const result = await session.step(weights, batch, router);
    const again = await session.evaluate(weights, batch);
    await session.close();
    expect(Math.abs(result.loss - expected.loss), `seed ${seed}`).toBeLessThan(1e-4);
    expect(largestDifference(again.logits, result.logits)).toBeLessThan(1e-6);
    expect(session.trained.map(({ name }) => name).sort()).toEqual([...weights.keys()].sort());
    expectGradients(result.gradients, expected.gradients, seed);
    if (empty) {
      const idle = result.gradients.get('task.blocks.0.experts.0.in.weight');
      expect(idle?.data.every((value) => value === 0)).toBe(true);
    }
  });

  test('a frozen trunk: latents in, gradients of the rest', async () => {
    const { rng, seed } = seeded();
    const specs = parameterSpecs(arch).filter(({ name }) => !name.startsWith('trunk.'));
    const weights = livelyWeights(specs, rng);
    const { signal, ...rest } = trainingBatch(rng, arch);
    const length = rest.rows * rest.seconds * arch.latents * arch.width;
    const size = arch.latents * arch.width;
    const latents = Float32Array.from(
      { length },
      (_, i) => (rest.mask[Math.floor(i / size)] as number) * rng.normal(),
    );
    const batch = { ...rest, latents };
    const router = { balance: 0, z: 0 };
    const expected = tfStep(batch, arch, weights, router);
    const session = await TrainingSession.open(arch, { trunk: false });
    const result = await session.step(weights, batch, router);
    await session.close();
    expect(Math.abs(result.loss - expected.loss), `seed ${seed}`).toBeLessThan(1e-4);
    expectGradients(result.gradients, expected.gradients, seed);
  });
});
