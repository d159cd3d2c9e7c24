/**
 * Supervised training by TensorFlow.js's own autodiff: the same parameters, batches and losses as
 * `TrainingSession`, nothing of its gradients. Slower; it is the second opinion on ours.
 */
import type { Tensor2D, Tensor as TfTensor } from '@tensorflow/tfjs';
import { patchSamples } from '../../core/tasks.js';
import type { Tensor } from '../../graph/tensor.js';
import type { Architecture } from '../../model/architecture.js';
import type { ParameterSpec, Weights } from '../../model/parameters.js';
import { parameterSpecs } from '../../model/serving.js';
import type { TrainingBatch } from '../../model/training-batch.js';
import type {
  RouterWeights,
  StepPart,
  StepResult,
  StepSession,
} from '../../model/training-session.js';
import { loadTf, type Tf, type TfjsKind } from './backend.js';
import { completeKernels } from './gather-gradient.js';
import type { TfContext } from './layers.js';
import { type Mixture, routingOfRows } from './mixture.js';
import { tfTasks, tfTrunk } from './model.js';
import { toTensors } from './sessions.js';

export interface TfjsTrainingOptions {
  readonly kind: TfjsKind;
  /** False: the trunk is frozen, and batches carry latents. */
  readonly trunk: boolean;
  /** Which parameters get gradients; all by default. */
  readonly trains?: (name: string) => boolean;
}

type Forward = Omit<StepResult, 'gradients'>;

const none: RouterWeights = { balance: 0, z: 0 };

export class TfjsTraining implements StepSession {
  readonly trained: readonly ParameterSpec[];
  readonly #tf: Tf;
  readonly #arch: Architecture;
  readonly #names: readonly string[];

  private constructor(tf: Tf, arch: Architecture, options: TfjsTrainingOptions) {
    const { trunk, trains = () => true } = options;
    const specs = parameterSpecs(arch).filter(({ name }) => trunk || !name.startsWith('trunk.'));
    this.#tf = tf;
    this.#arch = arch;
    this.#names = specs.map(({ name }) => name);
    this.trained = specs.filter(({ name }) => trains(name));
  }

  /** Rejects with `EEG_ENGINE_UNAVAILABLE`. */
  static async open(arch: Architecture, options: TfjsTrainingOptions): Promise<TfjsTraining> {
    const tf = await loadTf(options.kind);
    completeKernels(tf);
    return new TfjsTraining(tf, arch, options);
  }

