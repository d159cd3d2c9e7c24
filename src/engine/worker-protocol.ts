/** Messages between a `WorkerEngine` and the worker thread that holds its sessions. */
import { EegError, type ErrorCode, toEegError } from '../core/errors.js';
import type { Device } from '../graph/session.js';
import type { EngineInfo, TaskBatch, TaskResult, TrunkBatch } from './engine.js';

/** ONNX Runtime, or one of the packages of TensorFlow.js. */
export const engineKinds = ['onnx', 'tfjs-node-gpu', 'tfjs-node', 'tfjs'] as const;
export type EngineKind = (typeof engineKinds)[number];

/** What the worker is told to open. */
export interface WorkerStart {
  /** Folder of a checkpoint: the worker verifies and loads it, so that nothing else waits. */
  readonly folder: string;
  /** Folders of expert packs to attach, in this order. */
  readonly packs?: readonly string[];
  readonly kind: EngineKind;
  /** Of `onnx`; a TensorFlow.js package is its own device. */
  readonly device: Device;
  /** Intra-op threads of each session. */
  readonly threads: number;
  /** Gives way to what serves until it is told to serve itself. */
  readonly background?: boolean;
}

export type WorkerRequest =
  /** Answered by `ready` or `refused`. */
  | { readonly op: 'open'; readonly start: WorkerStart }
  | { readonly op: 'trunk'; readonly id: number; readonly batch: TrunkBatch }
  | { readonly op: 'tasks'; readonly id: number; readonly batch: TaskBatch }
  | { readonly op: 'serve' }
  /** Sessions go, the thread waits for another `open`. */
  | { readonly op: 'close' }
  | { readonly op: 'end' };

export type WorkerReply =
  | { readonly op: 'ready'; readonly info: EngineInfo }
  | { readonly op: 'refused'; readonly error: ErrorMessage }
  /** `runMs`: the bare time of the run. */
  | { op: 'latents'; readonly id: number; readonly runMs: number; readonly latents: Float32Array }
  | { op: 'result'; readonly id: number; readonly runMs: number; readonly result: TaskResult }
  | { readonly op: 'error'; readonly id: number; readonly error: ErrorMessage }
  | { readonly op: 'closed' };

/** An `EegError` as a structured clone can carry it. */
export interface ErrorMessage {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint: string;
}

export function errorMessage(error: unknown): ErrorMessage {
  const { code, message, hint } = toEegError(error);
  return { code, message, hint };
}

export function errorOf({ code, message, hint }: ErrorMessage): EegError {
  return new EegError(code, message, { hint });
}
