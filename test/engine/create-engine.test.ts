/** One checkpoint through every engine that can be had here, chosen as a user chooses. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createEngine, type DeviceTrial } from '../../src/engine/create-engine.js';
import type { Engine } from '../../src/engine/engine.js';
import { providersOf } from '../../src/graph/session.js';
import { saveCheckpoint } from '../../src/model/checkpoint.js';
import { parameterSpecs } from '../../src/model/serving.js';
import {
  largestDifference,
  livelyWeights,
  randomBatch,
  seeded,
  tinyMoe,
} from '../support/model-fixture.js';

const { rng } = seeded();
let folder: string;
beforeAll(async () => {
  folder = join(await mkdtemp(join(tmpdir(), 'eegd-engine-')), 'tiny@1');
  const weights = livelyWeights(parameterSpecs(tinyMoe), rng);
  await saveCheckpoint(folder, {
    name: 'tiny',
    release: '1',
    trained: false,
    arch: tinyMoe,
    weights,
    type: 'F32',
  });
});
afterAll(() => rm(folder, { recursive: true }));

test('onnx and tfjs load the same checkpoint and agree', async () => {
  const batch = randomBatch(rng, { rows: 2, channels: 3, seconds: 4, tasks: 2 });
  const { patches, positions, channelMask, times, mask, task } = batch;
  const answers: Float32Array[] = [];
  for (const kind of ['onnx', 'tfjs'] as const) {
    const engine = await createEngine(folder, { kind, device: 'cpu', threads: 1 });
    expect(engine.info).toMatchObject({ checkpoint: 'tiny@1', trained: false, experts: 4 });
    expect(engine.info.engine).toMatch(kind);
    const latents = await engine.trunk({
      rows: 8,
      channels: 3,
      patches,
      positions,
      mask: channelMask,
    });
    const result = await engine.tasks({ rows: 2, seconds: 4, latents, times, mask, task });
    answers.push(result.logits);
    await engine.close();
  }
  const [first, second] = answers as [Float32Array, Float32Array];
  expect(largestDifference(first, second)).toBeLessThan(1e-3);
});

test('auto tries what there is and keeps one that works', async () => {
  const tried: DeviceTrial[] = [];
  const engine = await createEngine(folder, {
    kind: 'onnx',
    device: 'auto',
    threads: 1,
    onChoice: (trials) => tried.push(...trials),
  });
  expect(tried.map(({ device }) => device)).toEqual(['cpu', 'webgpu', 'cuda']);
  for (const { ms, error } of tried) expect(ms === undefined).toBe(error !== undefined);
  const usable = tried.filter(({ ms }) => ms !== undefined);
  usable.sort((a, b) => (a.ms ?? 0) - (b.ms ?? 0));
  expect(engine.info.engine).toBe(`onnx/${usable[0]?.device}`);
  await engine.close();
});

const absent = [
  ['cuda', /CUDA 12.*ONNXRUNTIME_NODE_INSTALL_CUDA=v12.*device: cpu/],
  ['tensorrt', /TensorRT 10, CUDA 12.*ONNXRUNTIME_NODE_INSTALL_CUDA=v12.*device: cpu/],
] as const;
test.each(absent)('%s that is not there is named, with what it needs', async (device, hint) => {
  const options = { kind: 'onnx', device, threads: 1 } as const;
  const opened = createEngine(folder, options).catch((error: unknown) => error);
  const engine = await opened;
  // Where it is there, there is nothing to say.
  if (!(engine instanceof Error)) return (engine as Engine).close();
  expect(engine).toMatchObject({
    code: 'EEG_ENGINE_UNAVAILABLE',
    message: expect.stringMatching(`^expected ONNX Runtime to open on ${device}: .+$`),
    hint: expect.stringMatching(hint),
  });
});

test('what TensorRT cannot compute goes to CUDA before it goes to the CPU', () => {
  expect(providersOf('tensorrt')).toEqual(['tensorrt', 'cuda', 'cpu']);
  expect(providersOf('cuda')).toEqual(['cuda', 'cpu']);
  expect(providersOf('cpu')).toEqual(['cpu']);
});

test('a package that is not installed is named', async () => {
  const options = { kind: 'tfjs-node-gpu', device: 'cpu', threads: 1 } as const;
  await expect(createEngine(folder, options)).rejects.toMatchObject({
    code: 'EEG_ENGINE_UNAVAILABLE',
    message: expect.stringContaining('@tensorflow/tfjs-node-gpu'),
  });
});
