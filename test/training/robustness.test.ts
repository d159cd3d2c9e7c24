/** The altered copies of a robustness run: of what is judged alone, with the recipe's electrodes. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { Rng } from '../../src/core/rng.js';
import { loadCheckpoint, saveCheckpoint } from '../../src/model/checkpoint.js';
import { initialWeights } from '../../src/model/serving.js';
import { gather } from '../../src/training/material.js';
import { Predictor } from '../../src/training/predictor.js';
import type { PreparedHeader } from '../../src/training/prepared.js';
import { loadRecipe } from '../../src/training/recipe.js';
import { architectureFields } from '../../src/training/recipe-schema.js';
import { montageChanges, robustness, signalChanges } from '../../src/training/robustness.js';
import { writeEdf, writeText } from './made-edf.js';

const root = mkdtempSync(join(tmpdir(), 'eegd-robustness-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const recipeText = `
name: small
sets:
  made: { layout: bids, path: made, channels: [C4], split: { test: ['*'] } }
  other: { layout: bids, path: other, split: { test: ['*'] } }
model: { width: 8, heads: 1, ffn: 8, trunkBlocks: 1, latents: 1, taskBlocks: 1, taskSlots: 2 }
tasks:
  - name: side
    classes: [left, right]
    windowS: 2
    hopS: 1
    sources:
      - { set: made, labels: { left: left, right: right } }
      - { set: other, labels: { '*': left }, judged: false }
`;

test('every change is judged on the same set and electrodes, and on nothing else', {
  timeout: 60_000,
}, async () => {
  for (const set of ['made', 'other']) {
    const stem = `${set}/sub-a/eeg/sub-a_task-x`;
    writeEdf(root, `${stem}_eeg.edf`, { seconds: 24 });
    const rows = ['0\t12\tleft', '12\t12\tright'].join('\n');
    writeText(root, `${stem}_events.tsv`, `onset\tduration\ttrial_type\n${rows}\n`);
  }
  writeText(root, 'recipe.yaml', recipeText);
  const loaded = loadRecipe(join(root, 'recipe.yaml'));
  const arch = { ...architectureFields(loaded.recipe), moe: null };
  await saveCheckpoint(join(root, 'checkpoint'), {
    ...{ name: 'small', release: 'r', trained: false, arch, type: 'F32', data: {} },
    weights: initialWeights(arch, new Rng(3)),
  });
  const checkpoint = await loadCheckpoint(join(root, 'checkpoint'));
  const materials = await gather(loaded, { store: join(root, 'originals') });
  const predictor = await Predictor.open(arch, checkpoint.weights);
  const store = join(root, 'altered');
  const common = { checkpoint, predictor, recipe: loaded.recipe, materials, store };
  const found = await robustness({ ...common, side: 'test' });
  await predictor.close();

  const names = [...Object.keys(montageChanges), ...Object.keys(signalChanges)];
  expect(Object.keys(found)).toEqual(names);
  for (const { sets } of Object.values(found)) expect(sets.map(({ set }) => set)).toEqual(['made']);
  const headers = readdirSync(store)
    .filter((name) => name.endsWith('.json'))
    .map((name) => JSON.parse(readFileSync(join(store, name), 'utf8')) as PreparedHeader);
  // One recording for each change of its signal; the set that nobody judges is not altered.
  expect(headers.map(({ channels }) => channels)).toEqual(names.slice(6).map(() => ['C4']));
});
