/** The layers that trunk, task blocks and experts are made of, on TensorFlow.js. */
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import type { Architecture } from '../../model/architecture.js';
import type { Tf } from './backend.js';

export type TfWeights = Readonly<Record<string, Tensor>>;

export interface TfContext {
  readonly tf: Tf;
  readonly arch: Architecture;
  readonly weights: TfWeights;
}

export function weight({ weights }: TfContext, name: string): Tensor {
  const tensor = weights[name];
  if (tensor === undefined) throw new Error(`no weight ${name}`);
  return tensor;
}

export function linear(at: TfContext, x: Tensor, name: string): Tensor2D {
  return at.tf.matMul(x as Tensor2D, weight(at, name) as Tensor2D);
}

export function layerNorm({ tf }: TfContext, x: Tensor): Tensor {
  const { mean, variance } = tf.moments(x, -1, true);
  return tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, 1e-5)));
}

/** Feed-forward layer with squared ReLU (So et al. 2021). */
export function ffn(at: TfContext, h: Tensor, name: string): Tensor {
  const { tf } = at;
  const inner = tf.add(linear(at, h, `${name}.in.weight`), weight(at, `${name}.in.bias`));
  return linear(at, tf.square(tf.relu(inner)), `${name}.out.weight`);
}
