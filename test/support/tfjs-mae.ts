/** Masked autoencoding a second time, in plain TensorFlow.js, with gradients by autodiff. */
import * as tf from '@tensorflow/tfjs';
import type { Feed } from '../../src/graph/session.js';
import type { Tensor } from '../../src/graph/tensor.js';
import type { Architecture } from '../../src/model/architecture.js';
import {
  attend,
  ffn,
  fourier,
  heads,
  layerNorm,
  linear,
  spectrum,
  type TfWeights,
  tfBlocks,
  tfEmbed,
  tfPool,
  tfTrunk,
  timeRates,
  unheads,
} from './tfjs-model.js';
import { type TfStep, toTf } from './tfjs-training.js';

function huber(x: tf.Tensor): tf.Tensor {
  const size = tf.abs(x);
  const bounded = tf.minimum(size, 1);
  return tf.mul(bounded, tf.sub(size, tf.mul(bounded, 0.5)));
}

function loss(feed: (name: string) => tf.Tensor, arch: Architecture, w: TfWeights): tf.Scalar {
  const mask = feed('mask');
  const [rows, seconds] = mask.shape as [number, number];
  const units = tfTrunk(
    { patches: feed('patches'), positions: feed('positions'), mask: feed('channelMask') },
    arch,
    w,
  );
  const placed = tf.gather(units, feed('index').toInt() as tf.Tensor1D);
  const shaped = tf.reshape(placed, [rows, seconds, arch.latents, arch.width]);
  const latents = tf.mul(shaped, tf.reshape(mask, [rows, seconds, 1, 1]));
  const start = tfEmbed({ latents, times: feed('times'), mask }, null, arch, w);
  const { x } = tfBlocks(start.x, start.mask, tf.zeros([1, arch.width]), arch, w);
  const weight = feed('askWeight');
  const queries = weight.shape[1] as number;
  const asked = rows * queries;
  const place = tf.reshape(feed('askPositions'), [asked, 6]) as tf.Tensor2D;
  const column = tf.reshape(feed('askTimes'), [asked, 1]) as tf.Tensor2D;
  const rates = [0.25, 0.5, 1, 2].map((cycles) => 2 * Math.PI * cycles);
  let q: tf.Tensor = tf.addN([
    linear(fourier(place, rates, 1), w, 'mae.position.weight'),
    linear(fourier(column, timeRates, 1 / 60), w, 'mae.time.weight'),
  ]);
  q = tf.add(q, w['mae.bias'] as tf.Tensor);
  const tokens = start.mask.shape[1] as number;
  const [k, v] = tf
    .split(linear(layerNorm(x), w, 'mae.kv.weight'), 2, 1)
    .map((part) => heads(part, rows, tokens, arch.heads)) as [tf.Tensor, tf.Tensor];
  const split = heads(linear(layerNorm(q), w, 'mae.q.weight'), rows, queries, arch.heads);
  q = tf.add(q, linear(unheads(attend(split, k, v, start.mask)), w, 'mae.out.weight'));
  q = tf.add(q, ffn(layerNorm(q), w, 'mae.ffn'));
  const answer = tf.add(
    linear(layerNorm(q), w, 'mae.answer.weight'),
    w['mae.answer.bias'] as tf.Tensor,
  );
  const target = tf.reshape(feed('askPatches'), [asked, 200]) as tf.Tensor2D;
  const spectra = spectrum(target);
  const miss = tf.mean(huber(tf.sub(answer, tf.concat([target, spectra], 1))), 1);
  const patchLoss = tf.div(tf.sum(tf.mul(miss, tf.reshape(weight, [asked]))), tf.sum(weight));
  const query = tf.tile(w['mae.pool'] as tf.Tensor, [rows, 1]);
  const guess = tf.add(
    linear(tfPool(x, start.mask, query, arch), w, 'mae.pooled.weight'),
    w['mae.pooled.bias'] as tf.Tensor,
  );
  const sums = tf.sum(
    tf.mul(tf.reshape(spectra, [rows, queries, 80]), tf.expandDims(weight, 2)),
    1,
  );
  const average = tf.div(sums, tf.expandDims(tf.sum(weight, 1), 1));
  const pooledLoss = tf.mean(huber(tf.sub(guess, average)));
  return tf.add(patchLoss, tf.mul(pooledLoss, 0.1));
}

export function tfMaeStep(
  feeds: Readonly<Record<string, Feed>>,
  arch: Architecture,
  weights: ReadonlyMap<string, Tensor>,
): TfStep {
  const names = [...weights.keys()];
  const tensors = toTf(weights);
  const feed = (name: string) => {
    const { data, shape } = feeds[name] as Feed;
    return tf.tensor(Float32Array.from(data as Float32Array), [...shape]);
  };
  const run = tf.valueAndGrads((...values: tf.Tensor[]) => {
    const w: Record<string, tf.Tensor> = {};
    for (const [i, name] of names.entries()) w[name] = values[i] as tf.Tensor;
    return loss(feed, arch, w);
  });
  const { value, grads } = run(names.map((name) => tensors[name] as tf.Tensor));
  const gradients: Record<string, Float32Array> = {};
  for (const [i, name] of names.entries())
    gradients[name] = (grads[i] as tf.Tensor).dataSync() as Float32Array;
  return { loss: value.dataSync()[0] as number, gradients };
}
