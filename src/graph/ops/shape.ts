/** Operators that move values without changing them, and their gradients. */
import { axisOf, type Dim, isKnown, sameShape, showShape } from '../dims.js';
import { type Graph, sizeOf, type Value } from '../graph.js';
import { sumTo } from './reduce.js';

/**
 * The shape input of a Reshape: constant where 0 (copy) and one -1 (infer) can say it, else read
 * from the inputs when the graph runs.
 */
function shapeInput(graph: Graph, from: readonly Dim[], to: readonly Dim[]): Value {
  const unknown = to.filter((dim, i) => !isKnown(dim) && dim !== from[i]);
  if (unknown.length > 1) return graph.shapeVector(to);
  return graph.ints(to.map((dim, i) => (isKnown(dim) ? dim : dim === from[i] ? 0 : -1)));
}

export function reshape(x: Value, shape: readonly Dim[]): Value {
  if (sameShape(x.shape, shape)) return x;
  if (sizeOf(x.shape) !== sizeOf(shape))
    throw new Error(`reshape ${showShape(x.shape)} to ${showShape(shape)}: sizes differ`);
  return x.graph.node(
    {
      type: 'Reshape',
      inputs: [x, shapeInput(x.graph, x.shape, shape)],
      outputs: [{ shape, type: x.type }],
    },
    (dy) => [dy && reshape(dy, x.shape)],
  )[0];
}

export function transpose(x: Value, order: readonly number[]): Value {
  const back = order.map((_, i) => order.indexOf(i));
  return x.graph.node(
    {
      type: 'Transpose',
      inputs: [x],
      outputs: [{ shape: order.map((axis) => x.shape[axis]), type: x.type }],
      attributes: { perm: order },
    },
    (dy) => [dy && transpose(dy, back)],
  )[0];
}

/** Repeats axes of size 1. */
export function expand(x: Value, shape: readonly Dim[]): Value {
  if (sameShape(x.shape, shape)) return x;
  return x.graph.node(
    {
      type: 'Expand',
      inputs: [x, x.graph.shapeVector(shape)],
      outputs: [{ shape, type: x.type }],
    },
    (dy) => [dy && sumTo(dy, x.shape)],
  )[0];
}

/** A sum of sizes: known when all are, else a dimension of its own. */
function sumDims(graph: Graph, dims: readonly Dim[]): Dim {
  if (dims.every(isKnown)) return dims.reduce((a, b) => a + b, 0);
  return graph.fresh('n');
}

/** `size`: the result's size along `axis`, where the sum is known under that name. */
export function concat(parts: readonly Value[], axis: number, size?: Dim): Value {
  const first = parts[0];
  if (parts.length === 1) return first;
  const along = axisOf(axis, first.shape.length);
  const sizes = parts.map((part) => part.shape[along]);
  const total = size ?? sumDims(first.graph, sizes);
  const shape = first.shape.map((dim, i) => (i === along ? total : dim));
  const [out] = first.graph.node(
    {
      type: 'Concat',
      inputs: parts,
      outputs: [{ shape, type: first.type }],
      attributes: { axis: along },
    },
    (dy) => (dy === undefined ? [] : splitLike(dy, along, parts)),
  );
  first.graph.nameDims(out);
  return out;
}

function splitLike(x: Value, axis: number, parts: readonly Value[]): Value[] {
  const { graph } = x;
  const sizes = parts.map((part) => part.shape[axis]);
  return split(x, axis, { sizes, vector: graph.shapeVector(sizes) });
}

export interface Parts {
  readonly sizes: readonly Dim[];
  /** int64 vector of the sizes, when they are known only at run time. */
  readonly vector?: Value;
}

/** Cuts into consecutive parts. */
export function split(x: Value, axis: number, parts: Parts): Value[] {
  const { graph } = x;
  const along = axisOf(axis, x.shape.length);
  const outputs = graph.node(
    {
      type: 'Split',
      inputs: [x, parts.vector ?? graph.ints(parts.sizes.map(Number))],
      outputs: parts.sizes.map((size) => ({
        shape: x.shape.map((dim, i) => (i === along ? size : dim)),
        type: x.type,
      })),
      attributes: { axis: along },
    },
    (...gradients) => {
      const given = gradients.map((gradient, i) => gradient ?? zerosLike(outputs[i]));
      return [concat(given, along, x.shape[along])];
    },
  );
  for (const output of outputs) graph.nameDims(output);
  return outputs;
}

export function zerosLike(x: Value): Value {
  return expand(
    reshape(
      x.graph.floats(0),
      x.shape.map(() => 1),
    ),
    x.shape,
  );
}

/** Plain selection of rows (axis 0) by an integer vector; without gradient. */
export function takeRows(x: Value, index: Value): Value {
  return x.graph.node({
    type: 'Gather',
    inputs: [x, index],
    outputs: [{ shape: [...index.shape, ...x.shape.slice(1)], type: x.type }],
    attributes: { axis: 0 },
  })[0];
}

/**
 * Rows of a matrix in another order: `y[i] = x[index[i]]`, where `inverse` is the way back:
 * `index[inverse[j]] = j`. With a known inverse the gradient is a Gather too, no scatter.
 */
export function permuteRows(x: Value, index: Value, inverse: Value): Value {
  const { graph } = x;
  const shape = [index.shape[0], ...x.shape.slice(1)];
  return graph.node(
    { type: 'Gather', inputs: [x, index], outputs: [{ shape }], attributes: { axis: 0 } },
    (dy) => [dy && permuteRows(dy, inverse, index)],
  )[0];
}

/**
 * `permuteRows` where some rows go nowhere: an index equal to the number of rows stands for a row
 * of zeros, forwards and backwards. int32 indices, so that it stays on WebGPU.
 */
export function permuteSomeRows(x: Value, index: Value, inverse: Value): Value {
  const { graph } = x;
  return graph.composite(
    [x],
    () => {
      const none = expand(graph.floats([0], [1, 1]), [1, x.shape[1]]);
      return [takeRows(concat([x, none], 0), index)];
    },
    (dy) => [dy && permuteSomeRows(dy, inverse, index)],
  )[0];
}

/** A vector of `base` values with `updates` written at `places`; without gradient. */
export function scatter(base: Value, places: Value, updates: Value): Value {
  return base.graph.node({
    type: 'ScatterElements',
    inputs: [base, places, updates],
    outputs: [{ shape: base.shape, type: base.type }],
    attributes: { axis: 0 },
  })[0];
}
