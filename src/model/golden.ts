/**
 * A small input made from a seed, and what the model answers to it: stored in the manifest, so
 * that whoever loads a checkpoint can see that it computes what its maker saw.
 */
import { Rng } from '../core/rng.js';
import { patchSamples } from '../core/tasks.js';
import { Session } from '../graph/session.js';
import { type Architecture, baseTasksOf } from './architecture.js';
import type { Weights } from './parameters.js';
import { type ServingGraphs, servingGraphs } from './serving.js';

export const goldenTolerance = 1e-4;
/**
 * A token on the border of two experts may go to the other one in int8: this finds what is broken.
 * What int8 costs in accuracy was measured by the checkpoint's maker.
 */
export const int8Tolerance = 0.5;

/** Arrays of a trunk run and of the task run on its latents (src/engine's batches). */
export interface GoldenBatch {
  readonly trunk: {
    readonly rows: number;
    readonly channels: number;
    readonly patches: Float32Array;
    readonly positions: Float32Array;
    readonly mask: Float32Array;
  };
  readonly tasks: {
    readonly rows: number;
    readonly seconds: number;
    readonly times: Float32Array;
    readonly mask: Float32Array;
    readonly task: Int32Array;
  };
}

export interface GoldenOutputs {
  /** `[4, latents, width]` of the trunk. */
  readonly latents: Float32Array;
  /** `[tasks, classesTotal]`. */
  readonly logits: Float32Array;
}

const trunkRows = 4;
const channels = 3;
const seconds = 4;

/**
 * One row for each of `tasks` (by default those of the base), each of four seconds, the first
 * masked; the last channel of trunk row 0 is masked.
 */
export function goldenBatch(
  arch: Architecture,
  seed: number,
  tasks: readonly number[] = [...baseTasksOf(arch).keys()],
): GoldenBatch {
  const rng = new Rng(seed);
  const rows = tasks.length;
  const normal = (length: number) => Float32Array.from({ length }, () => rng.normal());
  const positions = normal(trunkRows * channels * 6);
  for (let i = 0; i < positions.length; i += 3) {
    const norm = Math.hypot(positions[i], positions[i + 1], positions[i + 2]);
    for (let j = 0; j < 3; j++) positions[i + j] /= norm;
  }
  return {
    trunk: {
      rows: trunkRows,
      channels,
      patches: normal(trunkRows * channels * patchSamples),
      positions,
      mask: Float32Array.from({ length: trunkRows * channels }, (_, i) => (i === 2 ? 0 : 1)),
    },
    tasks: {
      rows,
      seconds,
      times: Float32Array.from({ length: rows * seconds }, (_, i) => (i % seconds) - seconds + 1),
      mask: Float32Array.from({ length: rows * seconds }, (_, i) => (i % seconds === 0 ? 0 : 1)),
      task: Int32Array.from(tasks),
    },
  };
}

/** `[rows, seconds, latents, width]` of the golden task run: second j of row i is (i + j) mod 4. */
export function goldenLatents(batch: GoldenBatch, latents: Float32Array): Float32Array {
  const size = latents.length / batch.trunk.rows;
  const { rows } = batch.tasks;
  const out = new Float32Array(rows * seconds * size);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < seconds; j++) {
      const from = ((i + j) % batch.trunk.rows) * size;
      out.set(latents.subarray(from, from + size), (i * seconds + j) * size);
    }
  return out;
}

/** What an engine must compute, for the base and for each attached pack. */
export interface GoldenCheck {
  readonly batch: GoldenBatch;
  /** Expected of the trunk. */
  readonly latents: Float32Array;
  /** Expected of `columns` of the logits, `[rows, count]`. */
  readonly logits: Float32Array;
  readonly columns: Columns;
}

interface Columns {
  readonly first: number;
  readonly count: number;
  readonly total: number;
}

/** Columns of `tasks` (consecutive) among the logits of all tasks. */
export function logitColumns(arch: Architecture, tasks: readonly number[]): Columns {
  const sizes = arch.tasks.map((task) => task.classes.length);
  const sum = (list: readonly number[]) => list.reduce((a, b) => a + b, 0);
  const count = sum(tasks.map((task) => sizes[task]));
  return { first: sum(sizes.slice(0, tasks[0])), count, total: sum(sizes) };
}

/** The given columns of `[rows, total]` logits. */
export function cutColumns(logits: Float32Array, { first, count, total }: Columns): Float32Array {
  const out = new Float32Array((logits.length / total) * count);
  for (let i = 0; i < out.length; i++)
    out[i] = logits[Math.floor(i / count) * total + first + (i % count)];
  return out;
}

/** Runs the golden input on ONNX Runtime's CPU, on this thread. */
export async function goldenOutputs(
  arch: Architecture,
  weights: Weights,
  seed: number,
  tasks?: readonly number[],
): Promise<GoldenOutputs> {
  const graphs = servingGraphs(arch, weights);
  return runGolden(arch, graphs, goldenBatch(arch, seed, tasks));
}

async function runGolden(
  arch: Architecture,
  graphs: ServingGraphs,
  batch: GoldenBatch,
): Promise<GoldenOutputs> {
  const lower = await Session.open(graphs.trunk);
  const upper = await Session.open(graphs.tasks);
  try {
    const { trunk, tasks } = batch;
    const lead = [trunk.rows, trunk.channels];
    const below = await lower.run({
      patches: { shape: [...lead, patchSamples], data: trunk.patches },
      positions: { shape: [...lead, 6], data: trunk.positions },
      mask: { shape: lead, data: trunk.mask },
    });
    const latents = resultOf(below, 'latents');
    const shape = [tasks.rows, tasks.seconds];
    const above = await upper.run({
      latents: {
        shape: [...shape, arch.latents, arch.width],
        data: goldenLatents(batch, latents),
      },
      times: { shape, data: tasks.times },
      mask: { shape, data: tasks.mask },
      task: { shape: [tasks.rows], data: tasks.task },
    });
    return { latents, logits: resultOf(above, 'logits') };
  } finally {
    await lower.close();
    await upper.close();
  }
}

function resultOf(
  results: ReadonlyMap<string, { data: Float32Array }>,
  name: string,
): Float32Array {
  const result = results.get(name);
  if (result === undefined) throw new Error(`the graph has no output ${name}`);
  return result.data;
}
