/**
 * The mixture of experts, sparse: tokens are gathered by expert, each expert computes its own
 * tokens only, and a gather by the inverse order brings them back.
 */
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { type Architecture, expertCount, type MoeShape } from '../../model/architecture.js';
import { packPrefix } from '../../model/row-task.js';
import { ffn, linear, type TfContext, weight } from './layers.js';
import type { TfRowTask } from './row-task.js';

export interface Mixture {
  /** `[tokens, width]`. */
  readonly y: Tensor;
  /** `[tokens, experts]`: of the base, then of each pack that has some in this block. */
  readonly logits: Tensor2D;
  /** Columns of the chosen experts, `[tokens, k]`; of masked tokens too. */
  readonly picked: Int32Array;
  /** The same experts, counted through all packs. */
  readonly chosen: Int32Array;
}

interface MixtureInputs {
  /** `[tokens, width]`. */
  readonly h: Tensor;
  readonly rowTask: TfRowTask;
  /** `[rows, tokensPerRow]`. */
  readonly mask: Tensor;
  readonly block: number;
}

/** Far below any logit: an expert that this row cannot have. */
const closed = 1e9;
/** A pack's experts serve every token of its own task (see src/model/mixture-layer.ts). */
const always = 1e3;

/** The base's experts, or those of one pack. */
interface Group {
  /** `[tokens, experts of the group]`. */
  readonly logits: Tensor2D;
  /** `[experts of the group]`: shifts the choice only, never the weights. */
  readonly shift: Tensor;
  /** Names of their weights begin so. */
  readonly prefixes: readonly string[];
  /** Place of its first expert among all of the model. */
  readonly first: number;
}

export function sparseMixture(at: TfContext, inputs: MixtureInputs): Mixture {
  const { tf, arch } = at;
  const { h, mask } = inputs;
  const { moe } = arch;
  if (moe === null) throw new Error('a dense model has no mixture');
  const groups = [baseGroup(at, inputs, moe), ...packGroups(at, inputs, moe)];
  const logits = tf.concat(
    groups.map((group) => group.logits),
    1,
  ) as Tensor2D;
  const shift = tf.concat(groups.map((group) => group.shift));
  const prefixes = groups.flatMap((group) => group.prefixes);
  const [tokens, experts] = logits.shape;
  const picked = Int32Array.from(tf.topk(tf.add(logits, shift), moe.topK).indices.dataSync());
  const hot = tf.oneHot(tf.tensor2d(picked, [tokens, moe.topK], 'int32'), experts).toFloat();
  const values = tf.sum(tf.mul(hot, tf.expandDims(logits, 1)), 2);
  const weights = tf.mul(tf.softmax(values), tf.reshape(mask, [tokens, 1]));
  const { byExpert, place } = dispatch(picked, mask.dataSync(), experts, moe.topK);
  const outputs: Tensor[] = [];
  for (const [expert, rows] of byExpert.entries())
    if (rows.length > 0)
      outputs.push(ffn(at, tf.gather(h, tf.tensor1d(rows, 'int32')), prefixes[expert] as string));
  // Masked tokens read the row of zeros at the end.
  const table = tf.concat([...outputs, tf.zeros([1, arch.width])], 0);
  const served = tf.gather(table, tf.tensor1d(place, 'int32'));
  const shaped = tf.reshape(served, [tokens, moe.topK, arch.width]);
  const places = groups.flatMap(({ prefixes: own, first }) => own.map((_, i) => first + i));
  const chosen = picked.map((expert) => places[expert] as number);
  return { y: tf.sum(tf.mul(shaped, tf.expandDims(weights, 2)), 1), logits, picked, chosen };
}

const expertNames = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, i) => `${prefix}.experts.${i}`);

function baseGroup(at: TfContext, inputs: MixtureInputs, moe: MoeShape): Group {
  const name = `task.blocks.${inputs.block}`;
  return {
    logits: routerLogits(at, inputs, moe.taskAware),
    shift: weight(at, `${name}.router.bias`),
    prefixes: expertNames(name, moe.experts),
    first: 0,
  };
}

/** Of packs that have experts in this block; closed to the rows of other tasks. */
function packGroups(at: TfContext, inputs: MixtureInputs, moe: MoeShape): Group[] {
  const { tf, arch } = at;
  const [rows, perRow] = inputs.mask.shape as [number, number];
  const groups: Group[] = [];
  let first = moe.experts;
  for (const [i, { name, blocks, experts }] of (arch.packs ?? []).entries()) {
    if (blocks.includes(inputs.block)) {
      const prefix = `${packPrefix(name)}.blocks.${inputs.block}`;
      const own = tf.reshape(inputs.rowTask.packs[i] as Tensor, [rows, 1, 1]);
      const raw = tf.add(
        linear(at, inputs.h, `${prefix}.router.token`),
        weight(at, `${prefix}.router.task`),
      );
      const shut = tf.mul(tf.sub(own, 1), closed);
      const logits = tf.add(tf.reshape(raw, [rows, perRow, experts]), shut);
      groups.push({
        logits: tf.reshape(logits, [rows * perRow, experts]),
        shift: tf.fill([experts], always),
        prefixes: expertNames(prefix, experts),
        first,
      });
    }
    first += experts;
  }
  return groups;
}

function routerLogits(at: TfContext, inputs: MixtureInputs, taskAware: boolean): Tensor2D {
  const { tf } = at;
  const { h, rowTask, mask } = inputs;
  const name = `task.blocks.${inputs.block}`;
  const byToken = linear(at, h, `${name}.router.token`);
  if (!taskAware) return byToken;
  const [rows, perRow] = mask.shape as [number, number];
  const byTask = tf.expandDims(linear(at, rowTask.embedding, `${name}.router.task`), 1);
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
  arch: Architecture,
): Float32Array {
  const { rows } = batch;
  const { latents } = arch;
  const experts = expertCount(arch);
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
