/** Steps and results made up from a seed. */

import type { Result } from '../../src/cluster/result-message.js';
import type { Step } from '../../src/cluster/step-message.js';
import type { Rng } from '../../src/core/rng.js';

export function madeStep(rng: Rng, fields: Partial<Step> = {}): Step {
  const ticks = fields.ticks ?? 1 + rng.below(4);
  const channels = fields.channels ?? 1 + rng.below(12);
  const startSample = 50 * rng.below(100_000);
  const samples = channels * ticks * 50;
  const valid = Uint8Array.from({ length: samples }, () => (rng.uniform() < 0.9 ? 1 : 0));
  return {
    ...{ site: 'lab', edge: 'bed-1', stream: 'cyton.1', person: '', only: [] },
    ...{ epoch: 1.7e12 + rng.below(1e6), startSample, ticks, channels },
    previousEnd: startSample,
    stampWallS: 1.7e9 + rng.uniform(),
    arrivalWallS: 1.7e9 + 0.1 + rng.uniform(),
    positions: Float32Array.from({ length: 6 * channels }, () => 2 * rng.uniform() - 1),
    scales: Float32Array.from({ length: ticks * channels }, () => 10 * rng.uniform()),
    data: Float32Array.from(valid, (real) => (real === 1 ? 50 * rng.normal() : 0)),
    valid,
    windows: [{ task: 'sleep', seq: rng.below(1000), endSample: startSample + 50 }],
    ...fields,
  };
}

export function madeResult(rng: Rng, fields: Partial<Result> = {}): Result {
  const floats = (length: number) => Float32Array.from({ length }, () => rng.normal());
  const endSample = 50 * rng.below(100_000);
  const spent = { waitMs: 2, runMs: 3, checkpoint: 'base@1+pack@2', validity: 0.5 };
  return {
    ...{ site: 'lab', edge: 'bed-1', stream: 'cyton.1', worker: 'w1', epoch: 1.7e12, endSample },
    ...{ stampWallS: 1.7e9, arrivalWallS: 1.7e9 + 0.1 },
    windows: [
      { task: 'sleep', seq: 1, endSample, ...spent, logits: floats(5), routing: floats(16) },
      { task: 'seizure', seq: 2, endSample, ...spent, reason: 'stale' },
    ],
    ...fields,
  };
}
