/**
 * Dropless mixture for the CPU: pairs of token and expert are sorted by expert, cut at run-time
 * places, and each expert is one product of exactly its tokens (MegaBlocks' idea on plain Gemm).
 */

import { times } from '../graph/dims.js';
import type { Value } from '../graph/graph.js';
import { cast, compare, mul, where } from '../graph/ops/elementwise.js';
import { dispatchRows, sortOrder } from '../graph/ops/order.js';
import { sum } from '../graph/ops/reduce.js';
import { concat, permuteRows, reshape, split } from '../graph/ops/shape.js';
import { type FfnWeights, ffn } from './blocks.js';
import type { Mixture } from './mixture.js';
import { chooseBySorting, type Routing } from './router.js';

export const dropless: Mixture = {
  choose: chooseBySorting,
  combine: combineDropless,
};

function combineDropless(h: Value, routing: Routing, experts: readonly FfnWeights[]): Value {
  const { graph } = h;
  const [tokens, width] = h.shape;
  const { chosen } = routing;
  if (chosen === undefined) throw new Error('the dropless mixture needs chooseBySorting');
  const copies = Number(chosen.shape[1]);
  const count = experts.length;
  const pairs = times(tokens, copies);
  const good = compare('Greater', reshape(routing.usable, [tokens, 1]), 0);
  // Masked tokens sort behind all experts, into a part that no expert computes.
  const target = where(good, chosen, graph.ints([count], 'int64', []));
  const order = sortOrder(reshape(target, [pairs]));
  const inverse = sortOrder(order);
  const sizes = partSizes(routing, count, pairs);
  const names = experts.map((_, i) => graph.fresh(`expert${i}`));
  const parts = split(dispatchRows(h, { order, inverse, copies }), 0, {
    sizes: [...names, graph.fresh('unused')],
    vector: sizes,
  });
  const served = parts.map((part, i) => {
    const weights = experts[i];
    return weights === undefined ? part : ffn(part, weights);
  });
  const back = permuteRows(concat(served, 0, pairs), inverse, order);
  const weighted = mul(
    reshape(back, [tokens, copies, width]),
    reshape(routing.weights, [tokens, copies, 1]),
  );
  return sum(weighted, [1]);
}

/** int64 `[experts + 1]`: pairs of each expert, then the unused. */
function partSizes(routing: Routing, experts: number, pairs: string | number): Value {
  const { graph } = routing.hot;
  const tokens = routing.hot.shape[0];
  const usable = reshape(routing.usable, [tokens, 1, 1]);
  const real = cast(compare('Greater', usable, 0), 'float32');
  const counts = cast(sum(mul(routing.hot, real), [0, 1]), 'int64');
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
