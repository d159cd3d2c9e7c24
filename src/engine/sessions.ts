/** What a worker holds: the two graphs of a checkpoint, ready to run, whatever computes them. */
import { EegError } from '../core/errors.js';
import { expertCount } from '../model/architecture.js';
import { capacity } from '../model/capacity.js';
import type { Checkpoint } from '../model/checkpoint.js';
import { dropless } from '../model/dropless.js';
import { servingGraphs } from '../model/serving.js';
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
    // Off the CPU no shape may depend on the data; with these many places nothing is dropped.
    const roomy = () => capacity(expertCount(arch) / (arch.moe?.topK ?? 1));
    const graphs = servingGraphs(arch, weights, device === 'cpu' ? dropless : roomy());
    const sessions = await OnnxSessions.open(graphs, arch, {
      device,
      threads,
    });
    return { sessions, engine: `onnx/${device}` };
  }
  if (arch.packs !== undefined)
    throw new EegError('EEG_ENGINE_UNAVAILABLE', `${kind} computes no expert packs; use onnx`);
  const { loadTf } = await import('./tfjs/backend.js');
  const { TfjsSessions } = await import('./tfjs/sessions.js');
  const tf = await loadTf(kind);
  return { sessions: new TfjsSessions(tf, arch, weights), engine: `${kind}/${tf.getBackend()}` };
}
