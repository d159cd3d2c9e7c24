/**
 * A checkpoint's predictions on prepared recordings, by the graphs the daemon serves: every second
 * through the trunk once, windows with their context as `src/windows` puts them together.
 */
import { contextStepS, modelRateHz, patchSamples, type TaskSpec } from '../core/tasks.js';
import { Session } from '../graph/session.js';
import type { Architecture } from '../model/architecture.js';
import { dropless } from '../model/dropless.js';
import type { Arithmetic, Weights } from '../model/parameters.js';
import { servingGraphs } from '../model/serving.js';
import { besideUsual, History, meanLatents } from '../windows/history.js';
import { packTasks, type TaskRow } from '../windows/pack.js';
import type { PreparedRecording } from './prepared.js';
import { secondEnds, type TaskWindow } from './windows.js';

/** Channel tokens of one run: bounds memory whatever the montage. */
const trunkTokensMax = 2048;
const taskTokensMax = 8192;

export interface Predicted {
  readonly window: TaskWindow;
  /** Logits of the window's own task. */
  readonly logits: Float32Array;
  /** `[moeBlocks, experts]`; empty for a dense model. */
  readonly routing: Float32Array;
}

export interface Changes {
  /** Changes `[channels, 200]` patches, their positions and mask before they enter the model. */
  alter?(patches: Float32Array, positions: Float32Array, mask: Float32Array): void;
}

export class Predictor {
  readonly arch: Architecture;
  readonly #trunk: Session;
  readonly #tasks: Session;

  private constructor(arch: Architecture, trunk: Session, tasks: Session) {
    this.arch = arch;
    this.#trunk = trunk;
    this.#tasks = tasks;
  }

  static async open(
    arch: Architecture,
    weights: Weights,
    threads = 1,
    arithmetic: Arithmetic = 'float32',
  ): Promise<Predictor> {
    const graphs = servingGraphs(arch, weights, dropless, arithmetic);
    const trunk = await Session.open(graphs.trunk, { threads });
    return new Predictor(arch, trunk, await Session.open(graphs.tasks, { threads }));
  }

  async close(): Promise<void> {
    await this.#trunk.close();
    await this.#tasks.close();
  }

