/** Sums, means and maxima over axes, and their gradients. */
import { axisOf, type Dim, isKnown, sameShape } from '../dims.js';
import type { Value } from '../graph.js';
import { div, mul } from './elementwise.js';
import { expand, reshape } from './shape.js';

function reducedShape(shape: readonly Dim[], axes: readonly number[], keep: boolean): Dim[] {
  const gone = new Set(axes);
  return shape.flatMap((dim, i) => (gone.has(i) ? (keep ? [1] : []) : [dim]));
}

/** Sum over `axes`. `keep`: they stay as 1. */
export function sum(x: Value, axes: readonly number[], keep = false): Value {
  const { graph } = x;
  const positive = axes.map((axis) => axisOf(axis, x.shape.length)).sort((a, b) => a - b);
  if (positive.length === 0) return x;
  return graph.node(
    {
      type: 'ReduceSum',
      inputs: [x, graph.ints(positive)],
      outputs: [{ shape: reducedShape(x.shape, positive, keep), type: x.type }],
      attributes: { keepdims: keep ? 1 : 0 },
    },
    (dy) => [dy && expand(reshape(dy, reducedShape(x.shape, positive, true)), x.shape)],
  )[0];
}

/** Sum of everything, a scalar. */
export function sumAll(x: Value): Value {
  return sum(
    x,
    x.shape.map((_, axis) => axis),
  );
}

/** Mean over axes whose sizes are known. */
export function mean(x: Value, axes: readonly number[], keep = false): Value {
  const positive = axes.map((axis) => axisOf(axis, x.shape.length)).sort((a, b) => a - b);
  const sizes = positive.map((axis) => x.shape[axis]);
  if (!sizes.every(isKnown)) throw new Error('mean over an axis known only at run time');
  const count = sizes.reduce((product: number, size) => product * Number(size), 1);
  return x.graph.node(
    {
      type: 'ReduceMean',
      inputs: [x],
      outputs: [{ shape: reducedShape(x.shape, positive, keep) }],
      attributes: { axes: positive, keepdims: keep ? 1 : 0 },
    },
    (dy) => [
      dy && mul(expand(reshape(dy, reducedShape(x.shape, positive, true)), x.shape), 1 / count),
    ],
  )[0];
}

/** Maximum over one axis, kept as 1; without gradient. */
export function max(x: Value, axis: number): Value {
  const positive = axisOf(axis, x.shape.length);
  return x.graph.node({
    type: 'ReduceMax',
    inputs: [x],
    outputs: [{ shape: reducedShape(x.shape, [positive], true), type: x.type }],
    attributes: { axes: [positive], keepdims: 1 },
  })[0];
}

/** Running sum along an axis. Its gradient is the running sum from the other end. */
export function cumulativeSum(x: Value, axis: number, reverse = false): Value {
  const { graph } = x;
  return graph.node(
    {
      type: 'CumSum',
      inputs: [x, graph.ints([axisOf(axis, x.shape.length)], 'int64', [])],
      outputs: [{ shape: x.shape, type: x.type }],
      attributes: { reverse: reverse ? 1 : 0 },
    },
    (dy) => [dy && cumulativeSum(dy, axis, !reverse)],
  )[0];
}

/** Undoes a broadcast: sums `x` over what was repeated to come from `shape`. */
export function sumTo(x: Value, shape: readonly Dim[]): Value {
  if (sameShape(x.shape, shape)) return x;
  const extra = x.shape.length - shape.length;
  const axes = x.shape
    .map((_, axis) => axis)
    .filter((axis) => axis < extra || (shape[axis - extra] === 1 && x.shape[axis] !== 1));
  return reshape(sum(x, axes), shape);
}

/** `total / max(count, least)`: a masked mean, finite when nothing is counted; `count` is constant. */
export function ratio(total: Value, count: Value, least: number): Value {
  const { graph } = total;
  const [bounded] = graph.node({
    type: 'Max',
    inputs: [count, graph.floats(least)],
    outputs: [{ shape: count.shape }],
  });
  return div(total, bounded);
}
