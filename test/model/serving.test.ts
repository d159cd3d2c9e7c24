/** The serving graphs against TensorFlow.js, and what must never influence what. */
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, test } from 'vitest';
import { Rng } from '../../src/core/rng.js';
import type { Architecture } from '../../src/model/architecture.js';
import { baseArchitecture } from '../../src/model/architecture.js';
import { initialWeights, parameterCount, parameterSpecs } from '../../src/model/serving.js';
import { baseTasks } from '../../src/model/tasks.js';
import {
  type Batch,
  largestDifference,
  livelyWeights,
  OpenModel,
  randomBatch,
  seeded,
  tinyApart,
  tinyDense,
  tinyLocal,
  tinyMoe,
} from '../support/model-fixture.js';
import { type TfWeights, tfTasks, tfTrunk } from '../support/tfjs-model.js';

beforeAll(async () => {
  await tf.setBackend('cpu');
});

function tfWeights(weights: ReadonlyMap<string, { shape: readonly number[]; data: Float32Array }>) {
  const out: Record<string, tf.Tensor> = {};
  for (const [name, { shape, data }] of weights) out[name] = tf.tensor(data, [...shape]);
  return out as TfWeights;
}

function witness(batch: Batch, arch: Architecture, weights: TfWeights) {
  const { rows, seconds, channels } = batch;
  const lead = [rows * seconds, channels];
  const latents = tfTrunk(
    {
      patches: tf.tensor(batch.patches, [...lead, 200]),
      positions: tf.tensor(batch.positions, [...lead, 6]),
      mask: tf.tensor(batch.channelMask, lead),
    },
    arch,
    weights,
  );
  const shape = [rows, seconds];
  const above = tfTasks(
    {
      latents: tf.reshape(latents, [...shape, arch.latents, arch.width]),
      times: tf.tensor(batch.times, shape),
      mask: tf.tensor(batch.mask, shape),
      task: [...batch.task],
    },
    arch,
    weights,
  );
  return { latents: latents.dataSync(), logits: above.logits.dataSync(), above };
}

const shapes: [string, Architecture][] = [
  ['dense', tinyDense],
  ['MoE', tinyMoe],
  ['local', tinyLocal],
  ['latents apart', tinyApart],
  [
    'MoE, top 1 of 3, task-blind',
    { ...tinyDense, moe: { blocks: [1], experts: 3, topK: 1, taskAware: false } },
  ],
];

