/** Growing: what a pack learns changes no bit of what the base knew. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Readout } from '../../src/core/readout.js';
import { Rng } from '../../src/core/rng.js';
import { AdamW } from '../../src/graph/adamw.js';
import type { Tensor } from '../../src/graph/tensor.js';
import { expertCount } from '../../src/model/architecture.js';
import { type Checkpoint, loadCheckpoint, saveCheckpoint } from '../../src/model/checkpoint.js';
import { cutColumns, goldenLatents } from '../../src/model/golden.js';
import {
  attachPack,
  detachPack,
  type GrowOptions,
  grow,
  type Model,
  type Pack,
  packTrains,
} from '../../src/model/growing.js';
import { encodePack, loadPack, publishPack, withPacks } from '../../src/model/pack-checkpoint.js';
import { parameterSpecs } from '../../src/model/serving.js';
import { makeTargets } from '../../src/model/training-batch.js';
import { TrainingSession } from '../../src/model/training-session.js';
import {
  largestDifference,
  livelyWeights,
  OpenModel,
  randomBatch,
  seeded,
  tinyDense,
  tinyMoe,
} from '../support/model-fixture.js';

const { rng, seed } = seeded();
const base: Model = { arch: tinyMoe, weights: livelyWeights(parameterSpecs(tinyMoe), rng) };
const spec = { ...tinyMoe.tasks[0], name: 'clench', classes: ['rest', 'clench'] } as const;
const options: GrowOptions = { name: 'anna', task: spec as never, experts: 2, blocks: [0, 1] };

/** Trains the pack on windows whose latents lean to their class. Returns first, last loss. */
async function train(model: Model, name: string, steps: number): Promise<number[]> {
  const { arch, weights } = model;
  const session = await TrainingSession.open(arch, { trunk: false, trains: packTrains(name) });
  for (const { name: trained } of session.trained) expect(trained).toMatch(`packs.${name}.`);
  const adam = new AdamW({ weightDecay: 0.01 });
  const [rows, seconds] = [8, 4];
  const size = arch.latents * arch.width;
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    const labels = Array.from({ length: rows }, (_, row) => row % 2);
    const task = new Int32Array(rows).fill(arch.tasks.length - 1);
    const result = await session.step(
      weights,
      {
        rows,
        seconds,
        task,
        latents: Float32Array.from(
          { length: rows * seconds * size },
          // Of opposite signs, since a shift of all features is lost in the layer norm.
          (_, i) =>
            rng.normal() + (labels[Math.floor(i / size / seconds)] ? 1 : -1) * (i % 2 || -1),
        ),
        times: Float32Array.from({ length: rows * seconds }, (_, i) => (i % seconds) - 3),
        mask: new Float32Array(rows * seconds).fill(1),
        target: makeTargets(arch, task, labels),
        rowWeight: new Float32Array(rows).fill(1 / rows),
      },
      { balance: 0, z: 1e-3 },
    );
    adam.step(weights, result.gradients, 5e-3);
    losses.push(result.loss);
  }
  await session.close();
  return losses;
}

async function answers(model: Model, batch = randomBatch(new Rng(5), sizes)) {
  const open = await OpenModel.open(model.arch, model.weights);
  const latents = await open.trunk(batch);
  const result = await open.tasks(latents, batch);
  await open.close();
  return { ...result, rows: batch.rows };
}

const sizes = { rows: 8, channels: 3, seconds: 4, tasks: 2 };
const oldClasses = 5;
/** Logits of the old tasks, `[rows, 5]`. */
const old = ({ logits, rows }: { logits: Float32Array; rows: number }) =>
  cutColumns(logits, { first: 0, count: oldClasses, total: logits.length / rows });

test('old outputs keep every bit, after real training of the pack', async () => {
  const before = await answers(base);
  const pack = grow(base, options, rng);
  const frozen = new Map([...base.weights].map(([name, { data }]) => [name, data.slice()]));
  const model = attachPack(base, pack);
  const start = new Map([...pack.weights].map(([name, { data }]) => [name, data.slice()]));
  const losses = await train(model, 'anna', 25);
  expect(losses.at(-1), `seed ${seed}: ${losses}`).toBeLessThan((losses[0] as number) * 0.8);
  for (const [name, data] of frozen)
    expect((base.weights.get(name) as Tensor).data, name).toEqual(data);
  for (const [name, { data }] of pack.weights)
    expect(largestDifference(data, start.get(name) as Float32Array), name).toBeGreaterThan(0);
  const after = await answers(model);
  expect(Buffer.from(old(after).buffer).equals(Buffer.from(before.logits.buffer))).toBe(true);
  // Rows of the new task in the same batch may change the size of a product, hence the rounding.
  const mixed = randomBatch(new Rng(5), sizes);
  mixed.task[7] = 2;
  const together = await answers(model, mixed);
  const own = 7 * oldClasses;
  expect(
    largestDifference(old(together).subarray(0, own), before.logits.subarray(0, own)),
  ).toBeLessThan(1e-5);
});

