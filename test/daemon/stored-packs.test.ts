/** A pack taught on one machine is brought to another, and served there beside one of its own. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Rng } from '../../src/core/rng.js';
import { CheckpointStore } from '../../src/daemon/checkpoint-store.js';
import { addPack, baseOfPack, listPacks, readPack } from '../../src/daemon/stored-packs.js';
import { createEngine } from '../../src/engine/create-engine.js';
import { loadCheckpoint, saveCheckpoint } from '../../src/model/checkpoint.js';
import { grow } from '../../src/model/growing.js';
import { encodePack, publishPack } from '../../src/model/pack-checkpoint.js';
import { initialWeights } from '../../src/model/serving.js';
import { tinyMoe } from '../support/model-fixture.js';

const root = mkdtempSync(join(tmpdir(), 'eegd-packs-'));
const storeAt = (name: string) =>
  new CheckpointStore({ folder: join(root, name), shipped: [], stateFolder: join(root, name) });
const [here, there, elsewhere] = ['here', 'there', 'elsewhere'].map(storeAt) as [
  CheckpointStore,
  CheckpointStore,
  CheckpointStore,
];

async function saveBase(place: string, name: string, seed: number): Promise<void> {
  const weights = initialWeights(tinyMoe, new Rng(seed));
  const parts = { name, release: '1', trained: true, arch: tinyMoe, weights };
  await saveCheckpoint(join(root, place, `${name}@1`), parts);
}

async function makePack(store: CheckpointStore, name: string): Promise<string> {
  const base = await loadCheckpoint((await store.list())[0]?.folder ?? '');
  const task = {
    ...{ name: `task-${name}`, classes: ['left', 'right'], windowS: 2, hopS: 0.5 },
    ...{ contextWindows: 0, minValid: 0.75, temperature: 1, smoothing: 1 },
  };
  const pack = grow(base, { name, task, experts: 1 }, new Rng(5));
  const folder = join(store.packFolder, `${name}@1`);
  const encoded = await encodePack(base, pack);
  await publishPack(folder, encoded, { release: '1', trained: true });
  return folder;
}

beforeAll(async () => {
  await saveBase('here', 'base', 1);
  // The same weights under another name, and others under the same.
  await saveBase('there', 'ward', 1);
  await saveBase('elsewhere', 'base', 2);
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

test('a pack is moved to a machine with the same base weights and combined with its own', async () => {
  const made = await makePack(here, 'anna');
  await makePack(there, 'bert');
  const stick = join(root, 'stick');
  cpSync(made, stick, { recursive: true });
  const pack = await readPack(stick);
  if (pack === undefined) throw new Error('expected a pack');
  expect((await baseOfPack(there, pack)).id).toBe('ward@1');
  await addPack(there, pack);
  expect((await listPacks(there)).map(({ id }) => id)).toEqual(['anna@1', 'bert@1']);
  const { folder, packs = [] } = await there.find('ward@1+bert@1+anna@1');
  const engine = await createEngine(folder, { kind: 'onnx', device: 'cpu', threads: 1, packs });
  expect(engine.info.checkpoint).toBe('ward@1+bert@1+anna@1');
  expect(engine.info.tasks.map(({ name }) => name).slice(-2)).toEqual(['task-bert', 'task-anna']);
  await engine.close();
});

test('a machine without the base weights says which checkpoint is missing', async () => {
  const pack = await readPack(join(here.packFolder, 'anna@1'));
  if (pack === undefined) throw new Error('expected a pack');
  await expect(baseOfPack(elsewhere, pack)).rejects.toMatchObject({
    code: 'EEG_MODEL_NOT_FOUND',
    message: expect.stringContaining('base@1 that the pack anna@1 grew on'),
    hint: expect.stringContaining('eegd checkpoints add'),
  });
});

test('a checkpoint is no pack', async () => {
  expect(await readPack(join(root, 'here', 'base@1'))).toBeUndefined();
  expect(await readPack(join(root, 'nowhere'))).toBeUndefined();
});
