/** The whole model's loss and gradients against TensorFlow.js autodiff. */
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Rng } from '../../src/core/rng.js';
import type { Architecture } from '../../src/model/architecture.js';
import { parameterSpecs } from '../../src/model/serving.js';
import { makeTargets, type TrainingBatch } from '../../src/model/training-batch.js';
import { TrainingSession } from '../../src/model/training-session.js';
import {
  expectGradients,
  largestDifference,
  livelyWeights,
  randomBatch,
  seeded,
  tinyDense,
  tinyMoe,
} from '../support/model-fixture.js';
import { tfStep } from '../support/tfjs-training.js';

beforeAll(async () => {
  await tf.setBackend('cpu');
});

/** Rows of different lengths, padded; two rows end in a context second. */
function trainingBatch(rng: Rng, arch: Architecture): TrainingBatch {
  const [rows, seconds, channels] = [4, 4, 3];
  const plain = randomBatch(rng, { rows, channels, seconds, tasks: arch.tasks.length });
  const mask = plain.mask.slice();
  const index = new Int32Array(rows * seconds);
  let units = 0;
  for (let row = 0; row < rows; row++)
    for (let second = 0; second < seconds; second++) {
      const i = row * seconds + second;
      if (row === 1 && second < 2) {
        index[i] = -1;
        mask[i] = 0;
      } else if (second === 0 && row > 1) index[i] = -2;
      else index[i] = units++;
    }
  let contexts = 0;
  for (const [i, source] of index.entries()) if (source === -2) index[i] = units + contexts++;
  const cut = (array: Float32Array, size: number) => array.slice(0, units * channels * size);
  const context = Float32Array.from({ length: contexts * arch.latents * arch.width }, () =>
    rng.normal(),
  );
  const labels = [...plain.task].map((task) =>
    rng.below((arch.tasks[task] as { classes: readonly string[] }).classes.length),
  );
  return {
    rows,
    seconds,
    times: plain.times,
    mask,
    task: plain.task,
    target: makeTargets(arch, plain.task, labels, 0.1),
    rowWeight: Float32Array.from({ length: rows }, () => 0.1 + rng.uniform()),
    signal: {
      units,
      channels,
      patches: cut(plain.patches, 200),
      positions: cut(plain.positions, 6),
      channelMask: cut(plain.channelMask, 1),
      context,
      index,
    },
  };
}

const cases: [string, Architecture][] = [
  ['dense', tinyDense],
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
