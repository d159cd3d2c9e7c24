/** The loop on a problem small enough to know the answer: resumed runs, stops, broken losses. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { isEegError } from '../../src/core/errors.js';
import type { Rng } from '../../src/core/rng.js';
import type { Tensor } from '../../src/graph/tensor.js';
import { type LoopOptions, type Objective, trainLoop } from '../../src/training/loop.js';
import { trainingSchema } from '../../src/training/recipe-schema.js';
import { RunFolder } from '../../src/training/run-folder.js';
import { scratch } from '../formats/fixture.js';

/** Squared distance to a noisy target: the noise makes every step depend on the random state. */
class Bowl implements Objective {
  steps = 0;
  /** Half of the last target: what one step leaves for the next. */
  #left = 0;
  /** From this step on the loss is no number. */
  breaksAt = Number.POSITIVE_INFINITY;

  step(weights: ReadonlyMap<string, Tensor>, rng: Rng) {
    const w = weights.get('w')?.data ?? new Float32Array(2);
    const target = [3 + 0.1 * rng.normal() + this.#left, -1 + 0.1 * rng.normal()];
    this.#left = Math.fround((target[0] - 3) / 2);
    const data = w.map((value, i) => 2 * (value - target[i]));
    const loss = data.reduce((sum, g) => sum + (g / 2) ** 2, 0);
    const broken = ++this.steps >= this.breaksAt;
    return Promise.resolve({
      gradients: new Map([['w', { shape: [2], data }]]),
      loss: broken ? Number.NaN : loss,
      windows: 1,
      figures: { loss },
      batch: `set/recording@${this.steps}`,
    });
  }

  validate(weights: ReadonlyMap<string, Tensor>) {
    const w = weights.get('w')?.data ?? new Float32Array(2);
    const score = -((w[0] - 3) ** 2 + (w[1] + 1) ** 2);
    return Promise.resolve({ score, figures: { score } });
  }

  save = () => new Map([['left', { shape: [1], data: Float32Array.of(this.#left) }]]);

  restore(state: ReadonlyMap<string, Tensor>) {
    this.#left = state.get('left')?.data[0] ?? 0;
  }

  close = () => Promise.resolve();
}

const plan = trainingSchema.parse({
  steps: 60,
  learningRate: 0.2,
  warmupSteps: 5,
  weightDecay: 0,
  clipNorm: 100,
  ema: 0.9,
  saveEvery: 10,
  validateEvery: 20,
});

function options(folder: string, more: Partial<LoopOptions> = {}): LoopOptions {
  return {
    plan,
    seed: 4,
    folder: new RunFolder(folder),
    facts: { test: true },
    start: () => new Map([['w', { shape: [2], data: new Float32Array(2) }]]),
    ...more,
  };
}

const curve = (folder: string) => readFileSync(join(folder, 'metrics.jsonl'), 'utf8');

describe('training loop', () => {
  test('finds the bottom and keeps the best weights', async () => {
    const folder = join(scratch(), 'run');
    const result = await trainLoop(new Bowl(), options(folder));
    expect(result.finished).toBe(true);
    expect(result.steps).toBe(60);
    expect(result.best.score).toBeGreaterThan(-0.05);
    expect(curve(folder).trim().split('\n').length).toBe(60);
    const run = JSON.parse(readFileSync(join(folder, 'run.json'), 'utf8')) as { node: string };
    expect(run.node).toBe(process.version);
  });

  test.each([17, 20, 43])('killed after step %i it goes on with the same curve', async (at) => {
    const root = scratch();
    const [whole, cut] = [join(root, 'whole'), join(root, 'cut')];
    const expected = await trainLoop(new Bowl(), options(whole));
    // A crash writes nothing more: steps since the last save are lost, and done again.
    const crash = new Bowl();
    const step = crash.step.bind(crash);
    crash.step = (weights, rng) =>
      crash.steps === at ? Promise.reject(new Error('killed')) : step(weights, rng);
    await expect(trainLoop(crash, options(cut))).rejects.toThrow('killed');
    const again = new Bowl();
    const result = await trainLoop(again, options(cut));
    expect(again.steps).toBe(60 - Math.floor(at / 10) * 10);
    expect(curve(cut)).toBe(curve(whole));
    expect(result.weights.get('w')).toEqual(expected.weights.get('w'));
    expect(result.bestStep).toBe(expected.bestStep);
  });

  test('an interrupt saves at once; the rest comes out the same', async () => {
    const root = scratch();
    const [whole, cut] = [join(root, 'whole'), join(root, 'cut')];
    await trainLoop(new Bowl(), options(whole));
    const controller = new AbortController();
    const stopped = await trainLoop(
      new Bowl(),
      options(cut, {
        signal: controller.signal,
        onProgress: ({ step }) => step === 33 && controller.abort(),
      }),
    );
    expect([stopped.finished, stopped.steps]).toEqual([false, 33]);
    await trainLoop(new Bowl(), options(cut));
    expect(curve(cut)).toBe(curve(whole));
  });

  test('a loss that is no number stops the run, names the batch, keeps what was saved', async () => {
    const folder = join(scratch(), 'run');
    const bowl = new Bowl();
    bowl.breaksAt = 35;
    const failed = await trainLoop(bowl, options(folder)).catch((error: unknown) => error);
    expect(isEegError(failed, 'EEG_TRAIN_DIVERGED')).toBe(true);
    expect(String(failed)).toMatch(/step 35: loss NaN.*set\/recording@35/);
    const state = await new RunFolder(folder).load();
    expect(state?.step).toBe(30);
    expect([...(state?.tensors.weights.get('w')?.data ?? [])].every(Number.isFinite)).toBe(true);
    expect(existsSync(join(folder, 'state'))).toBe(true);
  });

  test("another recipe's run is not gone on with", async () => {
    const folder = join(scratch(), 'run');
    await trainLoop(new Bowl(), options(folder));
    const other = trainLoop(new Bowl(), options(folder, { facts: { test: 'other' } }));
    await expect(other).rejects.toThrow(/holds a run with another test \(true, not "other"\)/);
  });
});
