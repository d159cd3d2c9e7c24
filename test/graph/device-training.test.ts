/**
 * Training with the optimiser as a graph and everything kept on the device: ten steps of several
 * parts say what the CPU's loop says. On the CPU's provider always, on WebGPU over Chromium's
 * software Vulkan (or, with EEGD_TEST_GPU=1, over the GPU that is there) where it can be had.
 */
import { describe, expect, test } from 'vitest';
import { servingMixture } from '../../src/engine/onnx-sessions.js';
import { AdamW } from '../../src/graph/adamw.js';
import { DeviceTraining } from '../../src/graph/device-training.js';
import { GradientSession } from '../../src/graph/gradient-session.js';
import type { Device } from '../../src/graph/session.js';
import type { Tensor } from '../../src/graph/tensor.js';
import { Accumulator, clipGlobalNorm, WeightAverage } from '../../src/graph/training-arithmetic.js';
import type { Architecture } from '../../src/model/architecture.js';
import { parameterSpecs } from '../../src/model/serving.js';
import { batchFeeds } from '../../src/model/training-batch.js';
import { trainingGraph } from '../../src/model/training-graph.js';
import { largestDifference, livelyWeights, seeded, tinyMoe } from '../support/model-fixture.js';
import { prepareSoftwareVulkan } from '../support/software-vulkan.js';
import { trainingBatch } from '../support/training-batch.js';

const missing = prepareSoftwareVulkan();
if (missing !== undefined) console.warn(`WebGPU is NOT TESTED here: ${missing}`);

// One block of each kind: software Vulkan compiles a kernel in about a tenth of a second.
const arch: Architecture = {
  ...tinyMoe,
  trunkBlocks: 1,
  taskBlocks: 1,
  moe: { blocks: [0], experts: 4, topK: 2, taskAware: true },
};
const [rate, clipNorm, averageShare] = [2e-3, 0.5, 0.1];
// The gradient of a key's bias is 0 but for rounding, which Adam divides by its own size: a larger
// epsilon keeps that out of the comparison.
const settings = { weightDecay: 0.05, epsilon: 1e-4 };
const scalar = (value: number) => ({ shape: [], data: Float32Array.of(value) });
const copy = (tensors: ReadonlyMap<string, Tensor>) =>
  new Map([...tensors].map(([name, { shape, data }]) => [name, { shape, data: data.slice() }]));

function expectClose(
  got: ReadonlyMap<string, Tensor>,
  expected: ReadonlyMap<string, Tensor>,
  what: string,
): void {
  expect([...got.keys()].sort()).toEqual([...expected.keys()].sort());
  for (const [name, { data }] of expected)
    expect(largestDifference(got.get(name)?.data ?? [], data), `${what} ${name}`).toBeLessThan(
      1e-5,
    );
}

const devices: Device[] = missing === undefined ? ['cpu', 'webgpu'] : ['cpu'];

describe.each(devices)('on %s', (device) => {
  test('ten steps equal the loop over arrays, and are gone on with', {
    timeout: 900_000,
  }, async () => {
    const { rng, seed } = seeded();
    const trains = (name: string) => !name.startsWith('trunk.pool.');
    const mixture = servingMixture(arch, 'webgpu');
    const graph = trainingGraph(arch, { trunk: true, mixture, trains });
    const start = livelyWeights(parameterSpecs(arch), rng);
    const feeds = Array.from({ length: 20 }, () => ({
      ...batchFeeds(trainingBatch(rng, arch), arch),
      balanceWeight: scalar(0.1),
      zWeight: scalar(0.05),
    }));

    const cpu = await GradientSession.open(graph);
    const weights = copy(start);
    const optimiser = new AdamW(settings);
    const accumulator = new Accumulator();
    const average = new WeightAverage(weights, 1 - averageShare, 1000);
    const expected: number[] = [];
    for (let step = 0; step < 10; step++) {
      let loss = 0;
      for (const part of [0, 1]) {
        const result = await cpu.run(weights, feeds[2 * step + part] ?? {});
        accumulator.add(result.gradients);
        loss += result.outputs.get('loss')?.data[0] ?? Number.NaN;
      }
      const mean = accumulator.take();
      expected.push(loss, clipGlobalNorm(mean, clipNorm));
      optimiser.step(weights, mean, rate);
      average.update(weights);
    }
    await cpu.close();

    const got: number[] = [];
    let training = await DeviceTraining.open(graph, { device, ...settings });
    await training.start({ weights: start });
    for (let step = 0; step < 10; step++) {
      if (step === 6) {
        // Killed and gone on with from what was read back.
        const state = await training.read();
        await training.close();
        training = await DeviceTraining.open(graph, { device, ...settings });
        await training.start(state);
      }
      let loss = 0;
      for (const part of [0, 1]) {
        const outputs = await training.accumulate(feeds[2 * step + part] ?? {});
        loss += outputs.get('loss')?.data[0] ?? Number.NaN;
      }
      got.push(loss, await training.update({ rate, clipNorm, averageShare }));
    }
    const state = await training.read();
    await training.close();

    for (const [i, value] of expected.entries())
      expect(Math.abs((got[i] ?? 0) / value - 1), `figure ${i}, seed ${seed}`).toBeLessThan(1e-5);
    // Clipping is at work, else it would not be tested.
    expect(expected.filter((_, i) => i % 2 === 1).some((norm) => norm > clipNorm)).toBe(true);
    expectClose(state.weights, weights, `seed ${seed}, weight`);
    expectClose(state.average, average.weights, `seed ${seed}, average`);
    expectClose(state.optimiser, optimiser.save(), `seed ${seed}, state`);
    expect(weights.get('trunk.pool.query')).toEqual(start.get('trunk.pool.query'));
  });
});
