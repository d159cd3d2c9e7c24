/** The loop with its parameters elsewhere: same curve, same weights, gone on with after a kill. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Rng } from '../../src/core/rng.js';
import { DeviceSession } from '../../src/model/device-session.js';
import type { Weights } from '../../src/model/parameters.js';
import { parameterSpecs } from '../../src/model/serving.js';
import { type StepSession, TrainingSession } from '../../src/model/training-session.js';
import { type Objective, trainLoop } from '../../src/training/loop.js';
import { trainingSchema } from '../../src/training/recipe-schema.js';
import { RunFolder } from '../../src/training/run-folder.js';
import { scratch } from '../formats/fixture.js';
import { largestDifference, livelyWeights, tinyMoe } from '../support/model-fixture.js';
import { trainingBatch } from '../support/training-batch.js';

const plan = trainingSchema.parse({
  steps: 10,
  learningRate: 0.002,
  warmupSteps: 2,
  clipNorm: 0.5,
  ema: 0.9,
  saveEvery: 4,
  validateEvery: 5,
});
const router = { balance: 0.1, z: 0.05 };

/** Random batches; validation looks at the weights themselves. */
class Random implements Objective {
  readonly device;
  readonly #session: StepSession;
  /** From this step on it is dead. */
  diesAt = Number.POSITIVE_INFINITY;
  #steps = 0;

  constructor(session: StepSession) {
    this.#session = session;
    this.device = session instanceof DeviceSession ? session.training : undefined;
  }

  async step(weights: Weights, rng: Rng) {
    if (this.#steps++ >= this.diesAt) throw new Error('killed');
    const batch = trainingBatch(rng, tinyMoe);
    const { loss, gradients } = await this.#session.step(weights, batch, router);
    return { gradients, loss, windows: 4, figures: {}, batch: 'random' };
  }

  validate(weights: Weights) {
    const data = weights.get('trunk.embed.bias')?.data ?? new Float32Array(0);
    return Promise.resolve({ score: data.reduce((a, b) => a + b, 0), figures: {} });
  }

  close = () => this.#session.close();
}

const onDevice = () => DeviceSession.open(tinyMoe, { trunk: true, device: 'cpu' });
const options = (folder: string) => ({
  plan,
  seed: 5,
  folder: new RunFolder(folder),
  facts: {},
  start: () => livelyWeights(parameterSpecs(tinyMoe), new Rng(6)),
});
const losses = (folder: string) =>
  readFileSync(join(folder, 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { loss: number }).loss);

test('on a device the loop learns what it learns here, killed on the way too', async () => {
  const root = scratch();
  const [here, there, cut] = ['here', 'there', 'cut'].map((name) => join(root, name)) as [
    string,
    string,
    string,
  ];
  const plain = new Random(await TrainingSession.open(tinyMoe, { trunk: true }));
  const expected = await trainLoop(plain, options(here));
  await plain.close();
  const device = new Random(await onDevice());
  const result = await trainLoop(device, options(there));
  await device.close();
  expect(losses(there)).toHaveLength(10);
  expect(largestDifference(losses(there), losses(here))).toBeLessThan(1e-4);
  expect(result.bestStep).toBe(expected.bestStep);
  const name = 'task.blocks.0.experts.1.in.weight';
  const weight = (weights: Weights) => weights.get(name)?.data ?? [];
  expect(largestDifference(weight(result.weights), weight(expected.weights))).toBeLessThan(1e-4);
  expect(largestDifference(weight(result.weights), weight(options(cut).start()))).toBeGreaterThan(
    1e-3,
  );

  const dying = new Random(await onDevice());
  dying.diesAt = 7;
  await expect(trainLoop(dying, options(cut))).rejects.toThrow('killed');
  await dying.close();
  const again = new Random(await onDevice());
  const resumed = await trainLoop(again, options(cut));
  await again.close();
  expect(losses(cut)).toEqual(losses(there));
  expect(resumed.weights).toEqual(result.weights);
});
