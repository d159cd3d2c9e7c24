/** Trunk and tasks as TensorFlow.js computes them, with the weights held as tensors. */
import type { Tensor } from '@tensorflow/tfjs';
import { patchSamples } from '../../core/tasks.js';
import type { Architecture } from '../../model/architecture.js';
import type { Weights } from '../../model/parameters.js';
import type { TaskBatch, TaskResult, TrunkBatch } from '../engine.js';
import type { Sessions } from '../sessions.js';
import type { Tf } from './backend.js';
import type { TfWeights } from './layers.js';
import { type Mixture, routingOfRows } from './mixture.js';
import { tfTasks, tfTrunk } from './model.js';

export function toTensors(tf: Tf, weights: Weights): Record<string, Tensor> {
  const out: Record<string, Tensor> = {};
  for (const [name, { shape, data }] of weights) out[name] = tf.tensor(data, [...shape], 'float32');
  return out;
}

export class TfjsSessions implements Sessions {
  readonly #tf: Tf;
  readonly #arch: Architecture;
  readonly #weights: TfWeights;

  constructor(tf: Tf, arch: Architecture, weights: Weights) {
    this.#tf = tf;
    this.#arch = arch;
    this.#weights = toTensors(tf, weights);
  }

  get #at(): { tf: Tf; arch: Architecture; weights: TfWeights } {
    return { tf: this.#tf, arch: this.#arch, weights: this.#weights };
  }

  trunk(batch: TrunkBatch): Promise<Float32Array> {
    const { rows, channels } = batch;
    const tf = this.#tf;
    return this.#read(() =>
      tfTrunk(this.#at, {
        patches: tf.tensor(batch.patches, [rows, channels, patchSamples]),
        positions: tf.tensor(batch.positions, [rows, channels, 6]),
        mask: tf.tensor(batch.mask, [rows, channels]),
      }),
    );
  }

  async tasks(batch: TaskBatch): Promise<TaskResult> {
    const { rows, seconds } = batch;
    const { latents, width } = this.#arch;
    const tf = this.#tf;
    let mixtures: readonly Mixture[] = [];
    const logits = await this.#read(() => {
      const outputs = tfTasks(this.#at, {
        latents: tf.tensor(batch.latents, [rows, seconds, latents, width]),
        times: tf.tensor(batch.times, [rows, seconds]),
        mask: tf.tensor(batch.mask, [rows, seconds]),
        task: batch.task,
      });
      mixtures = outputs.mixtures;
      return outputs.logits;
    });
    return { logits, routing: routingOfRows(mixtures, batch, this.#arch) };
  }

  async close(): Promise<void> {
    for (const tensor of Object.values(this.#weights)) tensor.dispose();
  }

  /** Runs in a tidy, so that nothing but the weights outlives a run. */
  async #read(compute: () => Tensor): Promise<Float32Array> {
    const tensor = this.#tf.tidy(compute);
    const data = await tensor.data();
    tensor.dispose();
    return new Float32Array(data);
  }
}
