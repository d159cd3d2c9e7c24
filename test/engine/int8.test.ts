/** Checkpoints in int8: what the CPU computes of them, and who is refused one. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { refuse } from '../../src/cli/quantize.js';
import { Rng } from '../../src/core/rng.js';
import { createEngine } from '../../src/engine/create-engine.js';
import { toInt8 } from '../../src/graph/int8.js';
import { loadCheckpoint, saveCheckpoint } from '../../src/model/checkpoint.js';
import { parameterSpecs } from '../../src/model/serving.js';
import type { Int8Cost } from '../../src/training/quantize.js';
import {
  largestDifference,
  livelyWeights,
  randomBatch,
  seeded,
  tinyMoe,
} from '../support/model-fixture.js';

const { rng, seed } = seeded();

test('a weight is off by half a step of its output’s scale at most', () => {
  const [inputs, outputs] = [64, 7];
  const data = Float32Array.from({ length: inputs * outputs }, (_, i) => {
    return i % outputs === 3 ? 0 : rng.normal() * 10 ** ((i % outputs) - 3);
  });
  const { values, scales } = toInt8({ shape: [inputs, outputs], data });
  for (const [i, value] of data.entries()) {
    const scale = scales[i % outputs] as number;
    const error = Math.abs((values[i] as number) * scale - value);
    expect(error, `seed ${seed}`).toBeLessThanOrEqual(scale * 0.5001);
  }
  expect(scales[3]).toBe(0);
  for (let c = 0; c < outputs; c++) {
    const column = values.filter((_, i) => i % outputs === c).map(Math.abs);
    expect(Math.max(...column)).toBe(c === 3 ? 0 : 127);
  }
});

describe('a checkpoint in int8', () => {
  async function make(arithmetic: 'float32' | 'int8') {
    const folder = join(mkdtempSync(join(tmpdir(), 'eegd-int8-')), `tiny@${arithmetic}`);
    const parts = { name: 'tiny', release: arithmetic, trained: false, arch: tinyMoe };
    await saveCheckpoint(folder, { ...parts, weights, arithmetic });
    return folder;
  }
  // Of a fixed seed: where a token lies on the border of two experts, int8 may take the other one.
  const fixed = new Rng(1);
  const weights = livelyWeights(parameterSpecs(tinyMoe), fixed);
  const batch = randomBatch(fixed, { rows: 8, channels: 3, seconds: 4, tasks: 2 });
  const { patches, positions, channelMask, channels } = batch;

  test('has the weights of the float32 one, and is served in int8 by the CPU alone', async () => {
    const [exact, coarse] = [await make('float32'), await make('int8')];
    const [one, other] = [await loadCheckpoint(exact), await loadCheckpoint(coarse)];
    expect(other.arithmetic).toBe('int8');
    expect(one.manifest).not.toHaveProperty('arithmetic');
    expect(other.manifest.weights.sha256).toBe(one.manifest.weights.sha256);
    const answers: Float32Array[] = [];
    for (const [folder, kind, name] of [
      [exact, 'onnx', 'onnx/cpu'],
      [coarse, 'onnx', 'onnx/cpu/int8'],
      [coarse, 'tfjs', 'tfjs/wasm'],
    ] as const) {
      const engine = await createEngine(folder, { kind, device: 'cpu', threads: 1 });
      expect(engine.info.engine).toBe(name);
      const signal = { rows: 32, channels, patches, positions, mask: channelMask };
      const latents = await engine.trunk(signal);
      answers.push((await engine.tasks({ ...batch, latents })).logits);
      await engine.close();
    }
    const [float32, int8, tfjs] = answers as [Float32Array, Float32Array, Float32Array];
    const scale = Math.max(...float32.map(Math.abs));
    const off = largestDifference(float32, int8) / scale;
    // It is another arithmetic, and near.
    expect(off).toBeGreaterThan(1e-4);
    expect(off).toBeLessThan(0.2);
    expect(largestDifference(float32, tfjs) / scale).toBeLessThan(1e-4);
  });
});

describe('a task that loses by int8', () => {
  const cost = (task: string, pointsLost: number): Int8Cost => {
    return { task, set: 'bonn', float32: 0.8, int8: 0.8 - pointsLost / 100, pointsLost };
  };
  const model = { id: 'tiny@1', arch: tinyMoe };

  test('has the checkpoint refused, with the figures, unless forced', async () => {
    const costs = [cost('a', 0.4), cost('b', 0.61)];
    const refused = refuse(model, costs, false);
    await expect(refused).rejects.toThrow(/at most 0.5 points.*b on bonn loses 0.61$/);
    await expect(refuse(model, [cost('a', Number.NaN), cost('b', 0)], false)).rejects.toThrow();
    expect(await refuse(model, costs, true)).toBe(true);
    expect(await refuse(model, [cost('a', 0.5), cost('b', -1)], false)).toBe(false);
  });

  test('so has one that was not measured', async () => {
    const refused = refuse(model, [cost('a', 0)], false);
    await expect(refused).rejects.toThrow(/b has no validation data in the recipe/);
  });
});
