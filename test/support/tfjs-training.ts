/** Losses and gradients of the witness model, by TensorFlow.js autodiff. */
import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '../../src/graph/tensor.js';
import type { Architecture } from '../../src/model/architecture.js';
import type { TrainingBatch } from '../../src/model/training-batch.js';
import { type TfMixture, type TfRouting, type TfWeights, tfTasks, tfTrunk } from './tfjs-model.js';

export function toTf(weights: ReadonlyMap<string, Tensor>): Record<string, tf.Tensor> {
  const out: Record<string, tf.Tensor> = {};
  for (const [name, { shape, data }] of weights) out[name] = tf.tensor(data, [...shape]);
  return out;
}

/** `[rows, seconds, latents, width]`: seconds picked from units and contexts. */
function windowLatents(batch: TrainingBatch, arch: Architecture, w: TfWeights): tf.Tensor {
  const shape = [batch.rows, batch.seconds, arch.latents, arch.width];
  if (batch.latents !== undefined) return tf.tensor(batch.latents, shape);
  const { signal } = batch;
  if (signal === undefined) throw new Error('no signal');
  const lead = [signal.units, signal.channels];
  const heard = tfTrunk(
    {
      patches: tf.tensor(signal.patches, [...lead, 200]),
      positions: tf.tensor(signal.positions, [...lead, 6]),
      mask: tf.tensor(signal.channelMask, lead),
    },
    arch,
    w,
  );
  const { usual } = signal;
  const units = usual === undefined ? heard : tf.sub(heard, tf.tensor(usual, heard.shape));
  const context = tf.tensor(signal.context, [
    signal.context.length / arch.latents / arch.width,
    arch.latents,
    arch.width,
  ]);
  const sources = tf.concat([units, context], 0);
  const index = tf.tensor1d(
    signal.index.map((source) => Math.max(0, source)),
    'int32',
  );
  const picked = tf.reshape(tf.gather(sources, index), shape);
  const mask = tf.tensor(batch.mask, [batch.rows, batch.seconds, 1, 1]);
  return tf.mul(picked, mask);
}

export function tfCrossEntropy(
  logits: tf.Tensor2D,
  batch: TrainingBatch,
  arch: Architecture,
): tf.Scalar {
  const sizes = arch.tasks.map((task) => task.classes.length);
  const total = sizes.reduce((a, b) => a + b, 0);
  const losses = [...batch.task].map((task, row) => {
    const first = sizes.slice(0, task).reduce((a, b) => a + b, 0);
    const size = sizes[task] as number;
    const own = tf.slice(logits, [row, first], [1, size]);
    const target = batch.target.slice(row * total + first, row * total + first + size);
    const loss = tf.neg(tf.sum(tf.mul(tf.logSoftmax(own), tf.tensor2d(target, [1, size]))));
    return tf.mul(loss, batch.rowWeight[row] as number);
  });
  return tf.addN(losses) as tf.Scalar;
}

function routerLoss(
  routings: readonly TfRouting[],
  tokens: tf.Tensor2D,
  k: number,
  weights: { balance: number; z: number },
): tf.Scalar {
  const count = tf.maximum(tf.sum(tokens), 1);
  const each = routings.map(({ logits, chosen }) => {
    const experts = logits.shape[1];
    const load = tf.div(tf.sum(tf.mul(chosen, tokens), 0), tf.mul(count, k));
    const probability = tf.div(tf.sum(tf.mul(tf.softmax(logits), tokens), 0), count);
    const even = tf.mul(tf.sum(tf.mul(load, probability)), experts);
    const size = tf.expandDims(tf.logSumExp(logits, 1), 1);
    const z = tf.div(tf.sum(tf.mul(tf.square(size), tokens)), count);
    return tf.add(tf.mul(even, weights.balance), tf.mul(z, weights.z));
  });
  return tf.div(tf.addN(each), routings.length) as tf.Scalar;
}

export interface TfStep {
  readonly loss: number;
  readonly gradients: Record<string, Float32Array>;
}

/** `trains`: the parameters to differentiate; the others are constants. */
export function tfStep(
  batch: TrainingBatch,
  arch: Architecture,
  weights: ReadonlyMap<string, Tensor>,
  router: { balance: number; z: number },
  mix?: TfMixture,
): TfStep {
  const names = [...weights.keys()];
  const tensors = toTf(weights);
  const run = tf.valueAndGrads((...values: tf.Tensor[]) => {
    const w: Record<string, tf.Tensor> = {};
    for (const [i, name] of names.entries()) w[name] = values[i] as tf.Tensor;
    const latents = windowLatents(batch, arch, w);
    const shape = [batch.rows, batch.seconds];
    const mask = tf.tensor(batch.mask, shape);
    const feed = { latents, times: tf.tensor(batch.times, shape), mask, task: [...batch.task] };
    const { logits, routings } = tfTasks(feed, arch, w, mix);
    const supervised = tfCrossEntropy(logits, batch, arch);
    // tfjs insists that the loss depends on every input: add them with weight zero.
    const all = tf.addN(values.map((value) => tf.mul(tf.sum(value), 0)));
    if (arch.moe === null) return tf.add(supervised, all) as tf.Scalar;
    const spread = tf.tile(tf.expandDims(mask, 2), [1, 1, arch.latents]);
    const tokens = tf.reshape(spread, [-1, 1]) as tf.Tensor2D;
    const extra = routerLoss(routings, tokens, arch.moe.topK, router);
    return tf.addN([supervised, extra, all]) as tf.Scalar;
  });
  const { value, grads } = run(names.map((name) => tensors[name] as tf.Tensor));
  const gradients: Record<string, Float32Array> = {};
  for (const [i, name] of names.entries())
    gradients[name] = (grads[i] as tf.Tensor).dataSync() as Float32Array;
  return { loss: value.dataSync()[0] as number, gradients };
}
