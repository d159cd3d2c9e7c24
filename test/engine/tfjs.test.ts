/** The second engine: the same weights through TensorFlow.js and through ONNX Runtime. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Rng } from '../../src/core/rng.js';
import type { TaskSpec } from '../../src/core/tasks.js';
import { loadTf, type Tf } from '../../src/engine/tfjs/backend.js';
import { TfjsSessions } from '../../src/engine/tfjs/sessions.js';
import { baseArchitecture } from '../../src/model/architecture.js';
import { attachPack, grow, type Model, packSpecs } from '../../src/model/growing.js';
import { parameterSpecs } from '../../src/model/serving.js';
import { baseTasks } from '../../src/model/tasks.js';
import {
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

let tf: Tf;
beforeAll(async () => {
  tf = await loadTf('tfjs');
});
afterAll(() => tf.disposeVariables());

const half = {
  ...baseArchitecture,
  width: 64,
  heads: 2,
  ffn: 128,
  tasks: baseTasks,
  moe: { blocks: [1, 3], experts: 8, topK: 2, taskAware: true },
};

describe('TensorFlow.js and ONNX Runtime agree', () => {
  test.each([
    ['dense', tinyDense],
    ['local', tinyLocal],
    ['latents apart', tinyApart],
    ['moe', tinyMoe],
    ['moe, router without task', { ...tinyMoe, moe: { ...tinyMoe.moe, taskAware: false } }],
    ['moe of the shipped depth', half],
  ] as const)('%s', async (_, shape) => {
    const arch = shape as typeof tinyMoe;
    const { rng, seed } = seeded();
    const weights = livelyWeights(parameterSpecs(arch), rng);
    const sizes = { rows: 3, channels: 4, seconds: 5, tasks: arch.tasks.length };
    const batch = randomBatch(rng, sizes);
    const onnx = await OpenModel.open(arch, weights);
    const second = new TfjsSessions(tf, arch, weights);
    const { patches, positions, channelMask, times, mask, task, rows, seconds } = batch;
    const trunkBatch = { rows: rows * seconds, channels: 4, patches, positions, mask: channelMask };
    const latents = await onnx.trunk(batch);
    expect(largestDifference(latents, await second.trunk(trunkBatch)), `seed ${seed}`).toBeLessThan(
      1e-4,
    );
    const expected = await onnx.tasks(latents, batch);
    const got = await second.tasks({ rows, seconds, latents, times, mask, task });
    const scale = Math.max(1, ...expected.logits.map(Math.abs));
    expect(largestDifference(expected.logits, got.logits) / scale, `seed ${seed}`).toBeLessThan(
      1e-4,
    );
    expect(largestDifference(expected.routing, got.routing), `seed ${seed}`).toBeLessThan(1e-6);
    await second.close();
    await onnx.close();
  });
});

/** Packs in two blocks and in the last one only; on a dense base one that is a head alone. */
function withPacks(base: Model, rng: Rng): Model {
  const blocks = base.arch.moe === null ? [[]] : [[0, 1], [1]];
  return blocks.reduce<Model>((model, own, i) => {
    const task = { ...(tinyMoe.tasks[0] as TaskSpec), name: `own ${i}`, classes: ['x', 'y', 'z'] };
    const options = { name: `pack${i}`, task, experts: 1 + i, blocks: own };
    const pack = grow(base, options, rng);
    for (const [name, tensor] of livelyWeights(packSpecs(base.arch, pack, task), rng))
      pack.weights.set(name, tensor);
    return attachPack(model, pack);
  }, base);
}

test.each([
  ['moe', tinyMoe],
  ['dense', tinyDense],
])('expert packs agree too, beside the base’s own tasks (%s)', async (_, arch) => {
  const { rng, seed } = seeded();
  const model = withPacks({ arch, weights: livelyWeights(parameterSpecs(arch), rng) }, rng);
  const tasks = model.arch.tasks.length;
  const batch = randomBatch(rng, { rows: 8, channels: 3, seconds: 4, tasks });
  batch.task.set([0, 1, 2, tasks - 1, 2, 0, tasks - 1, 1]);
  const onnx = await OpenModel.open(model.arch, model.weights);
  const second = new TfjsSessions(tf, model.arch, model.weights);
  const latents = await onnx.trunk(batch);
  const expected = await onnx.tasks(latents, batch);
  const got = await second.tasks({ ...batch, latents });
  const scale = Math.max(1, ...expected.logits.map(Math.abs));
  expect(got.logits.length).toBe(expected.logits.length);
  expect(largestDifference(expected.logits, got.logits) / scale, `seed ${seed}`).toBeLessThan(1e-4);
  expect(got.routing.length).toBe(expected.routing.length);
  expect(largestDifference(expected.routing, got.routing), `seed ${seed}`).toBeLessThan(1e-6);
  await second.close();
  await onnx.close();
});

test('nothing but the weights outlives a run', async () => {
  const { rng } = seeded();
  const before = tf.memory().numTensors;
  const weights = livelyWeights(parameterSpecs(tinyMoe), rng);
  const sessions = new TfjsSessions(tf, tinyMoe, weights);
  const batch = randomBatch(rng, { rows: 2, channels: 3, seconds: 4, tasks: 2 });
  const latents = new Float32Array(2 * 4 * tinyMoe.latents * tinyMoe.width).fill(0.1);
  for (let run = 0; run < 200; run++) await sessions.tasks({ ...batch, latents });
  expect(tf.memory().numTensors - before).toBe(weights.size);
  await sessions.close();
  expect(tf.memory().numTensors).toBe(before);
});

test('a missing package is named, with what to install', async () => {
  await expect(loadTf('tfjs-node-gpu')).rejects.toMatchObject({
    code: 'EEG_ENGINE_UNAVAILABLE',
    message: expect.stringContaining('@tensorflow/tfjs-node-gpu'),
    hint: expect.stringContaining('CUDA'),
  });
});
