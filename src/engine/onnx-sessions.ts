/**
 * The two graphs as ONNX Runtime sessions. Only ever imported inside a worker thread: `create`
 * and `run` block their thread, though they return promises (microsoft/onnxruntime #19611).
 */
import { EegError } from '../core/errors.js';
import { patchSamples } from '../core/tasks.js';
import { type Device, Session, type SessionOptions } from '../graph/session.js';
import { type Architecture, expertCount } from '../model/architecture.js';
import { capacity } from '../model/capacity.js';
import { dropless } from '../model/dropless.js';
import type { Mixture } from '../model/mixture.js';
import type { Arithmetic, Weights } from '../model/parameters.js';
import { servingGraphs } from '../model/serving.js';
import type { TaskBatch, TaskResult, TrunkBatch } from './engine.js';
import type { Sessions } from './sessions.js';

type Results = Awaited<ReturnType<Session['run']>>;

/**
 * Off the CPU no shape may depend on the data (ONNX Runtime would fetch it back), so each expert
 * has places there: as many as there are tokens, because a window's answer must not depend on
 * whose windows share its run.
 */
export function servingMixture(arch: Architecture, device: SessionOptions['device']): Mixture {
  if (device === undefined || device === 'cpu' || arch.moe === null) return dropless;
  return capacity(expertCount(arch) / arch.moe.topK);
}

/** What a device needs, for those who do not have it. */
const hints: Readonly<Record<Device, string>> = {
  cpu: 'report this with the checkpoint: the CPU needs nothing',
  webgpu:
    'install the Vulkan driver of the GPU (apt install libvulkan1 vulkan-tools; vulkaninfo lists it), or choose device: cpu',
  cuda: 'install CUDA 12 and cuDNN 9, then ONNX Runtime’s libraries for them: ONNXRUNTIME_NODE_INSTALL_CUDA=v12 npm rebuild onnxruntime-node; or choose device: cpu',
  tensorrt:
    'install TensorRT 10, CUDA 12 and cuDNN 9 (libnvinfer.so.10 must be found by the linker), then ONNX Runtime’s libraries for them: ONNXRUNTIME_NODE_INSTALL_CUDA=v12 npm rebuild onnxruntime-node; or choose device: cpu',
};

export class OnnxSessions implements Sessions {
  readonly #trunk: Session;
  readonly #tasks: Session;
  readonly #arch: Architecture;

  private constructor(trunk: Session, tasks: Session, arch: Architecture) {
    this.#trunk = trunk;
    this.#tasks = tasks;
    this.#arch = arch;
  }

  /** Rejects with `EEG_ENGINE_UNAVAILABLE`. */
  static async open(
    arch: Architecture,
    weights: Weights,
    options: SessionOptions,
    arithmetic: Arithmetic = 'float32',
  ): Promise<OnnxSessions> {
    const mixture = servingMixture(arch, options.device);
    const graphs = servingGraphs(arch, weights, mixture, arithmetic);
    try {
      const trunk = await Session.open(graphs.trunk, options);
      return new OnnxSessions(trunk, await Session.open(graphs.tasks, options), arch);
    } catch (cause) {
      const { device = 'cpu' } = options;
      const reason = cause instanceof Error ? cause.message : String(cause);
      const message = `expected ONNX Runtime to open on ${device}: ${oneLine(reason)}`;
      throw new EegError('EEG_ENGINE_UNAVAILABLE', message, { cause, hint: hints[device] });
    }
  }

  async trunk(batch: TrunkBatch): Promise<Float32Array> {
    const lead = [batch.rows, batch.channels];
    const out = await this.#trunk.run({
      patches: { shape: [...lead, patchSamples], data: batch.patches },
      positions: { shape: [...lead, 6], data: batch.positions },
      mask: { shape: lead, data: batch.mask },
    });
    return floats(out, 'latents');
  }

  async tasks(batch: TaskBatch): Promise<TaskResult> {
    const { latents, width, moe } = this.#arch;
    const shape = [batch.rows, batch.seconds];
    const out = await this.#tasks.run({
      latents: { shape: [...shape, latents, width], data: batch.latents },
      times: { shape, data: batch.times },
      mask: { shape, data: batch.mask },
      task: { shape: [batch.rows], data: batch.task },
    });
    const routing = moe === null ? new Float32Array() : floats(out, 'routing');
    return { logits: floats(out, 'logits'), routing };
  }

  async close(): Promise<void> {
    await this.#trunk.close();
    await this.#tasks.close();
  }
}

/** ONNX Runtime's messages have paths of its own build and run over many lines. */
function oneLine(reason: string): string {
  return reason.replace(/\s+/g, ' ').slice(0, 300);
}

/** An output as an array that owns its buffer, so that it can be transferred. */
function floats(out: Results, name: string): Float32Array {
  const data = out.get(name)?.data;
  if (data === undefined)
    throw new EegError('EEG_MODEL_INVALID', `expected the graph to give float32 ${name}`);
  return new Float32Array(data);
}
