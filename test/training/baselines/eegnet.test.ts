/** EEGNet's graph: gradients against finite differences, and that it learns what only it can see. */
import { describe, expect, test } from 'vitest';
import { Rng } from '../../../src/core/rng.js';
import { AdamW } from '../../../src/graph/adamw.js';
import { GradientSession } from '../../../src/graph/gradient-session.js';
import { startWeights } from '../../../src/model/parameters.js';
import {
  denseSize,
  dropoutMask,
  eegNetGraph,
  framesOf,
  kernelSamples,
} from '../../../src/training/baselines/eegnet.js';

const shape = { channels: 2, windowS: 1, classes: 2 };
const seed = 3;

/** Class 1 has 20 Hz on the second channel, class 0 on the first; phases are random. */
function batch(rows: number, rng: Rng) {
  const frames = new Float32Array(rows * 2 * framesOf(shape) * kernelSamples);
  const target = new Float32Array(rows * 2);
  const labels: number[] = [];
  for (let r = 0; r < rows; r++) {
    const label = rng.below(2);
    labels.push(label);
    target[r * 2 + label] = 1 / rows;
    for (let c = 0; c < 2; c++) {
      const phase = 2 * Math.PI * rng.uniform();
      for (let f = 0; f < framesOf(shape); f++)
        for (let k = 0; k < kernelSamples; k++) {
          const t = (2 * f + k) / 100;
          const wave = c === label ? Math.sin(2 * Math.PI * 20 * t + phase) : 0;
          const at = ((r * 2 + c) * framesOf(shape) + f) * kernelSamples + k;
          frames[at] = wave + 0.1 * Math.sin(2 * Math.PI * 7 * t + phase * 3);
        }
    }
  }
  return {
    labels,
    feeds: {
      frames: { shape: [rows, 2, framesOf(shape), kernelSamples], data: frames },
      target: { shape: [rows, 2], data: target },
      dropout: { shape: [rows, denseSize], data: new Float32Array(rows * denseSize).fill(1) },
    },
  };
}

async function open() {
  const session = await GradientSession.open(eegNetGraph(shape, true));
  const specs = session.trained.map(({ name, shape: size }) => ({ name, shape: size, sd: 0.2 }));
  return { session, weights: startWeights(specs, new Rng(seed)) };
}

describe(`EEGNet, seed ${seed}`, () => {
  test('gradients agree with finite differences', async () => {
    const { session, weights } = await open();
    const { feeds } = batch(3, new Rng(seed));
    const { gradients } = await session.run(weights, feeds);
    const found = new Map([...gradients].map(([name, { data }]) => [name, data.slice()]));
    const loss = async () => (await session.run(weights, feeds)).outputs.get('loss')?.data[0] ?? 0;
    for (const [name, { data }] of weights) {
      const i = Math.floor(data.length / 2);
      const step = 2e-2;
      const was = data[i];
      data[i] = was + step;
      const above = await loss();
      data[i] = was - step;
      const below = await loss();
      data[i] = was;
      const slope = (above - below) / (2 * step);
      const gradient = found.get(name)?.[i] ?? Number.NaN;
      expect(Math.abs(slope - gradient), name).toBeLessThan(2e-3 + 0.05 * Math.abs(slope));
    }
    await session.close();
  });

  test('learns which channel oscillates, whatever the phase', async () => {
    const { session, weights } = await open();
    const rng = new Rng(seed);
    const optimiser = new AdamW({ weightDecay: 0 });
    for (let step = 0; step < 60; step++) {
      const { gradients } = await session.run(weights, batch(16, rng).feeds);
      optimiser.step(weights, gradients, 0.01);
    }
    const { feeds, labels } = batch(40, rng);
    const { outputs } = await session.run(weights, feeds);
    const logits = outputs.get('logits')?.data ?? new Float32Array(0);
    const right = labels.filter((label, r) => logits[r * 2 + label] > logits[r * 2 + 1 - label]);
    expect(right.length).toBeGreaterThanOrEqual(36);
    await session.close();
  });

  test('dropout keeps the mean', () => {
    const rng = new Rng(seed);
    const mask = dropoutMask(100, () => rng.uniform());
    expect(mask.reduce((a, b) => a + b, 0) / mask.length).toBeCloseTo(1, 1);
  });
});
