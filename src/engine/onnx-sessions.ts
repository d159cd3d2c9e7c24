/**
 * The two graphs as ONNX Runtime sessions. Only ever imported inside a worker thread: `create`
 * and `run` block their thread, though they return promises (microsoft/onnxruntime #19611).
 */
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { EegError } from '../core/errors.js';
import type { TaskBatch, TaskResult, TrunkBatch } from './engine.js';
import type { Sessions } from './sessions.js';
import type { Device } from './worker-protocol.js';

export interface Graphs {
  /** ONNX bytes: patches, positions, mask -> latents. */
  readonly trunk: Uint8Array;
  /** ONNX bytes: latents, times, mask, task -> logits, routing (absent in a dense model). */
  readonly tasks: Uint8Array;
}

export interface SessionShape {
  readonly latents: number;
  readonly width: number;
}

export class OnnxSessions implements Sessions {
  readonly #trunk: InferenceSession;
  readonly #tasks: InferenceSession;
  readonly #shape: SessionShape;

  private constructor(trunk: InferenceSession, tasks: InferenceSession, shape: SessionShape) {
    this.#trunk = trunk;
    this.#tasks = tasks;
    this.#shape = shape;
  }

  static async open(
    graphs: Graphs,
    shape: SessionShape,
    { device, threads }: { device: Device; threads: number },
  ): Promise<OnnxSessions> {
    const options: InferenceSession.SessionOptions = {
      executionProviders: device === 'cpu' ? ['cpu'] : [device, 'cpu'],
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      executionMode: 'sequential',
      graphOptimizationLevel: 'all',
      logSeverityLevel: 3,
      // Threads that spin while they wait take the core from the event loop.
      extra: { session: { intra_op: { allow_spinning: '0' } } },
    };
    try {
      const trunk = await InferenceSession.create(graphs.trunk, options);
      const tasks = await InferenceSession.create(graphs.tasks, options);
      return new OnnxSessions(trunk, tasks, shape);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new EegError('EEG_ENGINE_UNAVAILABLE', `ONNX Runtime on ${device}: ${reason}`, {
        cause,
      });
    }
  }

  async trunk(batch: TrunkBatch): Promise<Float32Array> {
    const { rows, channels } = batch;
    const out = await this.#trunk.run({
      patches: new Tensor('float32', batch.patches, [rows, channels, 200]),
      positions: new Tensor('float32', batch.positions, [rows, channels, 6]),
      mask: new Tensor('float32', batch.mask, [rows, channels]),
    });
    return floats(out, 'latents');
  }

  async tasks(batch: TaskBatch): Promise<TaskResult> {
    const { rows, seconds } = batch;
    const { latents, width } = this.#shape;
    const out = await this.#tasks.run({
      latents: new Tensor('float32', batch.latents, [rows, seconds, latents, width]),
      times: new Tensor('float32', batch.times, [rows, seconds]),
      mask: new Tensor('float32', batch.mask, [rows, seconds]),
      task: new Tensor('int32', batch.task, [rows]),
    });
    const routing = 'routing' in out ? floats(out, 'routing') : new Float32Array();
    return { logits: floats(out, 'logits'), routing };
  }

  async close(): Promise<void> {
    await this.#trunk.release();
    await this.#tasks.release();
  }
}

/** An output as an array that owns its buffer, so that it can be transferred. */
function floats(out: InferenceSession.OnnxValueMapType, name: string): Float32Array {
  const data = out[name]?.data;
  if (!(data instanceof Float32Array))
    throw new EegError('EEG_MODEL_INVALID', `expected the graph to give float32 ${name}`);
  return new Float32Array(data);
}
