/** Checkpoints: saved whole or not at all; every damage is refused with the part named. */
import { cp, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isEegError } from '../../src/core/errors.js';
import { readSafetensors, writeSafetensors } from '../../src/formats/safetensors.js';
import type { Tensor } from '../../src/graph/tensor.js';
import {
  type Checkpoint,
  loadCheckpoint,
  manifestFile,
  saveCheckpoint,
  sha256,
  weightsFile,
} from '../../src/model/checkpoint.js';
import { goldenOutputs } from '../../src/model/golden.js';
import { manifestText } from '../../src/model/manifest.js';
import { parameterSpecs } from '../../src/model/serving.js';
import { largestDifference, livelyWeights, seeded, tinyMoe } from '../support/model-fixture.js';

let root: string;
let good: string;
const { rng, seed } = seeded();
const weights = livelyWeights(parameterSpecs(tinyMoe), rng);

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'eegd-checkpoint-'));
  good = join(root, 'good');
  await save();
});
afterAll(() => rm(root, { recursive: true }));

const parts = { name: 'tiny', release: '1.0', trained: true, arch: tinyMoe, weights };
const save = (folder = good, change: object = {}) =>
  saveCheckpoint(folder, { ...parts, ...change });

async function refusal(folder: string): Promise<string> {
  const result: Checkpoint | unknown = await loadCheckpoint(folder).catch(
    (error: unknown) => error,
  );
  if (isEegError(result, 'EEG_MODEL_INVALID')) return result.message;
  if (result instanceof Error) throw result;
  return 'accepted';
}

/** A copy of the good checkpoint with its files changed. */
async function damaged(change: {
  weights?: (bytes: Uint8Array) => Uint8Array;
  manifest?: (text: string) => string;
}): Promise<string> {
  const folder = await mkdtemp(join(root, 'bad-'));
  await cp(good, folder, { recursive: true });
  const bytes = await readFile(join(folder, weightsFile));
  const text = await readFile(join(folder, manifestFile), 'utf8');
  await writeFile(join(folder, weightsFile), change.weights?.(bytes) ?? bytes);
  await writeFile(join(folder, manifestFile), change.manifest?.(text) ?? text);
  return folder;
}

/** Other tensors under a manifest that vouches for them. */
async function withTensors(change: (tensors: Map<string, Tensor>) => void): Promise<string> {
  const tensors = new Map<string, Tensor>(
    readSafetensors(await readFile(join(good, weightsFile))).tensors,
  );
  change(tensors);
  const bytes = writeSafetensors(tensors, 'F16');
  return damaged({
    weights: () => bytes,
    manifest: (text) => {
      const manifest = JSON.parse(text);
      manifest.weights = { ...manifest.weights, bytes: bytes.length, sha256: sha256(bytes) };
      return manifestText(manifest);
    },
  });
}

describe('a good checkpoint', () => {
  test('is read back, rounded as stored, and computes its golden output', async () => {
    const checkpoint = await loadCheckpoint(good);
    expect(checkpoint.id).toBe('tiny@1.0');
    expect(checkpoint.trained).toBe(true);
    expect(checkpoint.arch).toEqual(tinyMoe);
    for (const [name, { data }] of weights) {
      const stored = (checkpoint.weights.get(name) as Tensor).data;
      expect(largestDifference(stored, data)).toBeLessThan(2e-3);
    }
    const { golden } = checkpoint;
    const now = await goldenOutputs(tinyMoe, checkpoint.weights, golden.seed);
    expect(largestDifference(now.logits, golden.logits), `seed ${seed}`).toBeLessThan(1e-4);
    expect(largestDifference(now.latents, golden.latents)).toBeLessThan(1e-4);
    expect(golden.logits.some((value) => Math.abs(value) > 0.01)).toBe(true);
  });

  test('is replaced whole, and leaves nothing beside it', async () => {
    const folder = join(root, 'replaced');
    await save(folder);
    await save(folder, { release: '2.0', type: 'F32' });
    expect((await loadCheckpoint(folder)).id).toBe('tiny@2.0');
    const names = await readdir(root);
    expect(names.filter((name) => name.includes('partial') || name.includes('previous'))).toEqual(
      [],
    );
  });

  test('cut off between the two renames, the old one is still found', async () => {
    const folder = join(root, 'cut');
    await save(folder);
    await rename(folder, `${folder}.previous`);
    expect((await loadCheckpoint(folder)).id).toBe('tiny@1.0');
  });
});

