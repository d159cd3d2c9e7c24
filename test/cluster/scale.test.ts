/**
 * docs/scale.md says what a hundred beds and ten thousand headsets need: the sizes are those of
 * real messages, the table is the cost model's, and a simulation holds that so many workers do.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { encodeResult } from '../../src/cluster/result-message.js';
import { encodeStep } from '../../src/cluster/step-message.js';
import { Rng } from '../../src/core/rng.js';
import { type Cost, costOf, type HeadsetFigures, simulate, stepsPerS } from './cost-model.js';
import { madeResult, madeStep } from './made-step.js';

const text = readFileSync('docs/scale.md', 'utf8');
const figures = JSON.parse(/```json\n([^`]+)```/.exec(text)?.[1] ?? '') as HeadsetFigures;
const cases = [100, 10_000] as const;
const seed = Number(process.env.SEED ?? 7);

describe('docs/scale.md', () => {
  test('has the sizes of real messages', () => {
    const rng = new Rng(1);
    const spent = { waitMs: 1, runMs: 1, checkpoint: 'base@1', validity: 1, seq: 9, endSample: 50 };
    const window = (task: string, classes: number) => ({
      ...{ task, ...spent, logits: new Float32Array(classes), routing: new Float32Array(16) },
    });
    const step = madeStep(rng, { channels: 8, ticks: 1, stream: 'openbci', edge: 'bed-17' });
    // Imagery each quarter second, seizure and workload each second.
    const others = [window('seizure', 2), window('workload', 2)];
    const small = encodeResult(madeResult(rng, { windows: [window('motor_imagery', 5)] })).length;
    const large = encodeResult(
      madeResult(rng, { windows: [window('motor_imagery', 5), ...others] }),
    ).length;
    expect(figures.stepBytes / encodeStep(step).length).toBeCloseTo(1, 1);
    expect(figures.resultBytes / ((3 * small + large) / 4)).toBeCloseTo(1, 1);
  });

  test.each(cases)('has the costs of %d headsets', (headsets) => {
    const row = text.split('\n').find((line) => line.startsWith(`| ${headsets} `)) ?? '';
    const cells = row.split('|').map((cell) => Number(cell.trim()));
    const cost: Cost = costOf(headsets, figures);
    const expected = [
      ...[headsets, cost.workers, cost.inMbitPerS, cost.outMbitPerS],
      ...[cost.messagesPerS, cost.memoryMb, cost.recordedGbPerHour],
    ];
    for (const [i, value] of expected.entries())
      expect(Math.abs((cells[i + 1] ?? Number.NaN) / value - 1), row).toBeLessThan(0.06);
  });

  test.each(cases)('%d headsets: so many workers do, one of them dead too', (headsets) => {
    const { workers } = costOf(headsets, figures);
    const cluster = { headsets, workers, seconds: 6 };
    const calm = simulate(cluster, figures, new Rng(seed));
    const killed = simulate({ ...cluster, killAtS: 3 }, figures, new Rng(seed));
    console.log(
      `${headsets} headsets, ${workers} workers: p50 ${calm.p50Ms.toFixed(1)} ms, ` +
        `p99 ${calm.p99Ms.toFixed(1)} ms; one killed: stale ${killed.stale} of ${killed.steps}`,
    );
    expect(calm.stale, `seed ${seed}`).toBe(0);
    expect(calm.p99Ms).toBeLessThan(250);
    expect(killed.stale, `seed ${seed}`).toBe(0);
  });

  test('and a third of the workers do not: the simulation can fail', () => {
    const workers = Math.floor((100 * stepsPerS * figures.stepMs) / 1000) || 1;
    const headsets = 1000;
    const { p99Ms } = simulate({ headsets, workers, seconds: 6 }, figures, new Rng(seed));
    expect(p99Ms).toBeGreaterThan(1000);
  });
});
