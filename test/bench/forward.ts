/**
 * The forward pass at the shipped size on one thread, over the machine's own GEMM rate. A row is
 * one 10 s window of 8 channels with nothing cached: 10 seconds through the trunk, then the window
 * through the task blocks (half of which are mixtures).
 */

import { Rng } from '../../src/core/rng.js';
import type { TaskBatch, TrunkBatch } from '../../src/engine/engine.js';
import { OnnxSessions } from '../../src/engine/onnx-sessions.js';
import { type Architecture, baseArchitecture } from '../../src/model/architecture.js';
import { initialWeights } from '../../src/model/serving.js';
import { baseTasks } from '../../src/model/tasks.js';
import { taskFlops, trunkFlops } from './flops.js';
import { GemmRate } from './gemm.js';

const seconds = 10;
const channels = 8;
const turns = 16;
const moe = { blocks: [1, 3], experts: 8, topK: 2, taskAware: true };

export interface ForwardFigures {
  readonly rows: number;
  readonly moe: boolean;
  readonly gflops: number;
  readonly gemmRatio: number;
  /** The whole forward pass, and of it the task blocks. */
  readonly forwardMs: number;
  readonly tasksMs: number;
}

/** The three are measured in turns, so that load on the machine falls on all of them. */
export async function benchForward(): Promise<ForwardFigures[]> {
  const gemm = await GemmRate.open();
  const models = await Promise.all([false, true].map(openModel));
  const figures: ForwardFigures[] = [];
  for (const rows of [1, 4, 16]) {
    const timed = await Promise.all(models.map((model) => Timed.of(model, rows)));
    let gemmGflops = 0;
    for (let turn = 0; turn < turns; turn++) {
      gemmGflops = Math.max(gemmGflops, await gemm.run());
      for (const one of timed) await one.run();
    }
    for (const one of timed) figures.push(one.figures(gemmGflops));
  }
  await Promise.all([gemm.close(), ...models.map(({ sessions }) => sessions.close())]);
  return figures;
}

interface Model {
  readonly arch: Architecture;
  readonly sessions: OnnxSessions;
}

async function openModel(mixed: boolean): Promise<Model> {
  const arch: Architecture = { ...baseArchitecture, tasks: baseTasks, moe: mixed ? moe : null };
  const weights = initialWeights(arch, new Rng(1));
  const sessions = await OnnxSessions.open(arch, weights, { device: 'cpu', threads: 1 });
  return { arch, sessions };
}

/** Best of some runs each: what the code takes when nobody disturbs it. */
class Timed {
  #trunkMs = Number.POSITIVE_INFINITY;
  #tasksMs = Number.POSITIVE_INFINITY;

  private constructor(
    private readonly model: Model,
    private readonly trunk: TrunkBatch,
    private readonly tasks: TaskBatch,
  ) {}

  static async of(model: Model, rows: number): Promise<Timed> {
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
    const tasks = {
      rows,
      seconds,
      latents: await model.sessions.trunk(trunk),
      times: Float32Array.from({ length: trunkRows }, (_, i) => (i % seconds) - seconds + 1),
      mask: new Float32Array(trunkRows).fill(1),
      task: Int32Array.from({ length: rows }, (_, i) => i % model.arch.tasks.length),
    };
    return new Timed(model, trunk, tasks);
  }

  async run(): Promise<void> {
    const started = performance.now();
    await this.model.sessions.trunk(this.trunk);
    const between = performance.now();
    await this.model.sessions.tasks(this.tasks);
    this.#trunkMs = Math.min(this.#trunkMs, between - started);
    this.#tasksMs = Math.min(this.#tasksMs, performance.now() - between);
  }

  figures(gemmGflops: number): ForwardFigures {
    const { arch } = this.model;
    const { rows } = this.tasks;
    const flops =
      rows * seconds * channels * trunkFlops(arch, channels) +
      rows * seconds * arch.latents * taskFlops(arch, seconds * arch.latents);
    const forwardMs = this.#trunkMs + this.#tasksMs;
    const gflops = flops / forwardMs / 1e6;
    const gemmRatio = gflops / gemmGflops;
    return { rows, moe: arch.moe !== null, gflops, gemmRatio, forwardMs, tasksMs: this.#tasksMs };
  }
}
