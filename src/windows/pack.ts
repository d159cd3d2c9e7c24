/**
 * Rows into engine batches: pure packing, padding with mask 0. The one copy that latents and
 * patches make on their way to the engine.
 */
import type { TaskBatch, TrunkBatch } from '../engine/engine.js';

const patchSamples = 200;
const positionFloats = 6;

export interface TrunkRow {
  readonly channels: number;
  /** `[channels, 6]`. */
  readonly positions: Float32Array;
  /** Writes `[channels, 200]` patches and their `[channels]` mask; false where none is usable. */
  fill(patches: Float32Array, mask: Float32Array): boolean;
}

/** Rows without a usable channel are left out: `packed` are those of the batch, in its order. */
export function packTrunk<R extends TrunkRow>(
  rows: readonly R[],
): { batch: TrunkBatch; packed: R[] } {
  const channels = Math.max(...rows.map((row) => row.channels));
  const patches = new Float32Array(rows.length * channels * patchSamples);
  const positions = new Float32Array(rows.length * channels * positionFloats);
  const mask = new Float32Array(rows.length * channels);
  const packed: R[] = [];
  for (const row of rows) {
    const from = packed.length * channels;
    const to = from + row.channels;
    const own = patches.subarray(from * patchSamples, to * patchSamples);
    if (!row.fill(own, mask.subarray(from, to))) continue;
    positions.set(row.positions, from * positionFloats);
    packed.push(row);
  }
  const used = packed.length * channels;
  return {
    packed,
    batch: {
      rows: packed.length,
      channels,
      patches: patches.subarray(0, used * patchSamples),
      positions: positions.subarray(0, used * positionFloats),
      mask: mask.subarray(0, used),
    },
  };
}

export interface TaskRow {
  readonly task: number;
  /** Latents of each second, oldest first; undefined = masked. */
  readonly seconds: readonly (Float32Array | undefined)[];
  /** End of each second relative to the window's end, s. */
  readonly times: readonly number[];
}

/** `floats`: latents times width. */
export function packTasks(rows: readonly TaskRow[], floats: number): TaskBatch {
  const seconds = Math.max(...rows.map((row) => row.seconds.length));
  const latents = new Float32Array(rows.length * seconds * floats);
  const times = new Float32Array(rows.length * seconds);
  const mask = new Float32Array(rows.length * seconds);
  const task = new Int32Array(rows.length);
  for (const [r, row] of rows.entries()) {
    task[r] = row.task;
    for (const [s, second] of row.seconds.entries()) {
      const at = r * seconds + s;
      times[at] = row.times[s];
      if (second === undefined) continue;
      mask[at] = 1;
      latents.set(second, at * floats);
    }
  }
  return { rows: rows.length, seconds, latents, times, mask, task };
}

/**
 * Bucket a sorted (longest first) list so that no row is padded by more than a quarter and no
 * bucket holds more than `tokensMax` tokens, padding included.
 */
export function bucketByLength<T>(
  sorted: readonly T[],
  length: (item: T) => number,
  tokensMax: number,
): T[][] {
  const buckets: T[][] = [];
  let bucket: T[] = [];
  let longest = 0;
  for (const item of sorted) {
    const fits = length(item) * 1.25 >= longest && (bucket.length + 1) * longest <= tokensMax;
    if (bucket.length > 0 && !fits) {
      buckets.push(bucket);
      bucket = [];
    }
    if (bucket.length === 0) longest = length(item);
    bucket.push(item);
  }
  if (bucket.length > 0) buckets.push(bucket);
  return buckets;
}
