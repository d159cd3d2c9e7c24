/**
 * The Engine interface: the two graphs of the model as functions over plain arrays. Everything
 * above knows only this. Implementations: `onnx` (worker threads) and `tfjs`.
 */
import type { Readout } from '../core/readout.js';
import type { TaskSpec } from '../core/tasks.js';

export interface TrunkBatch {
  /** Stream-seconds in this batch. */
  readonly rows: number;
  /** Channels of the widest row; the others are padded with mask 0. */
  readonly channels: number;
  /** `[rows, channels, 200]`, uV divided by the channel's running scale. */
  readonly patches: Float32Array;
  /** `[rows, channels, 6]`: unit-sphere xyz of the active and of the reference electrode. */
  readonly positions: Float32Array;
  /** `[rows, channels]`, 1 = real and good. */
  readonly mask: Float32Array;
}

export interface TaskBatch {
  readonly rows: number;
  /** Seconds (context included) of the longest row; shorter ones are padded with mask 0. */
  readonly seconds: number;
  /** `[rows, seconds, latents, width]`, from `trunk`. */
  readonly latents: Float32Array;
  /** `[rows, seconds]`: end of that second relative to the window's end, s, <= 0. */
  readonly times: Float32Array;
  /** `[rows, seconds]`, 1 = usable. */
  readonly mask: Float32Array;
  /** `[rows]`: index into `info.tasks`. */
  readonly task: Int32Array;
}

export interface TaskResult {
  /** `[rows, classesTotal]`: all heads, concatenated in the order of `info.tasks`. */
  readonly logits: Float32Array;
  /** `[rows, moeBlocks, experts]`: share of the row's tokens each expert served; empty if dense. */
  readonly routing: Float32Array;
}

export interface EngineInfo {
  /** `name@version`. */
  readonly checkpoint: string;
  readonly trained: boolean;
  readonly tasks: readonly TaskSpec[];
  /** By name of the task: what expert packs add to the logits, which the engine does not. */
  readonly readouts?: Readonly<Record<string, Readout>>;
  readonly latents: number;
  readonly width: number;
  readonly moeBlocks: number;
  readonly experts: number;
  /** `onnx/cpu`, `onnx/webgpu`, `tfjs/wasm`, ... */
  readonly engine: string;
  /** Why it is not on the device it was started on. */
  readonly degraded?: string;
}

export interface Engine {
  readonly info: EngineInfo;
  /** Runs it does at once; 1 where absent. */
  readonly parallel?: number;
  /** Latents `[rows, latents, width]` of each stream-second. */
  trunk(batch: TrunkBatch): Promise<Float32Array>;
  tasks(batch: TaskBatch): Promise<TaskResult>;
  /** From now on it serves live windows; before, it gives way to those that do. */
  serve?(): void;
  close(): Promise<void>;
}
