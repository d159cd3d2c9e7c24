/**
 * One stream as one checkpoint serves it: seconds waiting for the trunk, windows waiting for the
 * task blocks, and the latents between the two.
 */
import type { NoPredictionReason } from '../core/events.js';
import type { Readout } from '../core/readout.js';
import {
  contextStepS,
  gridSamples,
  modelRateHz,
  patchSamples,
  type TaskSpec,
} from '../core/tasks.js';
import { BoundedQueue, type QueueCounters } from './bounded-queue.js';
import { besideUsual } from './history.js';
import { LatentCache } from './latent-cache.js';
import type { TaskRow, TrunkRow } from './pack.js';
import type { PastSecond } from './past.js';
import { type StreamReadout, streamReadout } from './stream-readout.js';

/** What serving reads of a stream. */
export interface PatchSource {
  readonly id: string;
  readonly channels: number;
  /** `[channels, 6]`, see `TrunkBatch.positions`. */
  readonly positions: Float32Array;
  /** First 200 Hz index still held. */
  oldestSample(): number;
  /** Fills `[channels, 200]` patches of the second before `endSample`, and `[channels]` mask. */
  patches(endSample: number, out: Float32Array, mask: Float32Array): void;
  /** Why the second before `endSample` has no usable channel. */
  reason(endSample: number): NoPredictionReason;
  /** Labels of the channels, for read-outs. */
  readonly labels?: readonly string[];
  /** See `SpectrumSource`. */
  reference?(endSample: number): Float32Array | undefined;
}

export interface WindowRequest {
  readonly stream: string;
  /** Index into the checkpoint's tasks. */
  readonly task: number;
  readonly seq: number;
  readonly endSample: number;
  /** LSL seconds of `endSample`. */
  readonly stampS: number;
  readonly arrivalS: number;
  /** Only compared, never delivered. */
  readonly shadow?: true;
}

/** A window's input, judged. */
export interface WindowInput {
  readonly validity: number;
  readonly row?: TaskRow;
  /** To be added to the task's logits. */
  readonly evidence?: Float64Array;
  readonly reason?: NoPredictionReason;
}

/** Windows of one task of a live stream that may wait. */
export const windowsPendingMax = 4;
const ringTicks = 240;
/** So much later than the newest second a window may still find its seconds: 10 s. */
const lateTicks = 41;

/** A second on its way through the trunk. */
export interface TrunkSecond extends TrunkRow {
  keep(latents: Float32Array): void;
  giveUp(reason: NoPredictionReason): void;
}

interface ServedOptions {
  readonly floats: number;
  readonly windowsMax: number;
  /** By name of the task. */
  readonly readouts?: Readonly<Record<string, Readout>>;
}

export class ServedStream {
  readonly source: PatchSource;
  readonly #tasks: readonly TaskSpec[];
  readonly #cache: LatentCache;
  readonly #ticks: BoundedQueue<number>;
  /** Seconds of before, on their way to the trunk. */
  #past: PastSecond[] = [];
  /** Ends of the seconds that are in the trunk. */
  readonly #inTrunk = new Set<number>();
  readonly windows: readonly BoundedQueue<WindowRequest>[];
  readonly #readouts: readonly (StreamReadout | undefined)[];

  constructor(
    source: PatchSource,
    tasks: readonly TaskSpec[],
    { floats, windowsMax, readouts = {} }: ServedOptions,
  ) {
    this.source = source;
    this.#tasks = tasks;
    const longestS = Math.max(1, ...tasks.map((task) => task.windowS));
    this.#cache = new LatentCache({ floats, ticks: Math.ceil(longestS / 0.25) + lateTicks });
    this.#ticks = new BoundedQueue(`${source.id} seconds`, ringTicks, 'drop-oldest');
    this.#readouts = tasks.map((task) => streamReadout(readouts[task.name], source, task.windowS));
    this.windows = tasks.map(
      (task) => new BoundedQueue(`${source.id} ${task.name} windows`, windowsMax, 'drop-oldest'),
    );
  }

  addTick(endSample: number): void {
    const dropped = this.#ticks.push(endSample);
    if (dropped !== undefined) this.#cache.putUnusable(dropped, 'overload');
  }

