/**
 * The mixture of experts, sparse: tokens are gathered by expert, each expert computes its own
 * tokens only, and a gather by the inverse order brings them back.
 */
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import type { Architecture } from '../../model/architecture.js';
import { ffn, linear, type TfContext, weight } from './layers.js';

export interface Mixture {
  /** `[tokens, width]`. */
  readonly y: Tensor;
  /** `[tokens, experts]`. */
  readonly logits: Tensor2D;
  /** Chosen experts, `[tokens, k]`; of masked tokens too. */
  readonly chosen: Int32Array;
}

interface MixtureInputs {
  /** `[tokens, width]`. */
  readonly h: Tensor;
  /** `[rows, width]`. */
  readonly taskEmbedding: Tensor;
  /** `[rows, tokensPerRow]`. */
  readonly mask: Tensor;
  readonly name: string;
}

export function sparseMixture(at: TfContext, inputs: MixtureInputs): Mixture {
  const { tf, arch } = at;
  const { h, mask, name } = inputs;
  const { moe } = arch;
  if (moe === null) throw new Error('a dense model has no mixture');
  const logits = routerLogits(at, inputs, moe.taskAware);
  const tokens = logits.shape[0];
  // The bias shifts the choice only, never the weights.
  const biased = tf.add(logits, weight(at, `${name}.router.bias`));
  const chosen = Int32Array.from(tf.topk(biased, moe.topK).indices.dataSync());
  const hot = tf.oneHot(tf.tensor2d(chosen, [tokens, moe.topK], 'int32'), moe.experts).toFloat();
  const values = tf.sum(tf.mul(hot, tf.expandDims(logits, 1)), 2);
  const weights = tf.mul(tf.softmax(values), tf.reshape(mask, [tokens, 1]));
  const { byExpert, place } = dispatch(chosen, mask.dataSync(), moe.experts, moe.topK);
  const outputs: Tensor[] = [];
  for (const [expert, rows] of byExpert.entries())
    if (rows.length > 0)
      outputs.push(ffn(at, tf.gather(h, tf.tensor1d(rows, 'int32')), `${name}.experts.${expert}`));
  // Masked tokens read the row of zeros at the end.
  const table = tf.concat([...outputs, tf.zeros([1, arch.width])], 0);
  const served = tf.gather(table, tf.tensor1d(place, 'int32'));
  const shaped = tf.reshape(served, [tokens, moe.topK, arch.width]);
  return { y: tf.sum(tf.mul(shaped, tf.expandDims(weights, 2)), 1), logits, chosen };
}

function routerLogits(at: TfContext, inputs: MixtureInputs, taskAware: boolean): Tensor2D {
  const { tf } = at;
  const { h, taskEmbedding, mask, name } = inputs;
  const byToken = linear(at, h, `${name}.router.token`);
  if (!taskAware) return byToken;
  const [rows, perRow] = mask.shape as [number, number];
  const byTask = tf.expandDims(linear(at, taskEmbedding, `${name}.router.task`), 1);
  const shaped = tf.reshape(byToken, [rows, perRow, byToken.shape[1]]);
  return tf.reshape(tf.add(shaped, byTask), byToken.shape);
}

/** Tokens of each expert, and where in their concatenation each pair of token and rank stands. */
function dispatch(
  chosen: Int32Array,
  mask: ArrayLike<number>,
  experts: number,
  topK: number,
): { byExpert: number[][]; place: Int32Array } {
  const byExpert: number[][] = Array.from({ length: experts }, () => []);
  const rank = new Int32Array(chosen.length).fill(-1);
  for (let pair = 0; pair < chosen.length; pair++) {
    const token = Math.floor(pair / topK);
    if (mask[token] > 0) rank[pair] = (byExpert[chosen[pair]] as number[]).push(token) - 1;
  }
  let total = 0;
  const start = byExpert.map((rows) => {
    total += rows.length;
    return total - rows.length;
  });
  const place = rank.map((at, pair) => (at < 0 ? total : (start[chosen[pair]] as number) + at));
  return { byExpert, place };
}

/** `[rows, moeBlocks, experts]`, as the engine's; `batch.mask` is `[rows, seconds]`. */
export function routingOfRows(
  mixtures: readonly Pick<Mixture, 'chosen'>[],
  batch: { readonly rows: number; readonly mask: Float32Array },
  { latents, moe }: Pick<Architecture, 'latents' | 'moe'>,
): Float32Array {
  const { rows } = batch;
  const experts = moe?.experts ?? 0;
  const out = new Float32Array(rows * mixtures.length * experts);
  const mask = Float32Array.from({ length: batch.mask.length * latents }, (_, token) => {
    return batch.mask[Math.floor(token / latents)];
  });
  for (const [block, { chosen }] of mixtures.entries()) {
    const share = routingShare(chosen, mask, { rows, experts });
    for (let row = 0; row < rows; row++)
      out.set(
        share.subarray(row * experts, (row + 1) * experts),
        (row * mixtures.length + block) * experts,
      );
  }
  return out;
}

/** `[rows, experts]`: share of each row's usable pairs per expert; sums to 1. */
function routingShare(
  chosen: Int32Array,
  mask: ArrayLike<number>,
  sizes: { rows: number; experts: number },
): Float32Array {
  const perRow = chosen.length / sizes.rows;
  const topK = chosen.length / mask.length;
  const share = new Float32Array(sizes.rows * sizes.experts);
  for (let row = 0; row < sizes.rows; row++) {
    let pairs = 0;
    for (let pair = row * perRow; pair < (row + 1) * perRow; pair++) {
      if (!(mask[Math.floor(pair / topK)] > 0)) continue;
      share[row * sizes.experts + chosen[pair]]++;
      pairs++;
    }
    for (let i = 0; i < sizes.experts; i++) share[row * sizes.experts + i] /= Math.max(pairs, 1);
  }
  return share;
}
