/** Recipes: every fault in one pass, and what only the data can tell. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { packageRoot } from '../../src/core/paths.js';
import { findRecordings, loadRecipe, parseRecipe } from '../../src/training/recipe.js';
import { scratch } from '../formats/fixture.js';
import { writeEdf, writeText } from './made-edf.js';

const recipes = join(packageRoot(), 'models/recipes');

describe('recipes of the repository', () => {
  test.each(readdirSync(recipes).filter((name) => name.endsWith('.yaml')))('%s', (name) => {
    const recipe = parseRecipe(readFileSync(join(recipes, name), 'utf8'), name);
    expect(recipe.seed).toBeGreaterThan(0);
  });
});

describe('faults', () => {
  test('all are named at once, with their paths', () => {
    const text = `
name: Bad Name
sets:
  a: { layout: bids, path: a, colour: red }
  n: { layout: sleep-powers, path: p }
tasks:
  - { name: t, classes: [x, y], windowS: 4, hopS: 1, sources: [{ set: b, labels: { l: z } }] }
`;
    try {
      parseRecipe(text, 'r.yaml');
      expect.unreachable();
    } catch (error) {
      const { message } = error as Error;
      expect(message).toMatch(/name: expected letters/);
      expect(message).toMatch(/sets\.a.*colour/);
    }
    const wellTyped = text.replace('Bad Name', 'bad').replace(', colour: red', '');
    expect(() => parseRecipe(wellTyped, 'r.yaml')).toThrow(
      /sets\.n\.generator.*no set b; there are a, n.*labels\.l: z is none of x, y/,
    );
    expect(() => parseRecipe('a: [', 'r.yaml')).toThrow(/no YAML/);
    expect(() => loadRecipe('/nowhere/r.yaml')).toThrow(/cannot read the recipe/);
  });

  test('a label that the data do not have is refused with those there are', async () => {
    const root = scratch();
    writeEdf(root, 'a/sub-1/eeg/sub-1_task-x_eeg.edf', { seconds: 8 });
    writeText(root, 'a/task-x_events.tsv', 'onset\tduration\ttrial_type\n0\t4\tgo\n');
    const text = `
name: r
sets: { a: { layout: bids, path: a } }
tasks:
  - { name: t, classes: [x, y], windowS: 4, hopS: 1, sources: [{ set: a, labels: { went: x } }] }
`;
    writeText(root, 'r.yaml', text);
    const loaded = loadRecipe(join(root, 'r.yaml'), root);
    await expect(findRecordings(loaded)).rejects.toThrow(/set a has no label went, it has go/);
  });

  test('spans as streams: each labelled span is a recording with a gain of its own', async () => {
    const root = scratch();
    writeEdf(root, 'a/sub-1/eeg/sub-1_task-x_eeg.edf', { seconds: 8 });
    writeText(root, 'a/task-x_events.tsv', 'onset\tduration\ttrial_type\n0\t4\tgo\n4\t4\tstop\n');
    const text =
      'name: r\nsets: { a: { layout: bids, path: a, spansAsStreams: true, gain: [0.25, 4] } }\n';
    writeText(root, 'r.yaml', text);
    const refs = await findRecordings(loadRecipe(join(root, 'r.yaml'), root));
    expect(refs.map(({ range, spans }) => [range?.startS, spans[0]])).toEqual([
      [0, { startS: 0, endS: 4, label: 'go' }],
      [4, { startS: 0, endS: 4, label: 'stop' }],
    ]);
    expect(refs.every(({ gain }) => gain >= 0.25 && gain <= 4)).toBe(true);
    expect(refs[0].gain).not.toBe(refs[1].gain);
  });
});
