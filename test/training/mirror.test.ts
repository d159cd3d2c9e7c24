/** A mirrored window: left of the head becomes right, and the class that names a side with it. */
import { expect, test } from 'vitest';
import { Rng } from '../../src/core/rng.js';
import { cutPiece } from '../../src/training/batch.js';
import type { PreparedRecording } from '../../src/training/prepared.js';
import { parseRecipe } from '../../src/training/recipe.js';
import { augmentationSchema } from '../../src/training/recipe-schema.js';
import type { Material } from '../../src/training/windows.js';
import { tinyDense } from '../support/model-fixture.js';

const prepared = {
  samples: 4000,
  channels: 2,
  positions: Float32Array.of(-0.7, 0, 0.7, 0, 0, 0, 0.7, 0, 0.7, 0, 0, 0),
  patches: (_ends: readonly number[], _out: Float32Array, mask: Float32Array) => mask.fill(1),
} as unknown as PreparedRecording;
const material = { prepared } as Material;

test('labels follow the mirror where the task says so, and only there', () => {
  const augmentation = augmentationSchema.parse({ mirror: 0.5, channelDropout: 0 });
  const mirrored = [{ x: 'y', y: 'x' }, undefined];
  const seen = new Set<string>();
  for (let i = 0; i < 60; i++) {
    const [task, label] = [i % 2, Math.floor(i / 2) % 2];
    const window = { material, task, label, endSample: 2000, channelsMax: 8 };
    const rng = new Rng(i);
    const piece = cutPiece(window, { arch: tinyDense, augmentation, rng, mirrored });
    const flipped = piece.cut.positions[0] > 0;
    const expected = flipped && task === 0 ? 1 - label : label;
    expect(piece.window.label).toBe(expected);
    seen.add(`${task}${label}${flipped}`);
  }
  expect(seen.size).toBe(8);
});

test('a class without its counterpart is refused', () => {
  const recipe = (mirrored: string) => `
name: r
sets: { a: { layout: bids, path: a } }
tasks:
  - name: t
    classes: [x, y, z]
    windowS: 4
    hopS: 1
    mirrored: ${mirrored}
    sources: [{ set: a, labels: { x: x } }]
`;
  expect(parseRecipe(recipe('{ x: y, y: x }'), 'r').tasks[0].mirrored).toEqual({ x: 'y', y: 'x' });
  expect(() => parseRecipe(recipe('{ x: y }'), 'r')).toThrow(
    /mirrored\.x: expected classes in pairs/,
  );
  expect(() => parseRecipe(recipe('{ q: q }'), 'r')).toThrow(/mirrored\.q/);
});
