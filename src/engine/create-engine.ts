/** Which engine computes a checkpoint. */
import type { EegError } from '../core/errors.js';
import type { Engine } from './engine.js';
import type { Device } from './worker-protocol.js';

export const engineKinds = ['onnx', 'tfjs'] as const;
export type EngineKind = (typeof engineKinds)[number];

export interface EngineOptions {
  readonly kind: EngineKind;
  readonly device: Device;
  readonly threads: number;
  readonly onFailure?: (error: EegError, again: boolean) => void;
}

/** Rejects with `EEG_MODEL_*` or `EEG_ENGINE_UNAVAILABLE`. */
export async function createEngine(folder: string, options: EngineOptions): Promise<Engine> {
  const { createOnnxEngine } = await import('./onnx.js');
  return createOnnxEngine(folder, options);
}
