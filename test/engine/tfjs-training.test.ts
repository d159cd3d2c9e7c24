/** Fine-tuning by TensorFlow.js's own autodiff against ours: the same steps, the same losses. */
import { describe, expect, test } from 'vitest';
import { Rng } from '../../src/core/rng.js';
import { TfjsTraining } from '../../src/engine/tfjs/training.js';
import { AdamW } from '../../src/graph/adamw.js';
import type { Tensor } from '../../src/graph/tensor.js';
import type { Architecture } from '../../src/model/architecture.js';
import { parameterSpecs } from '../../src/model/serving.js';
import { type StepSession, TrainingSession } from '../../src/model/training-session.js';
import {
  expectGradients,
  largestDifference,
  livelyWeights,
  seeded,
  tinyDense,
  tinyHistory,
  tinyMoe,
} from '../support/model-fixture.js';
import { trainingBatch } from '../support/training-batch.js';

const router = { balance: 0.1, z: 0.05 };
const cases: [string, Architecture][] = [
  ['dense', tinyDense],
  ['moe', tinyMoe],
  ['beside what is usual', tinyHistory],
];

/** Ten steps of AdamW on batches drawn from `seed`; the loss of each. */
async function tenSteps(session: StepSession, arch: Architecture, seed: number) {
  const weights = livelyWeights(parameterSpecs(arch), new Rng(seed));
  const rng = new Rng(seed + 1);
  const optimiser = new AdamW({ weightDecay: 0.01 });
  const losses: number[] = [];
  for (let step = 0; step < 10; step++) {
    const { loss, gradients } = await session.step(weights, trainingBatch(rng, arch), router);
    losses.push(loss);
    optimiser.step(weights, gradients, 1e-3);
  }
  return losses;
}

describe.each(cases)('%s', (_, arch) => {
  test('ten steps from the same weights give the same losses to 1e-3', async () => {
    const { seed } = seeded();
    const ours = await TrainingSession.open(arch, { trunk: true });
    const theirs = await TfjsTraining.open(arch, { kind: 'tfjs', trunk: true });
    const expected = await tenSteps(ours, arch, seed);
    const got = await tenSteps(theirs, arch, seed);
    expect(largestDifference(got, expected), `seed ${seed}`).toBeLessThan(1e-3);
    expect(new Set(expected).size).toBe(10);
    await ours.close();
    await theirs.close();
  }, 120_000);

  test('one step says everything that ours says', async () => {
    const { rng, seed } = seeded();
    const weights = livelyWeights(parameterSpecs(arch), rng);
    const batch = trainingBatch(rng, arch);
    const trains = (name: string) => !name.startsWith('trunk.');
    const ours = await TrainingSession.open(arch, { trunk: true, trains });
    const theirs = await TfjsTraining.open(arch, { kind: 'tfjs', trunk: true, trains });
    const expected = await ours.step(weights, batch, router);
    const got = await theirs.step(weights, batch, router);
    const names = (session: StepSession) => session.trained.map(({ name }) => name).sort();
    expect(names(theirs)).toEqual(names(ours));
    for (const figure of ['loss', 'balance', 'z'] as const)
      expect(got[figure], `${figure}, seed ${seed}`).toBeCloseTo(expected[figure], 4);
    expect(largestDifference(got.rowLoss, expected.rowLoss), `seed ${seed}`).toBeLessThan(1e-4);
    expect(largestDifference(got.logits, expected.logits), `seed ${seed}`).toBeLessThan(1e-4);
    expect(largestDifference(got.routing, expected.routing), `seed ${seed}`).toBeLessThan(1e-6);
    expectGradients(got.gradients, arrays(expected.gradients), seed);
    const { logits } = await theirs.evaluate(weights, batch);
    expect(largestDifference(logits, got.logits)).toBeLessThan(1e-6);
    await ours.close();
    await theirs.close();
  }, 120_000);
});

function arrays(gradients: ReadonlyMap<string, Tensor>): Record<string, Float32Array> {
  return Object.fromEntries([...gradients].map(([name, { data }]) => [name, data]));
}
