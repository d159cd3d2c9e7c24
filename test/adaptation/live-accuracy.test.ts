/** Predictions that were served against labels; what the learner remembers. */
import { describe, expect, test } from 'vitest';
import { LiveAccuracy } from '../../src/adaptation/live-accuracy.js';
import { ReplayMemory } from '../../src/adaptation/replay-memory.js';
import type { Prediction } from '../../src/core/events.js';
import { Rng } from '../../src/core/rng.js';

const served = (endS: number, left: number): Prediction => ({
  ...{ kind: 'prediction', stream: 's', task: 'fists', seq: 0, validity: 1, label: 'left' },
  ...{ windowStartS: endS - 2, windowEndS: endS, startSample: 0, endSample: 0 },
  ...{ smoothed: {}, checkpoint: 'x', trained: true },
  probabilities: { left, right: 1 - left },
  latency: { queueMs: 0, runMs: 0, totalMs: 0 },
});

describe('served predictions', () => {
  test('are judged by those within the trial, when later ones have come', () => {
    const live = new LiveAccuracy();
    live.labelled({ id: 0, label: 'left', startS: 10, endS: 13 });
    // Before and across the trial's begin they say right, within it left.
    for (const [endS, left] of [
      [10, 0.01],
      [11.5, 0.01],
      [12, 0.8],
      [12.5, 0.4],
      [13, 0.9],
      [13.5, 0.01],
    ] as const)
      live.predicted(served(endS, left));
    expect(live.accuracy().total).toBe(0);
    live.predicted(served(14.5, 0.01));
    expect(live.accuracy()).toMatchObject({ total: 1, correct: 1 });
  });

  test('a trial without any, or one that was taken back, is not counted', () => {
    const live = new LiveAccuracy();
    live.labelled({ id: 0, label: 'left', startS: 10, endS: 13 });
    live.predicted(served(20, 0.9));
    expect(live.accuracy().total).toBe(0);
    live.labelled({ id: 1, label: 'right', startS: 18, endS: 20 });
    live.forget(1);
    live.predicted(served(22, 0.9));
    expect(live.accuracy().total).toBe(0);
    live.labelled({ id: 2, label: 'right', startS: 18, endS: 20 });
    live.predicted(served(22.5, 0.9));
    expect(live.accuracy()).toMatchObject({ total: 1, correct: 0 });
    live.forget(2);
    expect(live.accuracy().total).toBe(0);
  });
});

describe('what a learner remembers', () => {
  test('is bounded, balanced, has the newest of each class and some of the earliest', () => {
    const memory = new ReplayMemory<{ id: number; label: number }>(40, new Rng(5));
    for (let id = 0; id < 300; id++) memory.add({ id, label: id % 3 === 0 ? 0 : 1 });
    expect(memory.size).toBe(40);
    const kept = memory.trials();
    const of = (label: number) => kept.filter((trial) => trial.label === label);
    expect(Math.abs(of(0).length - of(1).length)).toBeLessThanOrEqual(1);
    expect(kept.map(({ id }) => id)).toEqual(kept.map(({ id }) => id).sort((a, b) => a - b));
    for (const id of [299, 298, 297, 296]) expect(memory.get(id)?.id).toBe(id);
    expect(kept.filter(({ id }) => id < 150).length).toBeGreaterThan(0);
  });

  test('follows what is called otherwise or taken back', () => {
    const memory = new ReplayMemory<{ id: number; label: number }>(10, new Rng(5));
    for (let id = 0; id < 4; id++) memory.add({ id, label: 0 });
    memory.relabel(2, 1);
    memory.forget(3);
    memory.relabel(9, 1);
    expect(memory.trials()).toEqual([
      { id: 0, label: 0 },
      { id: 1, label: 0 },
      { id: 2, label: 1 },
    ]);
  });
});