describe.each(shapes)('%s', (_, arch) => {
  const { rng, seed } = seeded();
  const weights = livelyWeights(parameterSpecs(arch), rng);
  const sizes = { rows: 5, channels: 3, seconds: 4, tasks: arch.tasks.length };
  const batch = randomBatch(rng, sizes);
  let model: OpenModel;
  beforeAll(async () => {
    model = await OpenModel.open(arch, weights);
    return () => model.close();
  });

  test(`equals TensorFlow.js to 1e-4 (seed ${seed})`, async () => {
    const expected = witness(batch, arch, tfWeights(weights));
    const latents = await model.trunk(batch);
    const { logits } = await model.tasks(latents, batch);
    expect(largestDifference(latents, expected.latents)).toBeLessThan(1e-4);
    expect(largestDifference(logits, expected.logits)).toBeLessThan(1e-4);
    expect(largestDifference(logits, new Float32Array(logits.length))).toBeGreaterThan(0.1);
  });

  test(`rows do not influence each other (seed ${seed})`, async () => {
    const latents = await model.trunk(batch);
    const { logits } = await model.tasks(latents, batch);
    const size = latents.length / batch.rows;
    const classes = logits.length / batch.rows;
    for (let row = 0; row < batch.rows; row++) {
      const own = (array: Float32Array, width: number) =>
        array.slice(row * width, (row + 1) * width);
      const alone = await model.tasks(own(latents, size), {
        rows: 1,
        seconds: batch.seconds,
        times: own(batch.times, batch.seconds),
        mask: own(batch.mask, batch.seconds),
        task: batch.task.slice(row, row + 1),
      });
      expect(largestDifference(alone.logits, own(logits, classes))).toBeLessThan(1e-5);
    }
  });

  test(`what is masked has no influence, not even NaN (seed ${seed})`, async () => {
    const before = await model.trunk(batch);
    const spoil = (array: Float32Array, mask: Float32Array, size: number) =>
      array.map((value, i) => ((mask[Math.floor(i / size)] as number) > 0 ? value : Number.NaN));
    const after = await model.trunk({
      ...batch,
      patches: spoil(batch.patches, batch.channelMask, 200),
      positions: spoil(batch.positions, batch.channelMask, 6),
    });
    expect(after).toEqual(before);
    const clean = await model.tasks(before, batch);
    const spoiled = await model.tasks(spoil(before, batch.mask, arch.latents * arch.width), batch);
    expect(spoiled.logits).toEqual(clean.logits);
    expect(spoiled.routing).toEqual(clean.routing);
  });

  test(`padding has no influence (seed ${seed})`, async () => {
    const trunkRows = batch.rows * batch.seconds;
    const pad = (array: Float32Array, lead: number, from: number, to: number) => {
      const size = array.length / lead / from;
      const out = new Float32Array(lead * to * size);
      for (let i = 0; i < lead; i++)
        out.set(array.subarray(i * from * size, (i + 1) * from * size), i * to * size);
      return out;
    };
    const before = await model.trunk(batch);
    const wide = await model.trunk({
      channels: 7,
      patches: pad(batch.patches, trunkRows, 3, 7),
      positions: pad(batch.positions, trunkRows, 3, 7),
      channelMask: pad(batch.channelMask, trunkRows, 3, 7),
    });
    expect(largestDifference(wide, before)).toBeLessThan(1e-5);
    const { rows, seconds } = batch;
    const short = await model.tasks(before, batch);
    const long = await model.tasks(pad(before, rows, seconds, 9), {
      rows,
      seconds: 9,
      times: pad(batch.times, rows, seconds, 9),
      mask: pad(batch.mask, rows, seconds, 9),
      task: batch.task,
    });
    expect(largestDifference(long.logits, short.logits)).toBeLessThan(1e-5);
    expect(largestDifference(long.routing, short.routing)).toBeLessThan(1e-6);
  });

  test(`a window with nothing usable gives finite logits (seed ${seed})`, async () => {
    const latents = await model.trunk({ ...batch, channelMask: batch.channelMask.map(() => 0) });
    const { logits } = await model.tasks(latents, { ...batch, mask: batch.mask.map(() => 0) });
    expect([...latents, ...logits].every(Number.isFinite)).toBe(true);
  });
});

test('routing shares are those of the chosen experts, and sum to 1', async () => {
  const { rng, seed } = seeded();
  const weights = livelyWeights(parameterSpecs(tinyMoe), rng);
  const batch = randomBatch(rng, { rows: 3, channels: 2, seconds: 4, tasks: 2 });
  const model = await OpenModel.open(tinyMoe, weights);
  const latents = await model.trunk(batch);
  const { routing } = await model.tasks(latents, batch);
  await model.close();
  const { above } = witness(batch, tinyMoe, tfWeights(weights));
  const experts = 4;
  for (const [block, { chosen }] of above.routings.entries()) {
    const picks = chosen.dataSync();
    for (let row = 0; row < 3; row++) {
      const counts = new Array<number>(experts).fill(0);
      let usable = 0;
      for (let second = 0; second < 4; second++) {
        if (batch.mask[row * 4 + second] === 0) continue;
        for (let latent = 0; latent < 2; latent++) {
          usable++;
          const token = (row * 4 + second) * 2 + latent;
          for (let e = 0; e < experts; e++) counts[e] += picks[token * experts + e] as number;
        }
      }
      const got = routing.slice((row * 2 + block) * experts, (row * 2 + block + 1) * experts);
      const expected = counts.map((count) => count / usable / 2);
      expect(largestDifference(got, expected), `seed ${seed}`).toBeLessThan(1e-6);
    }
  }
});

test('the shipped size has the parameters it should', () => {
  const dense = { ...baseArchitecture, tasks: baseTasks };
  expect(parameterCount(dense)).toBeGreaterThan(2.4e6);
  expect(parameterCount(dense)).toBeLessThan(3.2e6);
  const weights = initialWeights(tinyMoe, new Rng(3));
  const again = initialWeights(tinyMoe, new Rng(3));
  expect([...again]).toEqual([...weights]);
});
