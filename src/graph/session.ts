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
}

export class Session {
  readonly #inner: ort.InferenceSession;

  private constructor(inner: ort.InferenceSession) {
    this.#inner = inner;
  }

  static async open(model: Uint8Array, options: SessionOptions = {}): Promise<Session> {
    const inner = await ort.InferenceSession.create(model, {
      intraOpNumThreads: options.threads ?? 1,
      interOpNumThreads: 1,
      executionProviders: ['cpu'],
      logSeverityLevel: 3,
      extra: { session: { intra_op: { allow_spinning: '0' } } },
    });
    return new Session(inner);
  }

  get inputs(): readonly string[] {
    return this.#inner.inputNames;
  }

  /** Runs the graph. Only float32 outputs are returned. */
  async run(
    feeds: Readonly<Record<string, Feed>>,
    wanted?: readonly string[],
  ): Promise<Map<string, { shape: readonly number[]; data: Float32Array }>> {
    const tensors: Record<string, ort.Tensor> = {};
    for (const [name, feed] of Object.entries(feeds)) tensors[name] = toTensor(feed);
    const results = await this.#inner.run(tensors, wanted ?? this.#inner.outputNames);
    const out = new Map<string, { shape: readonly number[]; data: Float32Array }>();
    for (const [name, tensor] of Object.entries(results))
      if (tensor.data instanceof Float32Array)
        out.set(name, { shape: tensor.dims, data: tensor.data });
    return out;
  }

  async close(): Promise<void> {
    await this.#inner.release();
  }
}

function toTensor({ shape, data }: Feed): ort.Tensor {
  if (data instanceof Float32Array) return new ort.Tensor('float32', data, shape);
  if (data instanceof Int32Array) return new ort.Tensor('int32', data, shape);
  return new ort.Tensor('int64', data, shape);
}
