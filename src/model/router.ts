/**
 * The task-aware router: which experts serve a token, from the token and its row's task, and with
 * what weight. Weights are renormalised over the chosen, so equal experts give the dense result.
 */
import { type Dim, times } from '../graph/dims.js';
import type { Value } from '../graph/graph.js';
import { add, cast, compare, mul } from '../graph/ops/elementwise.js';
import { gemm } from '../graph/ops/linear.js';
import { topK } from '../graph/ops/order.js';
import { sum } from '../graph/ops/reduce.js';
import { expand, reshape } from '../graph/ops/shape.js';
import { softmax } from '../graph/ops/softmax.js';
import type { Architecture, MoeShape } from './architecture.js';
import type { Parameters } from './parameters.js';

export const routerSd = 0.02;

export interface Routing {
  /** `[N, experts]`, before the choice. */
  readonly logits: Value;
  /** `[N, k]`, int64. */
  readonly chosen: Value;
  /** `[N, k, experts]`: 1 at the chosen expert. */
  readonly hot: Value;
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
  /** `[N]`. */
  readonly usable: Value;
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

/** Chooses. `bias` `[experts]` shifts the choice only, not the weights (Wang et al. 2024). */
export function route(logits: Value, usable: Value, k: number, bias: Value): Routing {
  const { graph } = logits;
  const [tokens, experts] = logits.shape;
  const chosen = topK(add(logits, bias), k);
  const range = Array.from({ length: Number(experts) }, (_, i) => i);
  const hot = cast(compare('Equal', reshape(chosen, [tokens, k, 1]), graph.ints(range)), 'float32');
  const values = sum(mul(hot, reshape(logits, [tokens, 1, experts])), [2]);
  const weights = mul(softmax(values), reshape(usable, [tokens, 1]));
  return { logits, chosen, hot, weights, usable };
}

/** Share of each row's usable tokens-times-k per expert, `[rows, experts]`; sums to 1. */
export function routingShare(routing: Routing, rows: Dim, tokensPerRow: Dim): Value {
  const [, k, experts] = routing.hot.shape;
  const { graph } = routing.hot;
  const usable = reshape(routing.usable, [rows, tokensPerRow, 1]);
  const perToken = reshape(sum(routing.hot, [1]), [rows, tokensPerRow, experts]);
  const served = sum(mul(perToken, usable), [1]);
  const [count] = graph.node({
    type: 'Max',
    inputs: [mul(sum(usable, [1]), Number(k)), graph.floats(1)],
    outputs: [{ shape: [rows, 1] }],
  });
  return graph.node({
    type: 'Div',
    inputs: [served, expand(count, [rows, experts])],
    outputs: [{ shape: [rows, experts] }],
  })[0];
}
