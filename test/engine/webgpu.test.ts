/**
 * WebGPU over Chromium's software Vulkan (or, with EEGD_TEST_GPU=1, over the GPU that is there):
 * serving and training graphs say what the CPU says, and nothing but sizes is computed on the CPU.
 */
import { describe, expect, test } from 'vitest';
import { OnnxSessions, servingMixture } from '../../src/engine/onnx-sessions.js';
import { gradientName } from '../../src/graph/gradient-session.js';
import type { Tensor } from '../../src/graph/tensor.js';
import type { Architecture } from '../../src/model/architecture.js';
import { MaeSession, maeGraph, maeParameterSpecs } from '../../src/model/mae.js';
import { maeFeeds } from '../../src/model/mae-batch.js';
import { parameterSpecs, servingGraphs } from '../../src/model/serving.js';
import { batchFeeds } from '../../src/model/training-batch.js';
import { trainingGraph } from '../../src/model/training-graph.js';
import { TrainingSession } from '../../src/model/training-session.js';
import { maeBatch } from '../support/mae-batch.js';
import {
  largestDifference,
  livelyWeights,
  randomBatch,
  seeded,
  tinyLocal,
  tinyMoe,
} from '../support/model-fixture.js';
import { type ProfiledNode, profileRun } from '../support/onnx-profile.js';
import { prepareSoftwareVulkan } from '../support/software-vulkan.js';
import { trainingBatch } from '../support/training-batch.js';

const missing = prepareSoftwareVulkan();
if (missing !== undefined) console.warn(`WebGPU is NOT TESTED here: ${missing}`);

// One block of each kind: software Vulkan compiles a kernel in about a tenth of a second.
const small = { trunkBlocks: 1, taskBlocks: 1 };
const cases: [string, Architecture][] = [
  ['local', { ...tinyLocal, ...small }],
  ['moe', { ...tinyMoe, ...small, moe: { blocks: [0], experts: 4, topK: 2, taskAware: true } }],
];
const timeoutMs = 900_000;
/** The largest size in it, at least 1. */
const scaleOf = (data: Float32Array) => data.reduce((peak, x) => Math.max(peak, Math.abs(x)), 1);

/** Nodes that left the device, but for sizes: a few integers, or one of them as a float. */
function fallenBack(nodes: readonly ProfiledNode[]): string[] {
  const isSize = ({ operator, outputs }: ProfiledNode) =>
    outputs.every(({ type, shape }) => {
      const elements = shape.reduce((a, b) => a * b, 1);
      return type === 'float' ? operator === 'Cast' && elements === 1 : elements <= 8;
    });
  return nodes
    .filter(({ provider }) => provider === 'CPUExecutionProvider')
    .filter((node) => !isSize(node))
    .concat(nodes.filter(({ operator }) => operator === 'MemcpyToHost'))
    .map(({ operator, outputs }) => `${operator} ${JSON.stringify(outputs)}`);
}

