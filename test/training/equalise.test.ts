/** Another frequency response: as large as asked for, one for all seconds of a channel. */
import { expect, test } from 'vitest';
import { patchSamples } from '../../src/core/tasks.js';
import { augment, type Cut } from '../../src/training/augment.js';
import { equalise, gains } from '../../src/training/equalise.js';
import { parseRecipe } from '../../src/training/recipe.js';
import { augmentationOf, augmentationSchema } from '../../src/training/recipe-schema.js';
import { seeded } from '../support/model-fixture.js';

const sine = (hz: number, phase: number): Float32Array =>
  Float32Array.from({ length: patchSamples }, (_, i) =>
    Math.sin((2 * Math.PI * hz * i) / patchSamples + phase),
  );

function cutOf(patches: readonly Float32Array[], channels: number): Cut {
  const seconds = patches.length / channels;
  return {
    seconds,
    channels,
    patches: Float32Array.from(patches.flatMap((patch) => [...patch])),
    positions: new Float32Array(channels * 6),
    mask: new Float32Array(seconds * channels).fill(1),
  };
}

const patchOf = (cut: Cut, row: number): Float32Array =>
  cut.patches.slice(row * patchSamples, (row + 1) * patchSamples);
const rms = (x: Float32Array): number => Math.hypot(...x) / Math.sqrt(x.length);

test('the gain is what was drawn at the knots, straight between and flat beyond them', () => {
  const curve = gains([6, 0, -6, 0, 12, 3]);
  const db = [...curve].map((gain) => 20 * Math.log10(gain));
  expect(db[0]).toBeCloseTo(6, 9);
  expect(db[2]).toBeCloseTo(0, 9);
  expect(db[5]).toBeCloseTo(-6, 9);
  expect(db[18]).toBeCloseTo(12, 9);
  expect(db[32]).toBeCloseTo(3, 9);
  expect(db[100]).toBeCloseTo(3, 9);
  const share = Math.log2(7 / 5) / Math.log2(10 / 5);
  expect(db[7]).toBeCloseTo(-6 + 6 * share, 9);
});

test('a sine keeps its phase, seconds of a channel get the same gain, channels their own', () => {
  const { rng, seed } = seeded();
  const cut = cutOf([sine(9, 0.4), sine(9, 1), sine(9, 2), sine(9, 0.1)], 2);
  const before = [0, 1, 2, 3].map((row) => patchOf(cut, row));
  equalise(cut, 6, rng);
  const gain = before.map((x, row) => rms(patchOf(cut, row)) / rms(x));
  expect(gain[2], `seed ${seed}`).toBeCloseTo(gain[0], 4);
  expect(gain[3], `seed ${seed}`).toBeCloseTo(gain[1], 4);
  expect(Math.abs(Math.log(gain[0] / gain[1])), `seed ${seed}`).toBeGreaterThan(1e-4);
  for (const [row, x] of before.entries())
    for (const [i, value] of patchOf(cut, row).entries())
      expect(value, `seed ${seed}`).toBeCloseTo(gain[row] * x[i], 4);
});

test('its spread in decibels is the one asked for', () => {
  const { rng, seed } = seeded();
  const db: number[] = [];
  for (let i = 0; i < 400; i++) {
    const cut = cutOf([sine(10, 0)], 1);
    equalise(cut, 4, rng);
    db.push(20 * Math.log10(rms(patchOf(cut, 0)) * Math.SQRT2));
  }
  const sd = Math.sqrt(db.reduce((sum, x) => sum + x * x, 0) / db.length);
  expect(Math.abs(sd - 4), `seed ${seed}: ${sd}`).toBeLessThan(0.75);
});

test('as an augmentation it changes the balance of frequencies, not how loud a channel is', () => {
  const { rng, seed } = seeded();
  const both = sine(3, 0).map((x, i) => x + sine(20, 0)[i]);
  const cut = cutOf([both, both], 1);
  const plan = { ...augmentationSchema.parse({}), equaliserDb: 6, amplitudeSd: 0, noiseSd: 0 };
  const loud = (x: Float32Array): number => x.reduce((sum, v) => sum + Math.abs(v), 0);
  augment(cut, { ...plan, rereference: 0, channelDropout: 0 }, rng);
  const x = patchOf(cut, 0);
  expect(loud(x) / loud(both), `seed ${seed}`).toBeCloseTo(1, 4);
  const power = (hz: number): number =>
    Math.hypot(
      ...[0, Math.PI / 2].map((phase) => sine(hz, phase).reduce((sum, v, i) => sum + v * x[i], 0)),
    );
  expect(Math.abs(Math.log(power(3) / power(20))), `seed ${seed}`).toBeGreaterThan(1e-3);
});

test('a task may change what the recipe says of augmentation', () => {
  const recipe = parseRecipe(
    `
name: r
sets: { a: { layout: bids, path: a } }
augmentation: { noiseSd: 0.04, mirror: 0.5 }
tasks:
  - name: t
    classes: [x, y]
    windowS: 4
    hopS: 1
    augmentation: { equaliserDb: 3, mirror: 0 }
    sources: [{ set: a, labels: { x: x } }]
`,
    'r',
  );
  const plain = recipe.augmentation;
  expect(plain).toMatchObject({ noiseSd: 0.04, mirror: 0.5, equaliserDb: 0 });
  expect(augmentationOf(recipe, recipe.tasks[0])).toEqual({ ...plain, equaliserDb: 3, mirror: 0 });
});
