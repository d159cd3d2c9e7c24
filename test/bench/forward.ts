/**
 * The forward pass at the shipped size on one thread, over the machine's own GEMM rate. A row is
 * one 10 s window of 8 channels with nothing cached: 10 seconds through the trunk, then the window
 * through the task blocks. `moeOverDense` compares the task blocks alone, where the experts are.
 */

import { Rng } from '../../src/core/rng.js';
import { OnnxSessions } from '../../src/engine/onnx-sessions.js';
import { type Architecture, baseArchitecture } from '../../src/model/architecture.js';
import { initialWeights } from '../../src/model/serving.js';
import { baseTasks } from '../../src/model/tasks.js';
import { taskFlops, trunkFlops } from './flops.js';
import { gemmRate } from './gemm.js';

const seconds = 10;
const channels = 8;
const moe = { blocks: [1, 3], experts: 8, topK: 2, taskAware: true };

export interface ForwardFigures {
  readonly rows: number;
  readonly moe: boolean;
  readonly gflops: number;
  readonly gemmRatio: number;
  readonly tasksMs: number;
}

/** Rates over the GEMM rate measured beside each, so that load on the machine falls on both. */
export async function benchForward(): Promise<ForwardFigures[]> {
  const figures: ForwardFigures[] = [];
  for (const mixed of [false, true]) {
    const arch: Architecture = { ...baseArchitecture, tasks: baseTasks, moe: mixed ? moe : null };
    const weights = initialWeights(arch, new Rng(1));
    const sessions = await OnnxSessions.open(arch, weights, { device: 'cpu', threads: 1 });
    for (const rows of [1, 4, 16]) {
      const gemm = await gemmRate(6);
      const { trunkMs, tasksMs } = await timeRun(sessions, arch, rows);
      const flops =
        rows * seconds * channels * trunkFlops(arch, channels) +
        rows * seconds * arch.latents * taskFlops(arch, seconds * arch.latents);
      const gflops = flops / (trunkMs + tasksMs) / 1e6;
      figures.push({ rows, moe: mixed, gflops, gemmRatio: gflops / gemm, tasksMs });
    }
    await sessions.close();
  }
  return figures;
}

/** Best of some runs each: what the code takes when nobody disturbs it. */
async function timeRun(sessions: OnnxSessions, arch: Architecture, rows: number) {
  const rng = new Rng(rows);
  const normal = (length: number) => Float32Array.from({ length }, () => rng.normal());
  const trunkRows = rows * seconds;
  const trunk = {
    rows: trunkRows,
    channels,
    patches: normal(trunkRows * channels * 200),
    positions: normal(trunkRows * channels * 6),
    mask: new Float32Array(trunkRows * channels).fill(1),
  };
  const latents = await sessions.trunk(trunk);
  const tasks = {
    rows,
    seconds,
    latents,
    times: Float32Array.from({ length: trunkRows }, (_, i) => (i % seconds) - seconds + 1),
    mask: new Float32Array(trunkRows).fill(1),
    task: Int32Array.from({ length: rows }, (_, i) => i % arch.tasks.length),
  };
  let trunkMs = Number.POSITIVE_INFINITY;
  let tasksMs = Number.POSITIVE_INFINITY;
  for (let run = 0; run < 12; run++) {
    const started = performance.now();
    await sessions.trunk(trunk);
    const between = performance.now();
    await sessions.tasks(tasks);
    trunkMs = Math.min(trunkMs, between - started);
    tasksMs = Math.min(tasksMs, performance.now() - between);
  }
  return { trunkMs, tasksMs };
}
