/**
 * A training graph that is open: weights and a batch go in, losses and gradients come out. The
 * gradients are written into arrays made once, so a run allocates nothing of the model's size.
 */
import { type Feed, Session, type SessionOptions } from './session.js';
import { type Tensor, zeros } from './tensor.js';

/** Name of the output that holds the gradient of a parameter. */
export const gradientName = (parameter: string): string => `gradient.${parameter}`;

export interface TrainingModel {
  readonly bytes: Uint8Array;
  /** All parameters, as inputs of the graph. */
  readonly parameters: readonly string[];
  /** Those whose gradients are outputs. */
  readonly trained: readonly { readonly name: string; readonly shape: readonly number[] }[];
  /** Other outputs. */
  readonly outputs: readonly string[];
}

export interface GradientResult {
  readonly outputs: ReadonlyMap<string, { shape: readonly number[]; data: Float32Array }>;
  /** Valid until the next run. */
  readonly gradients: ReadonlyMap<string, Tensor>;
}

export class GradientSession {
  readonly #session: Session;
  readonly #model: TrainingModel;
  readonly #gradients: Map<string, Tensor>;

  private constructor(session: Session, model: TrainingModel) {
    this.#session = session;
    this.#model = model;
    this.#gradients = new Map(model.trained.map(({ name, shape }) => [name, zeros(shape)]));
  }

  static async open(model: TrainingModel, options: SessionOptions = {}): Promise<GradientSession> {
    return new GradientSession(await Session.open(model.bytes, options), model);
  }

  get trained(): TrainingModel['trained'] {
    return this.#model.trained;
  }

  /** Throws if a parameter of the graph is missing in `weights`. */
  async run(
    weights: ReadonlyMap<string, Tensor>,
    feeds: Readonly<Record<string, Feed>>,
  ): Promise<GradientResult> {
    const all: Record<string, Feed> = { ...feeds };
    for (const name of this.#model.parameters) {
      const tensor = weights.get(name);
      if (tensor === undefined) throw new Error(`no weight ${name} for the training graph`);
      all[name] = tensor;
    }
    const targets = new Map<string, Tensor>();
    for (const [name, tensor] of this.#gradients) targets.set(gradientName(name), tensor);
    const outputs = await this.#session.run(all, this.#model.outputs, targets);
    return { outputs, gradients: this.#gradients };
  }

  async close(): Promise<void> {
    await this.#session.close();
  }
}
