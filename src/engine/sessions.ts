/** What a worker holds: the two graphs of a checkpoint, ready to run, whatever computes them. */
import { EegError } from '../core/errors.js';
import type { Checkpoint } from '../model/checkpoint.js';
import type { TaskBatch, TaskResult, TrunkBatch } from './engine.js';
import type { WorkerStart } from './worker-protocol.js';

export interface Sessions {
  trunk(batch: TrunkBatch): Promise<Float32Array>;
  tasks(batch: TaskBatch): Promise<TaskResult>;
  close(): Promise<void>;
}

/** `engine` names what computes, e.g. `onnx/cpu` or `tfjs/wasm`. Rejects with `EEG_ENGINE_UNAVAILABLE`. */
export async function openSessions(
  checkpoint: Checkpoint,
  { kind, device, threads }: WorkerStart,
): Promise<{ sessions: Sessions; engine: string }> {
  const { arch, weights } = checkpoint;
  if (kind === 'onnx') {
    const { OnnxSessions } = await import('./onnx-sessions.js');
    const sessions = await OnnxSessions.open(arch, weights, { device, threads });
    return { sessions, engine: `onnx/${device}` };
  }
  if (arch.packs !== undefined)
    throw new EegError('EEG_ENGINE_UNAVAILABLE', `${kind} computes no expert packs; use onnx`);
  const { loadTf } = await import('./tfjs/backend.js');
  const { TfjsSessions } = await import('./tfjs/sessions.js');
  const tf = await loadTf(kind);
  return { sessions: new TfjsSessions(tf, arch, weights), engine: `${kind}/${tf.getBackend()}` };
}
