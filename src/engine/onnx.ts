/** The default engine: ONNX Runtime in a worker thread of its own. */
import type { EegError } from '../core/errors.js';
import { WorkerEngine } from './worker-engine.js';
import type { Device } from './worker-protocol.js';

export interface OnnxOptions {
  readonly device?: Device;
  /** Intra-op threads of a session; scale by batches and workers first. */
  readonly threads?: number;
  readonly onFailure?: (error: EegError, again: boolean) => void;
}

/**
 * Verifies, loads and warms the checkpoint in `folder`. Rejects with `EEG_MODEL_INVALID`,
 * `EEG_MODEL_NOT_FOUND` or `EEG_ENGINE_UNAVAILABLE`.
 */
export function createOnnxEngine(folder: string, options: OnnxOptions = {}): Promise<WorkerEngine> {
  const { device = 'cpu', threads = 1, onFailure } = options;
  return WorkerEngine.open({
    worker: new URL('./onnx-worker.js', import.meta.url),
    start: { folder, device, threads },
    ...(onFailure === undefined ? {} : { onFailure }),
  });
}
