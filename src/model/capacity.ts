/**
 * Mixture with a capacity, for WebGPU: each expert has a fixed number of places (GShard, Lepikhin
 * et al. 2021), so that no shape depends on the data; what finds no place is dropped, and its token
 * keeps what the residual stream holds. First choices are seated before second ones.
 */
import { type Dim, times } from '../graph/dims.js';
import type { Graph, Value } from '../graph/graph.js';
import { add, cast, compare, div, mul, squaredRelu, sub, where } from '../graph/ops/elementwise.js';
import { matmul } from '../graph/ops/linear.js';
import { cumulativeSum, sum } from '../graph/ops/reduce.js';
import {
  concat,
  expand,
  permuteSomeRows,
  reshape,
  scatter,
  transpose,
} from '../graph/ops/shape.js';
import type { FfnWeights } from './blocks.js';
import type { MixedTokens, Mixture } from './mixture.js';
import { chooseByMaximum, type Routing } from './router.js';

/** `factor`: places over the even share of pairs, for example 1.25. */
export function capacity(factor: number): Mixture {
  return {
    choose: chooseByMaximum,
    combine: (tokens, routing, experts) => combine(tokens, routing, experts, factor),
  };
}

/** int64 `[1]`: `ceil(factor * pairs / experts)`. */
function placesPerExpert(graph: Graph, pairs: Dim, experts: number, factor: number): Value {
  const hundredths = mul(graph.dim(pairs), graph.ints([Math.round(100 * factor)]));
  const up = add(hundredths, graph.ints([100 * experts - 1]));
  return div(up, graph.ints([100 * experts]));
}

interface Seats {
  /** `[k*N]` int32: place of each pair; `places` if it was dropped. */
  readonly placeOfPair: Value;
  /** `[places]` int32: pair at each place; `k*N` if it is empty. */
  readonly pairOfPlace: Value;
  readonly perExpert: Dim;
}

/** `hot` `[k*N, experts]`, pairs ordered by copy, then token; rows of masked tokens are zero. */
function seat(hot: Value, factor: number): Seats {
  const { graph } = hot;
  const [pairs, count] = hot.shape;
  const experts = Number(count);
  const each = placesPerExpert(graph, pairs, experts, factor);
  const perExpert = graph.computedDim('capacity', each);
  const places = times(perExpert, experts);
  const eachFloat = cast(each, 'float32');
  const rank = sum(mul(cumulativeSum(hot, 0), hot), [1]);
  const expert = sum(mul(hot, graph.floats(Array.from({ length: experts }, (_, i) => i))), [1]);
  const seated = mul(
    cast(compare('Greater', rank, 0), 'float32'),
    cast(compare('LessOrEqual', rank, eachFloat), 'float32'),
  );
  const place = add(mul(expert, eachFloat), sub(rank, 1));
  const nowhere = mul(eachFloat, experts);
  const chosen = where(compare('Greater', seated, 0), place, nowhere);
  const placeOfPair = cast(chosen, 'int32');
  return { placeOfPair, pairOfPlace: invert(placeOfPair, places, pairs), perExpert };
}

/** Which pair stands at each place: all dropped pairs write to one place more, which is cut off. */
function invert(placeOfPair: Value, places: Dim, pairs: Dim): Value {
  const { graph } = placeOfPair;
  const ones = expand(reshape(graph.floats(1), [1]), [pairs]);
  const numbers = cast(sub(cumulativeSum(ones, 0), 1), 'int32');
  const size = graph.computedDim('places', add(graph.dim(places), graph.ints([1])));
  const empty = expand(cast(graph.dim(pairs), 'int32'), [size]);
  // float32, because WebGPU cuts no integers.
  const filled = cast(scatter(empty, placeOfPair, numbers), 'float32');
  const [cut] = graph.node({
    type: 'Slice',
    inputs: [filled, graph.ints([0]), graph.dim(places)],
    outputs: [{ shape: [places] }],
  });
  return cast(cut, 'int32');
}

/** `[1, ...shape]` of each, side by side. */
function stack(values: readonly Value[], shape: readonly number[]): Value {
  return concat(
    values.map((value) => reshape(value, [1, ...shape])),
    0,
  );
}

function combine(
  { x, h }: MixedTokens,
  routing: Routing,
  experts: readonly FfnWeights[],
  factor: number,
): Value {
  const [tokens, width] = h.shape;
  const [, copies, count] = routing.hot.shape.map(Number);
  const pairs = times(tokens, copies);
  const [wide, ffn] = (experts[0] as FfnWeights).input.shape.map(Number);
  const byCopy = transpose(routing.hot, [1, 0, 2]);
  const seats = seat(reshape(byCopy, [pairs, count]), factor);
  const repeated = expand(reshape(h, [1, tokens, width]), [copies, tokens, width]);
  const rows = reshape(repeated, [pairs, width]);
  const seated = permuteSomeRows(rows, seats.pairOfPlace, seats.placeOfPair);
  const grouped = reshape(seated, [count, seats.perExpert, width]);
  const input = stack(
    experts.map((expert) => expert.input),
    [wide, ffn],
  );
  const bias = stack(
    experts.map((expert) => expert.bias),
    [1, ffn],
  );
  const output = stack(
    experts.map((expert) => expert.output),
    [ffn, wide],
  );
  const served = matmul(squaredRelu(add(matmul(grouped, input), bias)), output);
  const flat = reshape(served, [times(count, seats.perExpert), width]);
  const back = permuteSomeRows(flat, seats.placeOfPair, seats.pairOfPlace);
  const shares = reshape(transpose(routing.weights, [1, 0]), [copies, tokens, 1]);
  return add(x, sum(mul(reshape(back, [copies, tokens, width]), shares), [0]));
}