  /** All windows must be of one recording and one task of the architecture. */
  async predict(
    recording: PreparedRecording,
    task: number,
    windows: readonly TaskWindow[],
    changes: Changes = {},
  ): Promise<Predicted[]> {
    if (windows.length === 0) return [];
    const spec = this.arch.tasks[task];
    const needed = new Set<number>();
    const starts = windows.map((window) => this.#windowsOf(window.endSample, task));
    for (const own of starts)
      for (const end of own) for (const second of secondEnds(end, spec.windowS)) needed.add(second);
    const latents = await this.#latents(
      recording,
      [...needed].sort((a, b) => a - b),
      changes,
    );
    const averages = new Averages(latents, spec, Math.max(0, ...needed));
    const rows = windows.map((window): TaskRow => {
      const ends = secondEnds(window.endSample, spec.windowS);
      const context = this.#contextEnds(window.endSample, task).map(([end, timeS]) => ({
        latents: averages.at(end),
        timeS,
      }));
      const row = {
        task,
        seconds: [...context.map((one) => one.latents), ...ends.map((end) => latents.get(end))],
        times: [
          ...context.map((one) => one.timeS),
          ...ends.map((end) => (end - window.endSample) / modelRateHz),
        ],
      };
      return spec.history === true ? besideUsual(row, averages.upTo(window.endSample), spec) : row;
    });
    return this.#logits(task, windows, rows);
  }

  /** The window itself and the ones it looks back at. */
  #windowsOf(endSample: number, task: number): number[] {
    const spec = this.arch.tasks[task];
    if (spec.history === true) return stepsBack(endSample, spec);
    return [endSample, ...this.#contextEnds(endSample, task).map(([end]) => end)];
  }

  /** As `ServedStream` steps: by whole windows; what lies before the stream's start is not there. */
  #contextEnds(endSample: number, task: number): [endSample: number, timeS: number][] {
    const spec = this.arch.tasks[task];
    const stepS = contextStepS(spec);
    const out: [number, number][] = [];
    for (let back = spec.contextWindows; back > 0; back--) {
      const end = endSample - Math.round(back * stepS * modelRateHz);
      if (end >= spec.windowS * modelRateHz) out.push([end, -back * stepS]);
    }
    return out;
  }

  async #latents(
    recording: PreparedRecording,
    ends: readonly number[],
    changes: Changes,
  ): Promise<Map<number, Float32Array>> {
    const out = new Map<number, Float32Array>();
    const { channels } = recording;
    const atOnce = Math.max(1, Math.floor(trunkTokensMax / channels));
    const floats = this.arch.latents * this.arch.width;
    for (let from = 0; from < ends.length; from += atOnce) {
      const some = ends.slice(from, from + atOnce);
      const patches = new Float32Array(some.length * channels * patchSamples);
      const mask = new Float32Array(some.length * channels);
      const positions = new Float32Array(some.length * channels * 6);
      recording.patches(some, patches, mask);
      for (let i = 0; i < some.length; i++) {
        positions.set(recording.positions, i * channels * 6);
        changes.alter?.(
          patches.subarray(i * channels * patchSamples, (i + 1) * channels * patchSamples),
          positions.subarray(i * channels * 6, (i + 1) * channels * 6),
          mask.subarray(i * channels, (i + 1) * channels),
        );
      }
      const result = await this.#trunk.run({
        patches: { shape: [some.length, channels, patchSamples], data: patches },
        positions: { shape: [some.length, channels, 6], data: positions },
        mask: { shape: [some.length, channels], data: mask },
      });
      const latents = result.get('latents')?.data ?? new Float32Array(0);
      for (const [i, end] of some.entries())
        if (mask.subarray(i * channels, (i + 1) * channels).some((value) => value > 0))
          out.set(end, latents.slice(i * floats, (i + 1) * floats));
    }
    return out;
  }

  async #logits(
    task: number,
    windows: readonly TaskWindow[],
    rows: readonly TaskRow[],
  ): Promise<Predicted[]> {
    const { arch } = this;
    const floats = arch.latents * arch.width;
    const first = arch.tasks.slice(0, task).reduce((sum, spec) => sum + spec.classes.length, 0);
    const total = arch.tasks.reduce((sum, spec) => sum + spec.classes.length, 0);
    const size = arch.tasks[task].classes.length;
    const secondsMax = Math.max(...rows.map((row) => row.seconds.length));
    const atOnce = Math.max(1, Math.floor(taskTokensMax / (secondsMax * arch.latents)));
    const out: Predicted[] = [];
    for (let from = 0; from < rows.length; from += atOnce) {
      const some = rows.slice(from, from + atOnce);
      const batch = packTasks(some, floats);
      const shape = [batch.rows, batch.seconds];
      const result = await this.#tasks.run({
        latents: { shape: [...shape, arch.latents, arch.width], data: batch.latents },
        times: { shape, data: batch.times },
        mask: { shape, data: batch.mask },
        task: { shape: [batch.rows], data: batch.task },
      });
      const logits = result.get('logits')?.data ?? new Float32Array(0);
      const routing = result.get('routing')?.data ?? new Float32Array(0);
      const share = routing.length / some.length;
      for (let i = 0; i < some.length; i++) {
        // A window of nothing but gaps gets no prediction from the daemon.
        if (some[i].seconds.every((second) => second === undefined)) continue;
        out.push({
          window: windows[from + i],
          logits: logits.slice(i * total + first, i * total + first + size),
          routing: routing.slice(i * share, (i + 1) * share),
        });
      }
    }
    return out;
  }
}

/** Ends of the whole windows back to the recording's start, the newest first. */
function stepsBack(endSample: number, spec: TaskSpec): number[] {
  const step = Math.round(contextStepS(spec) * modelRateHz);
  const count = Math.floor((endSample - spec.windowS * modelRateHz) / step) + 1;
  return Array.from({ length: Math.max(0, count) }, (_, back) => endSample - back * step);
}

/** Averages of windows, and what is usual at the end of each, as `LatentCache` keeps them. */
class Averages {
  readonly #latents: ReadonlyMap<number, Float32Array>;
  readonly #spec: TaskSpec;
  readonly #last: number;
  readonly #known = new Map<number, Float32Array | undefined>();
  /** What is usual at a window's end. */
  readonly #usual = new Map<number, Float32Array | undefined>();

  constructor(latents: ReadonlyMap<number, Float32Array>, spec: TaskSpec, last: number) {
    this.#latents = latents;
    this.#spec = spec;
    this.#last = last;
  }

  at(end: number): Float32Array | undefined {
    if (!this.#known.has(end)) {
      const seconds = secondEnds(end, this.#spec.windowS);
      this.#known.set(end, meanLatents(seconds.flatMap((one) => this.#latents.get(one) ?? [])));
    }
    return this.#known.get(end);
  }

  upTo(end: number): Float32Array | undefined {
    if (!this.#usual.has(end)) this.#follow(end);
    return this.#usual.get(end);
  }

  /** From the recording's start to its end, at whole steps from `end`. */
  #follow(end: number): void {
    const step = Math.round(contextStepS(this.#spec) * modelRateHz);
    const later = Math.floor((this.#last - end) / step) * step;
    const history = new History();
    for (const one of stepsBack(end + later, this.#spec).reverse()) {
      const average = this.at(one);
      if (average !== undefined) history.add(average);
      this.#usual.set(one, history.mean);
    }
  }
}