test.each([1, 2])(
  'old tasks never reach new experts (%i), the new one always does',
  async (count) => {
    const model = attachPack(base, grow(base, { ...options, experts: count }, rng));
    const batch = randomBatch(new Rng(6), sizes);
    batch.task.set([0, 1, 2, 0, 1, 2, 2, 1]);
    const { routing } = await answers(model, batch);
    const experts = expertCount(model.arch);
    expect(experts).toBe(4 + count);
    for (let row = 0; row < 8; row++)
      for (let block = 0; block < 2; block++) {
        const shares = routing.subarray(
          (row * 2 + block) * experts,
          (row * 2 + block + 1) * experts,
        );
        expect(shares.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 5);
        const grown = shares.slice(4);
        const share = batch.task[row] === 2 ? 0.5 : 0;
        for (const one of grown) expect(one, `seed ${seed}`).toBeCloseTo(share, 5);
      }
  },
);

test('a new expert is a copy of the most used one, and the head of a like task is kept', () => {
  const usage = [
    [0.1, 0.2, 0.6, 0.1],
    [0.1, 0.2, 0.3, 0.4],
  ];
  const like = { ...(tinyMoe.tasks[0] as { name: string }), name: 'a of anna' };
  const pack = grow(base, { ...options, task: like as never, like: 'a', usage }, rng);
  const same = (own: string, origin: string) =>
    expect(pack.weights.get(`packs.anna.${own}`)?.data).toEqual(base.weights.get(origin)?.data);
  same('blocks.0.experts.1.in.weight', 'task.blocks.0.experts.2.in.weight');
  same('blocks.1.experts.0.out.weight', 'task.blocks.1.experts.3.out.weight');
  same('head.weight', 'heads.a.weight');
  const table = base.weights.get('task.embedding')?.data as Float32Array;
  expect(pack.weights.get('packs.anna.embedding')?.data).toEqual(table.slice(0, 16));
});

test('packs combine, and come off again in any order', async () => {
  const first = grow(base, options, rng);
  const second = grow(
    base,
    { ...options, name: 'ben', task: { ...spec, name: 'blink' } as never, blocks: [1], experts: 1 },
    rng,
  );
  const both = attachPack(attachPack(base, first), second);
  expect(expertCount(both.arch)).toBe(7);
  const before = await answers(base);
  const after = await answers(both);
  expect(old(after)).toEqual(before.logits);
  const batch = randomBatch(new Rng(7), sizes);
  batch.task.fill(2);
  const alone = await answers(attachPack(base, second), batch);
  batch.task.fill(3);
  const among = await answers(both, batch);
  const cut = (result: { logits: Float32Array }, column: number, total: number) =>
    cutColumns(result.logits, { first: column, count: 2, total });
  expect(largestDifference(cut(among, 7, 9), cut(alone, 5, 7)), `seed ${seed}`).toBeLessThan(1e-5);
  const left = detachPack(both, 'anna');
  expect(left).toEqual(attachPack(base, second));
  expect(detachPack(left, 'ben')).toEqual({ arch: base.arch, weights: base.weights });
});

test('a dense base grows a head and its rows in the task tables', async () => {
  const dense = { arch: tinyDense, weights: livelyWeights(parameterSpecs(tinyDense), rng) };
  const { blocks: _, ...rest } = options;
  const model = attachPack(dense, grow(dense, { ...rest, experts: 1 }, rng));
  const before = await answers(dense);
  const losses = await train(model, 'anna', 15);
  expect(losses.at(-1), `seed ${seed}: ${losses}`).toBeLessThan(losses[0] as number);
  expect(old(await answers(model))).toEqual(before.logits);
});