  async step(
    weights: Weights,
    batch: TrainingBatch,
    router: RouterWeights = none,
  ): Promise<StepResult> {
    const tf = this.#tf;
    return this.#scoped(() => {
      const tensors = toTensors(tf, this.#own(weights));
      let forward: Forward | undefined;
      const run = tf.valueAndGrads((...values: TfTensor[]) => {
        const given = { ...tensors };
        for (const [i, { name }] of this.trained.entries()) given[name] = values[i] as TfTensor;
        const { loss, result } = this.#forward(given, batch, router);
        forward = result;
        // tfjs insists that the loss depends on every input: an idle expert's with weight zero.
        const all = tf.addN(values.map((value) => tf.mul(tf.sum(value), 0)));
        return tf.add(loss, all).asScalar();
      });
      const { grads } = run(this.trained.map(({ name }) => tensors[name] as TfTensor));
      const gradients = new Map<string, Tensor>();
      for (const [i, { name, shape }] of this.trained.entries())
        gradients.set(name, { shape, data: floats(grads[i] as TfTensor) });
      return { ...(forward as unknown as Forward), gradients };
    });
  }

  async evaluate(weights: Weights, batch: TrainingBatch): Promise<StepResult> {
    const tf = this.#tf;
    return this.#scoped(() => {
      const { result } = this.#forward(toTensors(tf, this.#own(weights)), batch, none);
      return { ...result, gradients: new Map() };
    });
  }

  async close(): Promise<void> {}

  /** Every tensor made in between is released, whatever is returned. */
  #scoped<T>(compute: () => T): T {
    const engine = this.#tf.engine();
    engine.startScope();
    try {
      return compute();
    } finally {
      engine.endScope();
    }
  }

  #own(weights: Weights): Weights {
    return new Map(
      this.#names.map((name) => {
        const tensor = weights.get(name);
        if (tensor === undefined) throw new Error(`no weight ${name} to train`);
        return [name, tensor];
      }),
    );
  }

  #forward(
    weights: Record<string, TfTensor>,
    batch: TrainingBatch,
    router: RouterWeights,
  ): { loss: TfTensor; result: Forward } {
    const tf = this.#tf;
    const at = { tf, arch: this.#arch, weights };
    const shape = [batch.rows, batch.seconds];
    const { logits, mixtures } = tfTasks(at, {
      latents: windowLatents(at, batch),
      times: tf.tensor(batch.times, shape),
      mask: tf.tensor(batch.mask, shape),
      task: batch.task,
    });
    const rowLoss = rowLosses(at, logits, batch);
    const supervised = tf.sum(tf.mul(rowLoss, tf.tensor1d(batch.rowWeight)));
    const { balance, z } = routerLosses(at, mixtures, batch, router.part);
    const loss = tf.addN([
      supervised,
      tf.mul(balance, router.balance),
      tf.mul(z, router.z),
    ] as TfTensor[]);
    const result = {
      loss: floats(loss)[0] as number,
      rowLoss: floats(rowLoss),
      logits: floats(logits),
      balance: floats(balance)[0] as number,
      z: floats(z)[0] as number,
      routing: routingOfRows(mixtures, batch, this.#arch),
    };
    return { loss, result };
  }
}

const floats = (tensor: TfTensor): Float32Array => Float32Array.from(tensor.dataSync());

/** `[rows, seconds, latents, width]`, picked from units and contexts, or as they come. */
function windowLatents(at: TfContext, batch: TrainingBatch): TfTensor {
  const { tf, arch } = at;
  const unit = [arch.latents, arch.width];
  const shape = [batch.rows, batch.seconds, ...unit];
  if (batch.latents !== undefined) return tf.tensor(batch.latents, shape);
  const { signal } = batch;
  if (signal === undefined) throw new Error('a batch needs signal or latents');
  const lead = [signal.units, signal.channels];
  const heard = tfTrunk(at, {
    patches: tf.tensor(signal.patches, [...lead, patchSamples]),
    positions: tf.tensor(signal.positions, [...lead, 6]),
    mask: tf.tensor(signal.channelMask, lead),
  });
  const { usual } = signal;
  const units =
    usual === undefined ? heard : tf.sub(heard, tf.tensor(usual, [signal.units, ...unit]));
  const contexts = signal.context.length / (arch.latents * arch.width);
  const context = tf.tensor(signal.context, [contexts, ...unit]);
  const index = signal.index.map((source) => Math.max(0, source));
  const picked = tf.gather(tf.concat([units, context], 0), tf.tensor1d(index, 'int32'));
  return tf.reshape(picked, shape);
}

/** `[rows]` cross-entropy over the classes of each row's own task. */
function rowLosses({ tf, arch }: TfContext, logits: Tensor2D, batch: TrainingBatch): TfTensor {
  const [rows, total] = logits.shape;
  const own = new Float32Array(rows * total);
  const first = arch.tasks.map((_, task) =>
    arch.tasks.slice(0, task).reduce((sum, { classes }) => sum + classes.length, 0),
  );
  for (const [row, task] of batch.task.entries()) {
    const from = row * total + (first[task] as number);
    own.fill(1, from, from + (arch.tasks[task]?.classes.length ?? 0));
  }
  const others = tf.mul(tf.sub(tf.tensor2d(own, [rows, total]), 1), 1e9);
  const masked = tf.add(logits, others);
  const logProbability = tf.sub(masked, tf.logSumExp(masked, 1, true));
  return tf.neg(tf.sum(tf.mul(logProbability, tf.tensor2d(batch.target, [rows, total])), 1));
}

/** Load balance (Fedus et al. 2021) and z-loss (Zoph et al. 2022), means over the MoE blocks. */
function routerLosses(
  { tf, arch }: TfContext,
  mixtures: readonly Mixture[],
  batch: TrainingBatch,
  part: StepPart | undefined,
): { balance: TfTensor; z: TfTensor } {
  const { moe, latents } = arch;
  if (moe === null) return { balance: tf.scalar(0), z: tf.scalar(0) };
  const perToken = tf.tile(tf.tensor2d(batch.mask, [batch.mask.length, 1]), [1, latents]);
  const usable = tf.reshape(perToken, [batch.mask.length * latents, 1]);
  const count = tf.maximum(tf.sum(usable), 1);
  const each = mixtures.map(({ logits, picked }, block) => {
    const [tokens, experts] = logits.shape;
    const hot = tf.oneHot(tf.tensor2d(picked, [tokens, moe.topK], 'int32'), experts);
    const served = tf.sum(tf.mul(tf.sum(hot.toFloat(), 1), usable), 0);
    const own = tf.div(served, tf.mul(count, moe.topK));
    const others = part?.others.slice(block * experts, (block + 1) * experts);
    const load =
      others === undefined ? own : tf.add(tf.mul(own, part?.share ?? 1), tf.tensor1d(others));
    const probability = tf.div(tf.sum(tf.mul(tf.softmax(logits), usable), 0), count);
    const size = tf.logSumExp(logits, 1, true);
    return {
      balance: tf.mul(tf.sum(tf.mul(load, probability)), experts),
      z: tf.div(tf.sum(tf.mul(tf.square(size), usable)), count),
    };
  });
  const mean = (values: TfTensor[]) => tf.div(tf.addN(values), values.length);
  return { balance: mean(each.map((one) => one.balance)), z: mean(each.map((one) => one.z)) };
}
