/**
 * ONNX Runtime on the calling thread: for training (a process of its own), tools and tests. A run
 * blocks the thread (measured: `run` and `create` are synchronous); serving uses src/engine.
 */
import ort from 'onnxruntime-node';

export type FeedData = Float32Array | Int32Array | BigInt64Array;

export interface Feed {
  readonly shape: readonly number[];
  readonly data: FeedData;
}

export interface SessionOptions {
  /** Threads within one operator. */
  readonly threads?: number;
  /** Where it computes; the CPU where absent. */
  readonly device?: Device;
}

/** What ONNX Runtime calls an execution provider. */
export type Device = 'cpu' | 'webgpu' | 'cuda' | 'tensorrt';

/** In the order in which they are asked for a node; what one cannot do, the next does. */
export function providersOf(device: Device): readonly Device[] {
  if (device === 'tensorrt') return ['tensorrt', 'cuda', 'cpu'];
  return device === 'cpu' ? ['cpu'] : [device, 'cpu'];
}

export class Session {
  readonly #inner: ort.InferenceSession;

  private constructor(inner: ort.InferenceSession) {
    this.#inner = inner;
  }

  /** Rejects with ONNX Runtime's own error where the device cannot be had. */
  static async open(model: Uint8Array, options: SessionOptions = {}): Promise<Session> {
    const { device = 'cpu' } = options;
    const inner = await ort.InferenceSession.create(model, {
      intraOpNumThreads: options.threads ?? 1,
      interOpNumThreads: 1,
      executionProviders: providersOf(device),
      logSeverityLevel: 3,
      // Threads that spin while they wait take the core from the event loop.
      extra: { session: { intra_op: { allow_spinning: '0' } } },
    });
    return new Session(inner);
  }

  get inputs(): readonly string[] {
    return this.#inner.inputNames;
  }

  /**
   * Runs the graph; float32 outputs only. `wanted`: outputs that are allocated and returned;
   * `into`: outputs that are written into the given arrays.
   */
  async run(
    feeds: Readonly<Record<string, Feed>>,
    wanted: readonly string[] = this.#inner.outputNames,
    into: ReadonlyMap<string, Feed> = new Map(),
  ): Promise<Map<string, { shape: readonly number[]; data: Float32Array }>> {
    const tensors: Record<string, ort.Tensor> = {};
    for (const [name, feed] of Object.entries(feeds)) tensors[name] = toTensor(feed);
    const fetches: Record<string, ort.Tensor | null> = {};
    for (const name of wanted) fetches[name] = null;
    for (const [name, target] of into) fetches[name] = toTensor(target);
    const results = await this.#inner.run(tensors, fetches);
    const out = new Map<string, { shape: readonly number[]; data: Float32Array }>();
    for (const name of wanted) {
      const tensor = results[name];
      if (tensor?.data instanceof Float32Array)
        out.set(name, { shape: tensor.dims, data: tensor.data });
    }
    return out;
  }

  async close(): Promise<void> {
    await this.#inner.release();
  }
}

export function toTensor({ shape, data }: Feed): ort.Tensor {
  if (data instanceof Float32Array) return new ort.Tensor('float32', data, shape);
  if (data instanceof Int32Array) return new ort.Tensor('int32', data, shape);
  return new ort.Tensor('int64', data, shape);
}