  /** For a checkpoint that begins now: what tasks that look back would know. */
  remember(past: readonly PastSecond[]): void {
    if (this.#tasks.some(looksBack)) this.#past = [...past];
  }

  get ticksPending(): number {
    return this.#ticks.length + this.#past.length;
  }

  /** Up to `rowsMax` pending seconds, oldest first. */
  takeTicks(rowsMax: number): TrunkSecond[] {
    const taken: TrunkSecond[] = [];
    while (taken.length < rowsMax) {
      const endSample = this.#ticks.shift();
      if (endSample === undefined) break;
      taken.push(this.#second(endSample));
    }
    for (const past of this.#past.splice(0, rowsMax - taken.length))
      taken.push(this.#pastSecond(past));
    return taken;
  }

  #pastSecond(past: PastSecond): TrunkSecond {
    const { channels, positions } = this.source;
    return {
      channels,
      positions,
      fill: (out, mask) => {
        out.set(past.patches);
        mask.set(past.mask);
        return true;
      },
      keep: (latents) => this.#cache.remember(past, latents),
      giveUp: () => undefined,
    };
  }

  #second(endSample: number): TrunkSecond {
    const { channels, positions } = this.source;
    let share = 0;
    this.#inTrunk.add(endSample);
    const giveUp = (reason: NoPredictionReason) => {
      this.#inTrunk.delete(endSample);
      this.#cache.putUnusable(endSample, reason);
    };
    return {
      channels,
      positions,
      fill: (patches, mask) => {
        const filled = this.#fill(endSample, patches, mask);
        if (typeof filled === 'string') giveUp(filled);
        share = typeof filled === 'string' ? 0 : filled;
        return share > 0;
      },
      keep: (latents) => {
        this.#inTrunk.delete(endSample);
        this.#cache.put(endSample, share, latents);
      },
      giveUp,
    };
  }

  /** All seconds up to `endSample` have been through the trunk. */
  isReady(endSample: number): boolean {
    const next = this.#ticks.peek();
    if (next !== undefined && next <= endSample) return false;
    for (const end of this.#inTrunk) if (end <= endSample) return false;
    return true;
  }

  input(request: WindowRequest): WindowInput {
    const task = this.#tasks[request.task] as TaskSpec;
    const ends: number[] = [];
    for (let i = task.windowS - 1; i >= 0; i--) ends.push(request.endSample - i * modelRateHz);
    const shares = ends.map((end) => this.#cache.share(end));
    const usable = shares.filter((share) => share > 0).length;
    const validity = shares.reduce((sum, share) => sum + share, 0) / ends.length;
    const context = this.#context(request, task, ends);
    if (usable === 0 || usable < task.minValid * ends.length)
      return { validity, reason: this.#mainReason(ends, usable) };
    const plain = {
      task: request.task,
      seconds: [...context.seconds, ...ends.map((end) => this.#cache.get(end))],
      times: [...context.times, ...ends.map((end) => (end - request.endSample) / modelRateHz)],
    };
    const usual = this.#cache.history(request.task);
    const row = task.history === true ? besideUsual(plain, usual, task) : plain;
    const readout = this.#readouts[request.task];
    if (readout === undefined) return { validity, row };
    const evidence = readout.evidence(request.endSample);
    return evidence === undefined
      ? { validity, reason: 'bad_channels' }
      : { validity, row, evidence };
  }

  counters(): QueueCounters[] {
    return [this.#ticks.counters(), ...this.windows.map((queue) => queue.counters())];
  }

  #context(request: WindowRequest, task: TaskSpec, ends: readonly number[]) {
    const seconds: (Float32Array | undefined)[] = [];
    const times: number[] = [];
    const { contextWindows } = task;
    if (!looksBack(task)) return { seconds, times };
    const stepS = contextStepS(task);
    const contextsMax = contextWindows * Math.ceil(stepS / task.hopS) + 1;
    const stepSamples = stepS * modelRateHz;
    this.#cache.keepContext(request.task, ends, { contextsMax, stepSamples });
    const samples = task.windowS * modelRateHz;
    for (let back = contextWindows; back > 0; back--) {
      const end = request.endSample - Math.round(back * stepSamples);
      seconds.push(this.#cache.context(request.task, end, samples));
      times.push(-back * stepS);
    }
    return { seconds, times };
  }

  /** Share of the channels that are usable, or why none is. */
  #fill(endSample: number, patches: Float32Array, mask: Float32Array): number | NoPredictionReason {
    if (endSample - patchSamples < this.source.oldestSample()) return 'warming_up';
    this.source.patches(endSample, patches, mask);
    const share = goodShare(mask);
    return share > 0 ? share : this.source.reason(endSample);
  }

  #mainReason(ends: readonly number[], usable: number): NoPredictionReason {
    const counts = new Map<NoPredictionReason, number>();
    for (const end of ends) {
      const reason = this.#cache.reason(end);
      if (reason !== undefined) counts.set(reason, (counts.get(reason) ?? 0) + 1);
    }
    const [first] = [...counts].sort((a, b) => b[1] - a[1]);
    const reason = first?.[0] ?? 'gap';
    return reason === 'bad_channels' && usable === 0 ? 'no_usable_channel' : reason;
  }
}

function looksBack({ contextWindows, history }: TaskSpec): boolean {
  return contextWindows > 0 || history === true;
}

/** Ends of the seconds on the grid that lie wholly in the last `samples` before `endSample`. */
export function endsBefore(endSample: number, samples: number, oldest: number): number[] {
  const ends: number[] = [];
  const last = Math.floor(endSample / gridSamples) * gridSamples;
  const first = Math.max(last - samples + patchSamples, oldest + patchSamples, patchSamples);
  for (let end = Math.ceil(first / gridSamples) * gridSamples; end <= last; end += gridSamples)
    ends.push(end);
  return ends;
}

function goodShare(mask: Float32Array): number {
  let good = 0;
  for (const value of mask) if (value > 0) good++;
  return good / mask.length;
}
