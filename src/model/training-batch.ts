/** What one training step is made from, as arrays, and their way into the graph's inputs. */
import { patchSamples } from '../core/tasks.js';
import type { Feed } from '../graph/session.js';
import type { Architecture } from './architecture.js';

/** Signal of the windows: every unit is one second, placed once. */
export interface UnitSignal {
  readonly units: number;
  readonly channels: number;
  /** `[units, channels, 200]`, scaled as the trunk's input. */
  readonly patches: Float32Array;
  /** `[units, channels, 6]`. */
  readonly positions: Float32Array;
  /** `[units, channels]`. */
  readonly channelMask: Float32Array;
  /** `[units, latents, width]`: what is usual where each unit is; 0 without a history, or absent. */
  readonly usual?: Float32Array;
  /** `[contexts, latents, width]`: averaged latents of preceding windows, taken as constants. */
  readonly context: Float32Array;
  /** `[rows, seconds]`: unit, or `units` + context; -1 = padding (its mask must be 0). */
  readonly index: Int32Array;
}

export interface TrainingBatch {
  readonly rows: number;
  /** Seconds (context included) of the longest row. */
  readonly seconds: number;
  /** `[rows, seconds]`, s before the window's end. */
  readonly times: Float32Array;
  /** `[rows, seconds]`, 1 = usable. */
  readonly mask: Float32Array;
  /** `[rows]`. */
  readonly task: Int32Array;
  /** `[rows, classesTotal]`, each row a distribution over its own task's classes. */
  readonly target: Float32Array;
  /** `[rows]`: the loss is the sum of weight times cross-entropy, so 1/rows gives the mean. */
  readonly rowWeight: Float32Array;
  /** Where the trunk is trained. */
  readonly signal?: UnitSignal;
  /** Where it is frozen: `[rows, seconds, latents, width]`. */
  readonly latents?: Float32Array;
}

/** Targets of hard labels (index within the row's task), smoothed over the task's classes. */
export function makeTargets(
  arch: Architecture,
  task: Int32Array,
  labels: ArrayLike<number>,
  smoothing = 0,
): Float32Array {
  const sizes = arch.tasks.map((spec) => spec.classes.length);
  const total = sizes.reduce((a, b) => a + b, 0);
  const out = new Float32Array(task.length * total);
  for (const [row, index] of task.entries()) {
    const size = sizes[index] as number;
    const label = labels[row] as number;
    if (!(label >= 0 && label < size)) throw new Error(`row ${row}: label ${label} of ${size}`);
    const first = row * total + sizes.slice(0, index).reduce((a, b) => a + b, 0);
    out.fill(smoothing / size, first, first + size);
    out[first + label] += 1 - smoothing;
  }
  return out;
}

/** Where each unit stands among the windows' seconds. Throws unless every unit is used once. */
function placesOf(index: Int32Array, sources: number, units: number): Int32Array {
  const inverse = new Int32Array(sources).fill(-1);
  for (const [place, source] of index.entries()) {
    if (source < 0) continue;
    if (source >= sources) throw new Error(`second ${place} names source ${source} of ${sources}`);
    if (source < units && inverse[source] !== -1) throw new Error(`unit ${source} is used twice`);
    inverse[source] = place;
  }
  const unused = inverse.subarray(0, units).indexOf(-1);
  if (unused >= 0) throw new Error(`unit ${unused} is in no window`);
  return inverse.map((place) => Math.max(place, 0));
}

function signalFeeds(signal: UnitSignal, arch: Architecture): Record<string, Feed> {
  const { units, channels, context, index } = signal;
  const contexts = context.length / (arch.latents * arch.width);
  const inverse = placesOf(index, units + contexts, units);
  const { usual = new Float32Array(units * arch.latents * arch.width) } = signal;
  return {
    patches: { shape: [units, channels, patchSamples], data: signal.patches },
    positions: { shape: [units, channels, 6], data: signal.positions },
    channelMask: { shape: [units, channels], data: signal.channelMask },
    context: { shape: [contexts, arch.latents, arch.width], data: context },
    ...(arch.tasks.some((task) => task.history === true)
      ? { usual: { shape: [units, arch.latents, arch.width], data: usual } }
      : {}),
    index: { shape: [index.length], data: index.map((source) => Math.max(source, 0)) },
    inverse: { shape: [inverse.length], data: inverse },
  };
}

/** Inputs of the training graph. */
export function batchFeeds(batch: TrainingBatch, arch: Architecture): Record<string, Feed> {
  const { rows, seconds } = batch;
  const shape = [rows, seconds];
  const feeds: Record<string, Feed> = {
    times: { shape, data: batch.times },
    mask: { shape, data: batch.mask },
    task: { shape: [rows], data: batch.task },
    target: { shape: [rows, batch.target.length / rows], data: batch.target },
    rowWeight: { shape: [rows], data: batch.rowWeight },
  };
  if (batch.signal !== undefined) return { ...feeds, ...signalFeeds(batch.signal, arch) };
  if (batch.latents === undefined) throw new Error('a batch needs signal or latents');
  return {
    ...feeds,
    latents: { shape: [...shape, arch.latents, arch.width], data: batch.latents },
  };
}
