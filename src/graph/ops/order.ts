/** Choosing and sorting; without gradients (what was chosen is differentiated, not the choice). */
import type { Dim } from '../dims.js';
import type { Value } from '../graph.js';
import { div } from './elementwise.js';
import { sum } from './reduce.js';
import { reshape, takeRows } from './shape.js';

/** Indices of the `k` largest of the last axis, best first; ties go to the lower index. */
export function topK(x: Value, k: number): Value {
  const shape = [...x.shape.slice(0, -1), k];
  return x.graph.node({
    type: 'TopK',
    inputs: [x, x.graph.ints([k])],
    outputs: [
      { shape, type: x.type },
      { shape, type: 'int64' },
    ],
    attributes: { axis: -1, largest: 1, sorted: 1 },
  })[1];
}

/** Indices that sort a vector upwards; equal items keep their order. */
export function sortOrder(x: Value): Value {
  const { shape, graph } = x;
  return graph.node({
    type: 'TopK',
    inputs: [x, graph.dim(shape[0])],
    outputs: [
      { shape, type: x.type },
      { shape, type: 'int64' },
    ],
    attributes: { axis: 0, largest: 0, sorted: 1 },
  })[1];
}

export interface Dispatch {
  /** `[N*k]`: which (row, copy) pair stands at each place; pair = row * k + copy. */
  readonly order: Value;
  /** `[N*k]`: where each pair stands. */
  readonly inverse: Value;
  readonly copies: number;
}

/** `[N*k]`: of which row each place is. */
function rowOfPlace({ order, copies }: Dispatch): Value {
  return div(order, order.graph.ints([copies], 'int64', []));
}

/** `[N, width]` rows, each `copies` times, in the given order. */
export function dispatchRows(x: Value, dispatch: Dispatch): Value {
  const { inverse, copies } = dispatch;
  return x.graph.composite(
    [x],
    () => [takeRows(x, rowOfPlace(dispatch))],
    (dy) => [dy && sum(reshape(takeRows(dy, inverse), pairShape(x.shape, copies)), [1])],
  )[0];
}

/** The way back: `x` `[N, width]`, to each row of which its places' `rows` `[N*k, width]` are added. */
export function addRows(x: Value, rows: Value, dispatch: Dispatch): Value {
  const { graph, shape } = x;
  const at = reshape(rowOfPlace(dispatch), [rows.shape[0], 1]);
  return graph.node(
    {
      type: 'ScatterND',
      inputs: [x, at, rows],
      outputs: [{ shape }],
      attributes: { reduction: 'add' },
    },
    (dy) => [dy, undefined, dy && takeRows(dy, rowOfPlace(dispatch))],
  )[0];
}

function pairShape(shape: readonly Dim[], copies: number): Dim[] {
  return [shape[0], copies, ...shape.slice(1)];
}