describe.skipIf(missing !== undefined).each(cases)(
  'on WebGPU, %s',
  { timeout: timeoutMs },
  (_, arch) => {
    test('serving agrees with the CPU to 1e-5, and no node falls back', async () => {
      const { rng, seed } = seeded();
      const weights = livelyWeights(parameterSpecs(arch), rng);
      const sizes = { rows: 3, channels: 4, seconds: 5, tasks: arch.tasks.length };
      const batch = randomBatch(rng, sizes);
      const { rows, seconds, channels, patches, positions, channelMask, times, mask, task } = batch;
      const cpu = await OnnxSessions.open(arch, weights, { device: 'cpu' });
      const trunkRows = rows * seconds;
      const signal = { rows: trunkRows, channels, patches, positions, mask: channelMask };
      const latents = await cpu.trunk(signal);
      const expected = await cpu.tasks({ ...batch, latents });
      await cpu.close();

      const graphs = servingGraphs(arch, weights, servingMixture(arch, 'webgpu'));
      const lower = {
        patches: { shape: [trunkRows, channels, 200], data: patches },
        positions: { shape: [trunkRows, channels, 6], data: positions },
        mask: { shape: [trunkRows, channels], data: channelMask },
      };
      const trunk = await profileRun(graphs.trunk, lower, 'webgpu');
      expectSame(trunk.outputs.get('latents'), latents, `latents, seed ${seed}`);
      const upper = {
        latents: { shape: [rows, seconds, arch.latents, arch.width], data: latents },
        times: { shape: [rows, seconds], data: times },
        mask: { shape: [rows, seconds], data: mask },
        task: { shape: [rows], data: task },
      };
      const tasks = await profileRun(graphs.tasks, upper, 'webgpu');
      expectSame(tasks.outputs.get('logits'), expected.logits, `logits, seed ${seed}`);
      if (arch.moe !== null)
        expectSame(tasks.outputs.get('routing'), expected.routing, `routing, seed ${seed}`);
      for (const { nodes } of [trunk, tasks]) {
        expect(nodes.some(({ provider }) => provider === 'WebGpuExecutionProvider')).toBe(true);
        expect(fallenBack(nodes)).toEqual([]);
      }
    });

    test('a training step agrees with the CPU to 1e-5, and no node falls back', async () => {
      const { rng, seed } = seeded();
      const weights = livelyWeights(parameterSpecs(arch), rng);
      const batch = trainingBatch(rng, arch);
      const cpu = await TrainingSession.open(arch, { trunk: true });
      const losses = { balance: 0.3, z: 0.2 };
      const nudged = copied(await cpu.step(nudge(weights), batch, losses));
      const expected = await cpu.step(weights, batch, losses);
      const scalar = (value: number) => ({ shape: [], data: Float32Array.of(value) });
      const feeds = {
        ...Object.fromEntries(weights),
        ...batchFeeds(batch, arch),
        ...(arch.moe === null ? {} : { balanceWeight: scalar(0.3), zWeight: scalar(0.2) }),
      };
      const graph = trainingGraph(arch, { trunk: true, mixture: servingMixture(arch, 'webgpu') });
      const { nodes, outputs } = await profileRun(graph.bytes, feeds, 'webgpu');
      expectStep(outputs, expected, nudged, seed);
      await cpu.close();
      expect(fallenBack(nodes)).toEqual([]);
    });
  },
);

test.skipIf(missing !== undefined)(
  'pretraining on WebGPU agrees with the CPU to 1e-5, and no node falls back',
  { timeout: timeoutMs },
  async () => {
    const { rng, seed } = seeded();
    const arch = { ...tinyLocal, ...small };
    const weights = livelyWeights(maeParameterSpecs(arch), rng);
    const batch = maeBatch(rng);
    const cpu = await MaeSession.open(arch);
    const nudged = copied(await cpu.step(nudge(weights), batch));
    const expected = await cpu.step(weights, batch);
    const feeds = { ...Object.fromEntries(weights), ...maeFeeds(batch) };
    const { nodes, outputs } = await profileRun(maeGraph(arch).bytes, feeds, 'webgpu');
    expectStep(outputs, expected, nudged, seed);
    await cpu.close();
    expect(fallenBack(nodes)).toEqual([]);
  },
);

type Gradients = ReadonlyMap<string, Tensor>;

/** Every weight changed in its last bits: what then changes, no device can be asked to hold. */
function nudge(weights: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  let odd = 1;
  const nudged = (x: number) => {
    odd = -odd;
    return x * (1 + odd * 2 ** -22);
  };
  return new Map(
    [...weights].map(([name, { shape, data }]) => [name, { shape, data: data.map(nudged) }]),
  );
}

/** Gradients are valid until the next step. */
function copied({ gradients }: { gradients: Gradients }): Gradients {
  return new Map(
    [...gradients].map(([name, { shape, data }]) => [name, { shape, data: data.slice() }]),
  );
}

/** Loss, and the gradient of every parameter: to 1e-5 of the largest, or as far as it is stable. */
function expectStep(
  outputs: ReadonlyMap<string, Float32Array>,
  expected: { loss: number; gradients: Gradients },
  nudged: Gradients,
  seed: number,
): void {
  expect((outputs.get('loss')?.[0] ?? 0) / expected.loss, `seed ${seed}`).toBeCloseTo(1, 5);
  const peak = Math.max(...[...expected.gradients.values()].map(({ data }) => scaleOf(data)));
  for (const [name, { data }] of expected.gradients) {
    const changed = largestDifference(nudged.get(name)?.data ?? [], data) / peak;
    // A device rounds all along the way, not once; never so far that a wrong term would pass.
    const tolerance = Math.min(1e-4, Math.max(1e-5, 16 * changed));
    const got = outputs.get(gradientName(name)) ?? [];
    expect(largestDifference(got, data) / peak, `${name}, seed ${seed}`).toBeLessThan(tolerance);
  }
}

/** To 1e-5 of the largest value there is (at least 1). */
function expectSame(got: Float32Array | undefined, expected: Float32Array, what: string): void {
  const worst = largestDifference(got ?? [], expected) / scaleOf(expected);
  expect(worst, what).toBeLessThan(1e-5);
}
