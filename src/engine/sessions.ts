/** What a worker holds: the two graphs of a checkpoint, ready to run, whatever computes them. */
import type { Checkpoint } from '../model/checkpoint.js';
import type { Arithmetic } from '../model/parameters.js';
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
): Promise<{ sessions: Sessions; engine: string; arithmetic: Arithmetic }> {
  const { arch, weights } = checkpoint;
  if (kind === 'onnx') {
    const { OnnxSessions } = await import('./onnx-sessions.js');
    // The kernels of int8 are the CPU's; elsewhere such a checkpoint is computed in float32.
    const arithmetic = device === 'cpu' ? checkpoint.arithmetic : 'float32';
    const sessions = await OnnxSessions.open(arch, weights, { device, threads }, arithmetic);
    const engine = arithmetic === 'int8' ? `onnx/${device}/int8` : `onnx/${device}`;
    return { sessions, engine, arithmetic };
  }
  const { loadTf } = await import('./tfjs/backend.js');
  const { TfjsSessions } = await import('./tfjs/sessions.js');
  const tf = await loadTf(kind);
  const engine = `${kind}/${tf.getBackend()}`;
  return { sessions: new TfjsSessions(tf, arch, weights), engine, arithmetic: 'float32' };
}