describe('what is refused', () => {
  test('a folder that is not there', async () => {
    await expect(loadCheckpoint(join(root, 'none'))).rejects.toMatchObject({
      code: 'EEG_MODEL_NOT_FOUND',
    });
  });

  test('weights cut at every kilobyte, or a byte early', async () => {
    const { length } = await readFile(join(good, weightsFile));
    for (let size = 0; size < length; size += 1024) {
      const folder = await damaged({ weights: (bytes) => bytes.subarray(0, size) });
      expect(await refusal(folder)).toMatch(/model\.safetensors/);
    }
    expect(await refusal(await damaged({ weights: (bytes) => bytes.subarray(0, -1) }))).toMatch(
      /truncated/,
    );
  });

  test('a manifest cut at every kilobyte', async () => {
    const { length } = await readFile(join(good, manifestFile));
    for (let size = 0; size < length; size += 1024)
      expect(await refusal(await damaged({ manifest: (text) => text.slice(0, size) }))).toMatch(
        /manifest\.json/,
      );
  });

  test('a flipped bit anywhere in the weights', async () => {
    const { length } = await readFile(join(good, weightsFile));
    for (let i = 0; i < 60; i++) {
      const at = i < 10 ? i : rng.below(length);
      const folder = await damaged({
        weights: (bytes) => {
          const copy = Uint8Array.from(bytes);
          (copy[at] as number) ^= 1 << rng.below(8);
          return copy;
        },
      });
      expect(await refusal(folder), `byte ${at}, seed ${seed}`).not.toBe('accepted');
    }
  });

  test('a changed character anywhere in the manifest', async () => {
    const { length } = await readFile(join(good, manifestFile));
    for (let i = 0; i < 100; i++) {
      const at = rng.below(length - 1);
      const folder = await damaged({
        manifest: (text) => {
          const other = text[at] === '7' ? '8' : '7';
          return text.slice(0, at) + other + text.slice(at + 1);
        },
      });
      expect(await refusal(folder), `character ${at}, seed ${seed}`).not.toBe('accepted');
    }
  });

  const names = { head: 'heads.a.weight', expert: 'task.blocks.1.experts.2.in.weight' };
  const tensorFaults: [string, (tensors: Map<string, Tensor>) => void, string][] = [
    ['missing', (t) => t.delete(names.expert), `"${names.expert}" is missing`],
    [
      'of another shape',
      (t) => t.set(names.head, { shape: [16, 4], data: new Float32Array(64) }),
      names.head,
    ],
    [
      'transposed',
      (t) => t.set(names.head, { shape: [3, 16], data: new Float32Array(48) }),
      names.head,
    ],
    ['not finite', (t) => t.get(names.head)?.data.fill(Number.NaN, 5, 6), `"${names.head}" holds`],
    ['infinite', (t) => t.get(names.head)?.data.fill(1e9, 5, 6), `"${names.head}" holds`],
    ['unknown', (t) => t.set('run.me', { shape: [1], data: Float32Array.of(1) }), '"run.me"'],
  ];
  test.each(tensorFaults)('a tensor that is %s is named', async (_, change, expected) => {
    expect(await refusal(await withTensors(change))).toContain(expected);
  });

  const fields: [string, (manifest: never) => void, RegExp][] = [
    [
      'another manifest version',
      (m: { version: number }) => {
        m.version = 2;
      },
      /version: unknown manifest version/,
    ],
    [
      'another architecture version',
      (m: { architecture: { version: number } }) => {
        m.architecture.version = 9;
      },
      /architecture\.version: unknown/,
    ],
    [
      'another preprocessing',
      (m: { preprocessing: string }) => {
        m.preprocessing = 'x';
      },
      /preprocessing/,
    ],
    [
      'a field of its own',
      (m: { run: string }) => {
        m.run = 'rm -rf /';
      },
      /run/,
    ],
    [
      'no hash',
      (m: { weights: { sha256?: string } }) => {
        delete m.weights.sha256;
      },
      /weights\.sha256/,
    ],
    [
      'a huge width',
      (m: { architecture: { width: number } }) => {
        m.architecture.width = 2 ** 31;
      },
      /architecture\.width/,
    ],
    [
      'heads that do not divide',
      (m: { architecture: { heads: number } }) => {
        m.architecture.heads = 3;
      },
      /does not divide/,
    ],
    [
      'a block too many',
      (m: { architecture: { moe: { blocks: number[] } } }) => {
        m.architecture.moe.blocks = [0, 2];
      },
      /architecture\.moe\.blocks/,
    ],
    [
      'an event of no class',
      (m: { architecture: { tasks: { event?: object }[] } }) => {
        (m.architecture.tasks[0] as { event?: object }).event = {
          label: 'q',
          on: 1,
          off: 0,
          hold: 1,
        };
      },
      /tasks\.0\.event/,
    ],
    [
      'too few golden values',
      (m: { golden: { logits: number[] } }) => {
        m.golden.logits.pop();
      },
      /golden\.logits/,
    ],
  ] as never;
  test.each(fields)('a manifest with %s', async (_, change, expected) => {
    const folder = await damaged({
      manifest: (text) => {
        const manifest = JSON.parse(text) as never;
        change(manifest);
        return manifestText(manifest);
      },
    });
    expect(await refusal(folder)).toMatch(expected);
  });

  test('saving weights that do not fit or are not finite', async () => {
    const folder = join(root, 'never');
    const bad = new Map(weights);
    bad.set('trunk.embed.bias', { shape: [16], data: new Float32Array(16).fill(Number.NaN) });
    await expect(save(folder, { weights: bad })).rejects.toMatchObject({
      code: 'EEG_MODEL_INVALID',
    });
    bad.delete('trunk.embed.bias');
    await expect(save(folder, { weights: bad })).rejects.toThrow(/trunk\.embed\.bias/);
    expect(await readdir(root)).not.toContain('never');
  });
});
