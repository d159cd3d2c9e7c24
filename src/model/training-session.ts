/**
 * Supervised training on ONNX Runtime, on the calling thread: a batch in, losses and gradients out.
 * The weights belong to the caller, who changes them between steps (src/graph/adamw.ts).
 */
import { GradientSession } from '../graph/gradient-session.js';
import type { Feed, SessionOptions } from '../graph/session.js';
import type { Tensor } from '../graph/tensor.js';
import type { Architecture } from './architecture.js';
import type { Weights } from './parameters.js';
import { batchFeeds, type TrainingBatch } from './training-batch.js';
import { othersName, type TrainingOptions, trainingGraph } from './training-graph.js';

export interface RouterWeights {
  /** Of the balance loss; 1e-2 to 1e-3. */
  readonly balance: number;
  /** Of the router's z-loss; 1e-3. */
  readonly z: number;
  /** Where the batch is one part of a mixed step, for sessions opened with `parts`. */
  readonly part?: StepPart;
}

/** The rest of a mixed step, which the balance loss of this part is to see. */
export interface StepPart {
  /** Share of the step's usable tokens that are in this part. */
  readonly share: number;
  /** `[moeBlocks, experts]`: load shares of the other parts, each times its share of tokens. */
  readonly others: Float32Array;
}

export interface StepResult {
  /** What was differentiated: supervised plus weighted router losses. */
  readonly loss: number;
  /** `[rows]`, unweighted cross-entropy. */
  readonly rowLoss: Float32Array;
  /** `[rows, classesTotal]`. */
  readonly logits: Float32Array;
  /** Unweighted; 0 for a dense model. */
  readonly balance: number;
  readonly z: number;
  /** `[rows, moeBlocks, experts]`, share of the row's usable tokens; empty if dense. */
  readonly routing: Float32Array;
  /** Valid until the next step. Empty from `evaluate`. */
  readonly gradients: ReadonlyMap<string, Tensor>;
}

/** A batch in, losses and gradients out, whatever computes them. */
export interface StepSession {
  /** Parameters that get gradients. */
  readonly trained: readonly { readonly name: string; readonly shape: readonly number[] }[];
  step(weights: Weights, batch: TrainingBatch, router?: RouterWeights): Promise<StepResult>;
  evaluate(weights: Weights, batch: TrainingBatch): Promise<StepResult>;
  close(): Promise<void>;
}

const none: RouterWeights = { balance: 0, z: 0 };

export class TrainingSession implements StepSession {
  readonly #arch: Architecture;
  readonly #options: TrainingOptions & SessionOptions;
  readonly #training: GradientSession;
  #forward: GradientSession | undefined;

  private constructor(
    arch: Architecture,
    options: TrainingOptions & SessionOptions,
    training: GradientSession,
  ) {
    this.#arch = arch;
    this.#options = options;
    this.#training = training;
  }

  static async open(
    arch: Architecture,
    options: TrainingOptions & SessionOptions,
  ): Promise<TrainingSession> {
    const training = await GradientSession.open(trainingGraph(arch, options), options);
    return new TrainingSession(arch, options, training);
  }

  /** Parameters that get gradients. */
  get trained(): readonly { readonly name: string; readonly shape: readonly number[] }[] {
    return this.#training.trained;
  }

  /** Losses and gradients of one batch. */
  async step(
    weights: Weights,
    batch: TrainingBatch,
    router: RouterWeights = none,
  ): Promise<StepResult> {
    return this.#run(this.#training, weights, batch, router);
  }

  /** Losses and logits alone, by a graph without gradients. */
  async evaluate(weights: Weights, batch: TrainingBatch): Promise<StepResult> {
    if (this.#forward === undefined) {
      const graph = trainingGraph(this.#arch, { ...this.#options, gradients: false });
      this.#forward = await GradientSession.open(graph, this.#options);
    }
    return this.#run(this.#forward, weights, batch, none);
  }

  async #run(
    session: GradientSession,
    weights: Weights,
    batch: TrainingBatch,
    router: RouterWeights,
  ): Promise<StepResult> {
    const { outputs, gradients } = await session.run(weights, {
      ...batchFeeds(batch, this.#arch),
      ...routerFeeds(router, this.#arch, this.#options.parts ?? false),
    });
    return stepResult(outputs, gradients);
  }

  async close(): Promise<void> {
    await this.#training.close();
    await this.#forward?.close();
  }
}

export function stepResult(
  outputs: ReadonlyMap<string, { readonly data: Float32Array }>,
  gradients: ReadonlyMap<string, Tensor>,
): StepResult {
  const array = (name: string) => outputs.get(name)?.data ?? new Float32Array(0);
  return {
    loss: array('loss')[0] as number,
    rowLoss: array('rowLoss'),
    logits: array('logits'),
    balance: array('balance')[0] ?? 0,
    z: array('z')[0] ?? 0,
    routing: array('routing'),
    gradients,
  };
}

/** Inputs of the router's losses. `parts`: as the graph was made. */
export function routerFeeds(
  { balance, z, part }: RouterWeights,
  { moe }: Architecture,
  parts: boolean,
): Record<string, Feed> {
  if (moe === null) return {};
  const scalar = (value: number): Feed => ({ shape: [], data: Float32Array.of(value) });
  const feeds: Record<string, Feed> = { balanceWeight: scalar(balance), zWeight: scalar(z) };
  if (!parts) return feeds;
  feeds.partShare = scalar(part?.share ?? 1);
  const blocks = [...moe.blocks].sort((a, b) => a - b);
  const others = part?.others ?? new Float32Array(blocks.length * moe.experts);
  for (const [i, block] of blocks.entries()) {
    const data = others.slice(i * moe.experts, (i + 1) * moe.experts);
    feeds[othersName(block)] = { shape: [moe.experts], data };
  }
  return feeds;
}
