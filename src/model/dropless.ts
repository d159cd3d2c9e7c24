/**
 * Dropless mixture for the CPU: pairs of token and expert are sorted by expert, cut at run-time
 * places, and each expert is one product of exactly its tokens (MegaBlocks' idea on plain Gemm).
 */
import { type Dim, times } from '../graph/dims.js';
import type { Value } from '../graph/graph.js';
import { cast, mul } from '../graph/ops/elementwise.js';
import { addRows, dispatchRows, sortOrder } from '../graph/ops/order.js';
import { sum } from '../graph/ops/reduce.js';
import { concat, permuteRows, reshape, split } from '../graph/ops/shape.js';
import { type FfnWeights, ffn } from './blocks.js';
import type { MixedTokens, Mixture } from './mixture.js';
import { chooseBySorting, type Routing } from './router.js';

export const dropless: Mixture = {
  choose: chooseBySorting,
  combine: combineDropless,
};

function combineDropless(
  { x, h }: MixedTokens,
  routing: Routing,
  experts: readonly FfnWeights[],
): Value {
  const { graph } = h;
  const { chosen } = routing;
  if (chosen === undefined) throw new Error('the dropless mixture needs chooseBySorting');
  const [tokens, copies] = [chosen.shape[0], Number(chosen.shape[1])];
  const pairs = times(tokens, copies);
  // Masked tokens sort behind all experts, into a part that no expert computes.
  const order = sortOrder(reshape(chosen, [pairs]));
  const dispatch = { order, inverse: sortOrder(order), copies };
  const names = experts.map((_, i) => graph.fresh(`expert${i}`));
  const parts = split(dispatchRows(h, dispatch), 0, {
    sizes: [...names, graph.fresh('unused')],
    vector: partSizes(routing, experts.length, pairs),
  });
  const served = parts.map((part, i) => {
    const weights = experts[i];
    return weights === undefined ? part : ffn(part, weights);
  });
  const weights = permuteRows(reshape(routing.weights, [pairs, 1]), order, dispatch.inverse);
  return addRows(x, mul(concat(served, 0, pairs), weights), dispatch);
}

/** int64 `[experts + 1]`: pairs of each expert, then the unused. */
function partSizes(routing: Routing, experts: number, pairs: Dim): Value {
  const { graph } = routing.hot;
  const counts = cast(sum(routing.hot, [0, 1]), 'int64');
  const used = sum(counts, [0], true);
  const [unused] = graph.node({
    type: 'Sub',
    inputs: [graph.dim(pairs), used],
    outputs: [{ shape: [1], type: 'int64' }],
  });
  return graph.node({
    type: 'Concat',
    inputs: [counts, unused],
    outputs: [{ shape: [experts + 1], type: 'int64' }],
    attributes: { axis: 0 },
  })[0];
}
