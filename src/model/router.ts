/**
 * The task-aware router: which experts serve a token, from the token and its row's task, and with
 * what weight. Weights are renormalised over the chosen, so equal experts give the dense result.
 */
import { type Dim, times } from '../graph/dims.js';
import type { Value } from '../graph/graph.js';
import { add, cast, compare, mul, stopGradient, sub, where } from '../graph/ops/elementwise.js';
import { gemm } from '../graph/ops/linear.js';
import { topK } from '../graph/ops/order.js';
import { cumulativeSum, max, ratio, sum } from '../graph/ops/reduce.js';
import { concat, expand, reshape, split } from '../graph/ops/shape.js';
import { softmax } from '../graph/ops/softmax.js';
import type { Architecture, MoeShape } from './architecture.js';
import type { Layout } from './blocks.js';
import type { Parameters } from './parameters.js';

export const routerSd = 0.02;

/** A choice of `k` experts for each token. */
export interface Choice {
  /** `[N, k, experts]`: 1 at the chosen expert; all 0 for masked tokens. */
  readonly hot: Value;
  /** `[N, k]` int64, where the choice was made by sorting; `experts` for masked tokens. */
  readonly chosen?: Value;
}

export interface Routing extends Choice {
  /** `[N, experts]`, before the choice. */
  readonly logits: Value;
  /** `[N, k]`: combine weights; 0 for masked tokens. */
  readonly weights: Value;
  /** `[N]`: 1 = token is usable. */
  readonly usable: Value;
}

export interface RouterInputs {
  /** `[N, width]`, normalised tokens. */
  readonly h: Value;
  /** `[rows, width]`. */
  readonly taskEmbedding: Value;
  readonly tokensPerRow: Dim;
}

/** Logits of one group of router columns. */
export function routerLogits(
  inputs: RouterInputs,
  moe: MoeShape,
  at: { arch: Architecture; parameters: Parameters; prefix: string },
): Value {
  const { h, taskEmbedding, tokensPerRow } = inputs;
  const { width } = at.arch;
  const byToken = gemm(h, at.parameters.get(`${at.prefix}.token`, [width, moe.experts], routerSd));
  if (!moe.taskAware) return byToken;
  const rows = taskEmbedding.shape[0];
  const weight = at.parameters.get(`${at.prefix}.task`, [width, moe.experts], routerSd);
  const byTask = reshape(gemm(taskEmbedding, weight), [rows, 1, moe.experts]);
  const shaped = reshape(byToken, [rows, tokensPerRow, moe.experts]);
  return reshape(add(shaped, byTask), [times(rows, tokensPerRow), moe.experts]);
}

/** Sorting the logits: for the CPU. */
export function chooseBySorting(logits: Value, usable: Value, k: number): Choice {
  const { graph } = logits;
  const [tokens, experts] = logits.shape;
  const good = compare('Greater', reshape(usable, [tokens, 1]), 0);
  const chosen = where(good, topK(logits, k), graph.ints([Number(experts)], 'int64', []));
  const range = Array.from({ length: Number(experts) }, (_, i) => i);
  const same = compare('Equal', reshape(chosen, [tokens, k, 1]), graph.ints(range));
  return { chosen, hot: cast(same, 'float32') };
}

/** The largest, `k` times, all in float32: for WebGPU. Ties go to the lower index here too. */
export function chooseByMaximum(logits: Value, usable: Value, k: number): Choice {
  const [tokens, experts] = logits.shape;
  const picks: Value[] = [];
  let left = stopGradient(logits);
  for (let i = 0; i < k; i++) {
    const best = cast(compare('Equal', left, max(left, 1)), 'float32');
    const first = cast(compare('Equal', cumulativeSum(best, 1), 1), 'float32');
    const hot = mul(best, first);
    picks.push(reshape(hot, [tokens, 1, experts]));
    left = sub(left, mul(hot, 1e12));
  }
  return { hot: mul(concat(picks, 1), reshape(usable, [tokens, 1, 1])) };
}

/** Combine weights of a choice: softmax over the chosen alone, 0 for masked tokens. */
export function routingOf(logits: Value, usable: Value, choice: Choice): Routing {
  const [tokens, experts] = logits.shape;
  const values = sum(mul(choice.hot, reshape(logits, [tokens, 1, experts])), [2]);
  const weights = mul(softmax(values), reshape(usable, [tokens, 1]));
  return { ...choice, logits, weights, usable };
}

/** Share of each row's usable tokens-times-k per expert, `[rows, 1, experts]`; sums to 1. */
function rowShare(routing: Routing, { rows, tokens }: Layout): Value {
  const [, k, experts] = routing.hot.shape;
  const pairs = reshape(routing.hot, [rows, times(tokens, k), experts]);
  const count = mul(sum(reshape(routing.usable, [rows, tokens, 1]), [1], true), Number(k));
  return ratio(sum(pairs, [1], true), count, 1);
}

/**
 * `[rows, moeBlocks, expertCount]`: the base's experts, then each pack's (0 in blocks where it has
 * none). Undefined for a dense model.
 */
export function routingShares(
  routings: readonly Routing[],
  layout: Layout,
  arch: Architecture,
): Value | undefined {
  const { moe, packs = [] } = arch;
  if (moe === null) return undefined;
  const blocks = [...moe.blocks].sort((a, b) => a - b);
  const shares = routings.map((routing, i) => {
    const share = rowShare(routing, layout);
    if (packs.length === 0) return share;
    const present = packs.filter((pack) => pack.blocks.includes(blocks[i]));
    const sizes = [moe.experts, ...present.map((pack) => pack.experts)];
    const [base, ...grown] = split(share, 2, { sizes });
    const columns = packs.map((pack) => {
      const at = present.indexOf(pack);
      return at >= 0 ? grown[at] : none(share, layout, pack.experts);
    });
    return concat([base, ...columns], 2);
  });
  return concat(shares, 1);
}

function none(like: Value, { rows }: Layout, experts: number): Value {
  return expand(like.graph.floats([0], [1, 1, 1]), [rows, 1, experts]);
}
