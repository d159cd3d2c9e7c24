/** Learning an expert from labelled trials on a frozen, seeded base. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ExpertTrainer } from '../../src/adaptation/expert-trainer.js';
import { changedTasks } from '../../src/adaptation/old-tasks.js';
import { TrialLatents, windowEnds } from '../../src/adaptation/trial-latents.js';
import type { TrainerTrial } from '../../src/adaptation/trial-votes.js';
import { Rng } from '../../src/core/rng.js';
import type { TaskSpec } from '../../src/core/tasks.js';
import { attachPack, type Model } from '../../src/model/growing.js';
import { startWeights } from '../../src/model/parameters.js';
import { parameterSpecs } from '../../src/model/serving.js';
import { madeTrial, trialPositions } from '../support/labelled-trials.js';
import { largestDifference, tinyMoe } from '../support/model-fixture.js';

const arch = { ...tinyMoe, width: 32, heads: 4, ffn: 64 };
const base: Model = { arch, weights: startWeights(parameterSpecs(arch), new Rng(1)) };
const task: TaskSpec = {
  name: 'fists',
  classes: ['left', 'right'],
  windowS: 2,
  hopS: 0.5,
  contextWindows: 0,
  minValid: 0.75,
  temperature: 1,
  smoothing: 1,
};

let latents: TrialLatents;
let trainer: ExpertTrainer;

async function trials(count: number, strength: number, seed: number): Promise<TrainerTrial[]> {
  const rng = new Rng(seed);
  const out: TrainerTrial[] = [];
  for (let id = 0; id < count; id++) {
    const windows = await latents.windows(madeTrial(id % 2, rng, { strength }));
    out.push({ id, label: id % 2, windows });
  }
  return out;
}

beforeAll(async () => {
  latents = await TrialLatents.open(base, task, trialPositions, { threads: 1 });
  const pack = { name: 'fists', task, experts: 1 };
  trainer = await ExpertTrainer.open(base, { pack, seed: 3, epochsMax: 40 });
});
afterAll(async () => {
  await latents.close();
  await trainer.close();
});

describe('a pack', () => {
  test('learns what can be learned, judged on trials it never saw', async () => {
    const { correct, total } = await trainer.crossValidate(await trials(48, 4, 5));
    expect(total).toBe(48);
    // By chance, 36 or more come in 3 of 10,000 cases.
    expect(correct).toBeGreaterThanOrEqual(36);
  });

  test('is no better than chance where there is nothing to learn', async () => {
    const { correct, total } = await trainer.crossValidate(await trials(48, 0, 6));
    expect(correct).toBeLessThan(36);
    expect(total).toBe(48);
  });

  test('leaves every old task bit-identical, after real training', async () => {
    const { pack, epochs } = await trainer.fit(await trials(24, 2, 7));
    expect(epochs).toBeGreaterThan(0);
    const grown = attachPack(base, pack);
    expect(await changedTasks(base, grown)).toEqual([]);
    // The check can fail: a base that was touched is noticed.
    const name = 'heads.b.bias';
    const touched = new Map(grown.weights);
    const tensor = touched.get(name);
    if (tensor === undefined) throw new Error(name);
    touched.set(name, { ...tensor, data: tensor.data.map((value) => value + 1e-6) });
    expect(await changedTasks(base, { ...grown, weights: touched })).toEqual(['b']);
  });

  test('gives the same weights for the same seed', async () => {
    const made = await trials(20, 2, 8);
    const [one, two] = [await trainer.fit(made), await trainer.fit(made)];
    for (const [name, { data }] of one.pack.weights) {
      expect(two.pack.weights.get(name)?.data, name).toEqual(data);
    }
  });

  test('has the same losses to 1e-3 over ten steps by the autodiff of TensorFlow.js', async () => {
    const made = await trials(24, 2, 10);
    const byEngine: Record<string, number[]> = {};
    for (const engine of ['onnx', 'tfjs'] as const) {
      const losses: number[] = [];
      const pack = { name: 'fists', task, experts: 2 };
      const own = await ExpertTrainer.open(base, {
        ...{ pack, engine, seed: 3, epochsMax: 5 },
        onStep: (_phase, _share, loss) => void losses.push(loss),
      });
      await own.fit(made);
      await own.close();
      byEngine[engine] = losses;
    }
    const { onnx = [], tfjs = [] } = byEngine;
    expect(onnx.length).toBe(10);
    // It learns: the same loss again and again would agree as well.
    expect(onnx[9]).toBeLessThan((onnx[0] as number) - 0.01);
    expect(largestDifference(tfjs, onnx)).toBeLessThan(1e-3);
  }, 120_000);

  test('is refused with one class, few trials, or nothing real in them', async () => {
    const made = await trials(20, 2, 9);
    const one = made.filter((trial) => trial.label === 0);
    await expect(trainer.fit(one)).rejects.toThrow(/at least 5 .* left 10, right 0/);
    const empty = made.map((trial) => ({ ...trial, windows: [] }));
    await expect(trainer.fit(empty)).rejects.toThrow(/left 0, right 0/);
  });

  test('that meets NaN is given up', async () => {
    const made = await trials(20, 2, 9);
    made[3]?.windows[0]?.latents.fill(Number.NaN);
    await expect(trainer.fit(made)).rejects.toThrow(/diverged/);
  });
});

describe('trials', () => {
  test('are cut into windows that lie within them', () => {
    expect(windowEnds(399, task)).toEqual([]);
    expect(windowEnds(400, task)).toEqual([400]);
    expect(windowEnds(600, task)).toEqual([400, 500, 600]);
    const many = windowEnds(4000, task);
    expect(many.length).toBe(8);
    expect([many[0], many.at(-1)]).toEqual([400, 4000]);
    expect(many.every((end) => end % 50 === 0)).toBe(true);
  });

  test('with a hole are masked there, and left out where too little is real', async () => {
    const signal = madeTrial(0, new Rng(4), { seconds: 2 });
    signal.valid.fill(0, 0, 10);
    const [window] = await latents.windows(signal);
    expect([...(window?.mask ?? [])]).toEqual([1, 1]);
    // The first second of every channel.
    for (let c = 0; c < 4; c++) signal.valid.fill(0, c * 400, c * 400 + 10);
    expect(await latents.windows(signal)).toEqual([]);
  });
});
