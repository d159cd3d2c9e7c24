/** Small architectures and random batches for the tests of graph, model and engine. */
import { expect } from 'vitest';
import { Rng } from '../../src/core/rng.js';
import { Session } from '../../src/graph/session.js';
import type { Tensor } from '../../src/graph/tensor.js';
import type { Architecture } from '../../src/model/architecture.js';
import { type ServingGraphs, servingGraphs } from '../../src/model/serving.js';

const task = { hopS: 1, minValid: 0.5, temperature: 1, smoothing: 1 };

export const tinyDense: Architecture = {
  version: 1,
  width: 16,
  heads: 2,
  ffn: 32,
  trunkBlocks: 2,
  latents: 2,
  taskBlocks: 2,
  taskSlots: 4,
  moe: null,
  tasks: [
    { ...task, name: 'a', classes: ['x', 'y', 'z'], windowS: 4, contextWindows: 0 },
    { ...task, name: 'b', classes: ['p', 'q'], windowS: 3, contextWindows: 1 },
  ],
};

export const tinyMoe: Architecture = {
  ...tinyDense,
  moe: { blocks: [0, 1], experts: 4, topK: 2, taskAware: true },
};

/** Dense, with the neighbours' mean taken from each channel as well. */
export const tinyLocal: Architecture = { ...tinyDense, local: true };

/** Each latent of a window pooled by itself for one task, not for the other. */
export const tinyApart: Architecture = {
  ...tinyMoe,
  tasks: [{ ...tinyDense.tasks[0], apart: true }, tinyDense.tasks[1]],
};

/** One task sees its seconds beside what is usual. */
export const tinyHistory: Architecture = {
  ...tinyDense,
  tasks: [tinyDense.tasks[0], { ...tinyDense.tasks[1], windowS: 3, hopS: 3, history: true }],
};

/** Random weights, none of them zero, so that a wrong term shows. */
export function livelyWeights(
  specs: readonly { readonly name: string; readonly shape: readonly number[] }[],
  rng: Rng,
): Map<string, Tensor> {
  return new Map(
    specs.map(({ name, shape }) => {
      const length = shape.reduce((a, b) => a * b, 1);
      const sd = shape.length === 2 ? 0.8 / Math.sqrt(shape[0] as number) : 0.3;
      return [name, { shape, data: Float32Array.from({ length }, () => sd * rng.normal()) }];
    }),
  );
}

export interface Batch {
  readonly rows: number;
  readonly channels: number;
  readonly seconds: number;
  readonly patches: Float32Array;
  readonly positions: Float32Array;
  readonly channelMask: Float32Array;
  readonly times: Float32Array;
  readonly mask: Float32Array;
  readonly task: Int32Array;
}

/** `rows` windows of `seconds`: the trunk sees `rows * seconds` rows. Zeros where masked. */
export function randomBatch(
  rng: Rng,
  sizes: { rows: number; channels: number; seconds: number; tasks: number },
): Batch {
  const { rows, channels, seconds, tasks } = sizes;
  const trunkRows = rows * seconds;
  const mask = Float32Array.from({ length: rows * seconds }, (_, i) =>
    i % seconds > 0 && rng.uniform() < 0.25 ? 0 : 1,
  );
  const channelMask = Float32Array.from({ length: trunkRows * channels }, (_, i) =>
    i % channels > 0 && rng.uniform() < 0.25 ? 0 : 1,
  );
  const masked = (size: number, sd: number) =>
    Float32Array.from({ length: trunkRows * channels * size }, (_, i) => {
      const value = sd * rng.normal();
      return (channelMask[Math.floor(i / size)] as number) > 0 ? value : 0;
    });
  return {
    rows,
    channels,
    seconds,
    patches: masked(200, 1),
    positions: masked(6, 0.5),
    channelMask,
    times: Float32Array.from({ length: trunkRows }, (_, i) => (i % seconds) - seconds + 1),
    mask,
    task: Int32Array.from({ length: rows }, () => rng.below(tasks)),
  };
}

/** Both serving graphs, open, as functions. */
export class OpenModel {
  private constructor(
    readonly arch: Architecture,
    readonly lower: Session,
    readonly upper: Session,
  ) {}

  static async open(
    arch: Architecture,
    weights: ReadonlyMap<string, Tensor>,
    graphs: ServingGraphs = servingGraphs(arch, weights),
  ): Promise<OpenModel> {
    return new OpenModel(arch, await Session.open(graphs.trunk), await Session.open(graphs.tasks));
  }

  async trunk(
    batch: Pick<Batch, 'channels' | 'patches' | 'positions' | 'channelMask'>,
  ): Promise<Float32Array> {
    const { channels, patches, positions, channelMask } = batch;
    const lead = [channelMask.length / channels, channels];
    const out = await this.lower.run({
      patches: { shape: [...lead, 200], data: patches },
      positions: { shape: [...lead, 6], data: positions },
      mask: { shape: lead, data: channelMask },
    });
    return (out.get('latents') as { data: Float32Array }).data;
  }

  async tasks(
    latents: Float32Array,
    batch: Pick<Batch, 'rows' | 'seconds' | 'times' | 'mask' | 'task'>,
  ): Promise<{ logits: Float32Array; routing: Float32Array }> {
    const { rows, seconds, times, mask, task } = batch;
    const shape = [rows, seconds];
    const out = await this.upper.run({
      latents: { shape: [...shape, this.arch.latents, this.arch.width], data: latents },
      times: { shape, data: times },
      mask: { shape, data: mask },
      task: { shape: [rows], data: task },
    });
    return {
      logits: (out.get('logits') as { data: Float32Array }).data,
      routing: (out.get('routing') as { data: Float32Array }).data,
    };
  }

  async close(): Promise<void> {
    await this.lower.close();
    await this.upper.close();
  }
}

export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) throw new Error(`lengths ${a.length} and ${b.length}`);
  let worst = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs((a[i] as number) - (b[i] as number));
    if (!(difference <= worst)) worst = difference;
  }
  return worst;
}

export function seeded(): { rng: Rng; seed: number } {
  const seed = Number(process.env.EEGD_SEED ?? Math.floor(Math.random() * 2 ** 31));
  return { rng: new Rng(seed), seed };
}

/** Largest difference over the largest gradient of the tensor (or of all, when that is tiny). */
export function expectGradients(
  got: ReadonlyMap<string, { data: Float32Array }>,
  expected: Record<string, Float32Array>,
  seed: number,
): void {
  const peak = (array: Float32Array) => array.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
  const overall = Math.max(...Object.values(expected).map(peak));
  for (const [name, { data }] of got) {
    const reference = expected[name] as Float32Array;
    const scale = Math.max(peak(reference), 1e-3 * overall);
    const worst = largestDifference(data, reference) / scale;
    expect(worst, `${name}, seed ${seed}`).toBeLessThan(1e-4);
  }
}
