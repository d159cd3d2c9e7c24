/**
 * A fine-tuning step where the parameters stay on the device: forward, backward and AdamW in graphs
 * (src/model/device-session.ts), beside PyTorch's in `engines_torch.py`. The first window is the
 * same in both; the error is that of its cross-entropy against float64.
 */

import { servingMixture } from '../../src/engine/onnx-sessions.js';
import type { Device } from '../../src/graph/session.js';
import type { Checkpoint } from '../../src/model/checkpoint.js';
import { DeviceSession } from '../../src/model/device-session.js';
import { makeTargets, type TrainingBatch } from '../../src/model/training-batch.js';
import type { Windows } from './engines.js';

/** Windows of a step. */
export const trainingRows = 8;
const router = { balance: 1e-2, z: 1e-3 };
const update = { rate: 1e-4, clipNorm: 1, averageShare: 1 };

export interface TrainingRuns {
  /** Cross-entropy of the first window before anything was learned. */
  readonly firstLoss: number;
  /** Ascending. */
  readonly times: readonly number[];
}

export async function timeTraining(
  { arch, weights }: Checkpoint,
  windows: Windows,
  limits: { readonly device: Device; readonly spendMs: number; readonly runsMax: number },
): Promise<TrainingRuns> {
  const { device, spendMs, runsMax } = limits;
  const mixture = servingMixture(arch, device);
  const session = await DeviceSession.open(arch, { trunk: true, mixture, device });
  await session.training.start({ weights });
  const batch = batchOf({ arch, weights }, windows);
  const step = async () => {
    const { rowLoss } = await session.step(weights, batch, router);
    await session.training.update(update);
    return rowLoss[0] as number;
  };
  const firstLoss = await step();
  const times: number[] = [];
  const startedMs = performance.now();
  while (times.length < runsMax && performance.now() - startedMs < spendMs) {
    const beganMs = performance.now();
    await step();
    times.push(performance.now() - beganMs);
  }
  await session.close();
  return { firstLoss, times: times.sort((a, b) => a - b) };
}

/** Every window is of the first class of its task. */
function batchOf(
  { arch }: Pick<Checkpoint, 'arch' | 'weights'>,
  { trunk, tasks }: Windows,
): TrainingBatch {
  const { rows, seconds, task, times, mask } = tasks;
  return {
    ...{ rows, seconds, task, times, mask },
    target: makeTargets(arch, task, new Array<number>(rows).fill(0), 0),
    rowWeight: new Float32Array(rows).fill(1 / rows),
    signal: {
      ...{ units: trunk.rows, channels: trunk.channels },
      ...{ patches: trunk.patches, positions: trunk.positions, channelMask: trunk.mask },
      context: new Float32Array(0),
      index: Int32Array.from({ length: trunk.rows }, (_, i) => i),
    },
  };
}

/** Cross-entropy of the first window, from its logits over all heads. */
export function firstLossOf({ arch }: Checkpoint, logits: readonly number[], task: number): number {
  const before = arch.tasks.slice(0, task).reduce((sum, { classes }) => sum + classes.length, 0);
  const own = logits.slice(before, before + (arch.tasks[task]?.classes.length ?? 0));
  const most = Math.max(...own);
  const sum = own.reduce((total, value) => total + Math.exp(value - most), 0);
  return most + Math.log(sum) - (own[0] as number);
}