test('what does not fit is refused', () => {
  const attempt = (change: object) => () => grow(base, { ...options, ...change }, rng);
  expect(attempt({ experts: 3 })).toThrow(/expected 1 or 2/);
  expect(attempt({ blocks: [7] })).toThrow(/mixtures in 0,1/);
  expect(attempt({ task: tinyMoe.tasks[0] })).toThrow(/task a already/);
  expect(attempt({ name: '../x' })).toThrow(/pack name/);
  const pack = grow(base, options, rng);
  expect(() => attachPack(attachPack(base, pack), pack)).toThrow(/attached already/);
  expect(() => detachPack(base, 'none')).toThrow(/no pack none/);
});

let root: string;
let checkpoint: Checkpoint;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'eegd-pack-'));
  const folder = join(root, 'base');
  await saveCheckpoint(folder, {
    name: 'base',
    release: '1',
    trained: true,
    arch: base.arch,
    weights: base.weights,
  });
  checkpoint = await loadCheckpoint(folder);
});
afterAll(() => rm(root, { recursive: true }));

async function savedPack(name: string): Promise<{ folder: string; pack: Pack }> {
  const task = { ...spec, name: `clench-${name}` };
  const pack = grow(checkpoint, { ...options, name, task: task as never }, rng);
  const folder = join(root, name);
  const encoded = await encodePack(checkpoint, pack);
  await publishPack(folder, encoded, { release: '1', trained: true });
  return { folder, pack };
}

test('a pack is stored alone, and both its and the base golden outputs hold when attached', async () => {
  const one = await savedPack('carl');
  const two = await savedPack('dora');
  const loaded = [await loadPack(one.folder, checkpoint), await loadPack(two.folder, checkpoint)];
  expect([...(loaded[0]?.pack.weights.keys() ?? [])]).toEqual([...one.pack.weights.keys()]);
  const whole = withPacks(checkpoint, loaded);
  expect(whole.id).toBe('base@1+carl@1+dora@1');
  expect(whole.checks).toHaveLength(3);
  const model = await OpenModel.open(whole.arch, whole.weights);
  for (const { batch, columns, ...expected } of whole.checks) {
    const latents = await model.trunk({ ...batch.trunk, channelMask: batch.trunk.mask });
    expect(largestDifference(latents, expected.latents)).toBeLessThan(1e-4);
    const { logits } = await model.tasks(goldenLatents(batch, latents), batch.tasks);
    const got = cutColumns(logits, columns);
    expect(largestDifference(got, expected.logits), `seed ${seed}`).toBeLessThan(1e-4);
  }
  await model.close();
});

test('a pack of another base is refused', async () => {
  const { folder } = await savedPack('eve');
  const other = join(root, 'other');
  await saveCheckpoint(other, {
    name: 'other',
    release: '1',
    trained: true,
    arch: base.arch,
    weights: livelyWeights(parameterSpecs(tinyMoe), rng),
  });
  await expect(loadPack(folder, await loadCheckpoint(other))).rejects.toMatchObject({
    code: 'EEG_MODEL_INVALID',
    message: expect.stringContaining('grew on base@1'),
  });
});

test('a read-out of covariances makes a pack of format 2; without, it stays 1; sizes must fit', async () => {
  const { pack } = await savedPack('emma');
  const map = (features: number) => ({
    ...{ mean: new Array<number>(features).fill(0), sd: new Array<number>(features).fill(1) },
    ...{ weights: new Array<number>(2 * features).fill(0.5), bias: [0.1, -0.1] },
  });
  const plain = { alignment: 'euclidean' as const, channels: ['C3', 'C4'], ...map(12) };
  const covariance = { ...map(6), reference: [1, 0, 1, 1, 0, 1] };
  const stored = async (readout: Readout, release: string) => {
    const encoded = await encodePack(checkpoint, { ...pack, readout });
    const folder = join(root, `emma-${release}`);
    const manifest = await publishPack(folder, encoded, { release, trained: true });
    return { manifest, loaded: await loadPack(folder, checkpoint) };
  };
  const one = await stored(plain, '2');
  expect(one.manifest.version).toBe(1);
  const two = await stored({ ...plain, covariance }, '3');
  expect(two.manifest.version).toBe(2);
  expect(two.loaded.pack.readout).toEqual({ ...plain, covariance });
  const wrong = { ...covariance, reference: [1, 0, 1] };
  await expect(stored({ ...plain, covariance: wrong }, '4')).rejects.toMatchObject({
    code: 'EEG_MODEL_INVALID',
    message: expect.stringContaining('expected covariances of each pair of channels'),
  });
});
