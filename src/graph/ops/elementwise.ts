/** Operators on each element, with NumPy broadcasting, and their gradients. */
import { broadcast, sameShape } from '../dims.js';
import type { Graph, Value } from '../graph.js';
import { type ElementType, elementCode } from '../protobuf.js';
import { sumTo } from './reduce.js';

/** A value, or a number that becomes a scalar constant. */
export type Operand = Value | number;

function lift(graph: Graph, operand: Operand): Value {
  return typeof operand === 'number' ? graph.floats(operand) : operand;
}

type BinaryRule = (dy: Value, a: Value, b: Value, y: Value) => [() => Value, () => Value];

function binary(type: string, left: Value, right: Operand, rule: BinaryRule): Value {
  const b = lift(left.graph, right);
  const outputs: Value[] = left.graph.node(
    {
      type,
      inputs: [left, b],
      outputs: [{ shape: broadcast(left.shape, b.shape), type: left.type }],
    },
    (dy) => {
      if (dy === undefined) return [];
      const [da, db] = rule(dy, left, b, outputs[0]);
      return [
        left.tracked ? sumTo(da(), left.shape) : undefined,
        b.tracked ? sumTo(db(), b.shape) : undefined,
      ];
    },
  );
  return outputs[0];
}

export function add(a: Value, b: Operand): Value {
  return binary('Add', a, b, (dy) => [() => dy, () => dy]);
}

export function sub(a: Value, b: Operand): Value {
  return binary('Sub', a, b, (dy) => [() => dy, () => neg(dy)]);
}

export function mul(a: Value, b: Operand): Value {
  return binary('Mul', a, b, (dy, x, y) => [() => mul(dy, y), () => mul(dy, x)]);
}

export function div(a: Value, b: Operand): Value {
  return binary('Div', a, b, (dy, _, y, result) => [
    () => div(dy, y),
    () => neg(div(mul(dy, result), y)),
  ]);
}

function unary(type: string, x: Value, rule?: (dy: Value, x: Value, y: Value) => Value): Value {
  const outputs: Value[] = x.graph.node(
    { type, inputs: [x], outputs: [{ shape: x.shape, type: x.type }] },
    rule && ((dy) => [dy && rule(dy, x, outputs[0])]),
  );
  return outputs[0];
}

export function neg(x: Value): Value {
  return unary('Neg', x, (dy) => neg(dy));
}

export function exp(x: Value): Value {
  return unary('Exp', x, (dy, _, y) => mul(dy, y));
}

export function log(x: Value): Value {
  return unary('Log', x, (dy, input) => div(dy, input));
}

/** Without a gradient: only what comes after the gradients asks for it. */
export function sqrt(x: Value): Value {
  return unary('Sqrt', x);
}

/** Without a gradient: it is zero wherever there is one. */
export function floor(x: Value): Value {
  return unary('Floor', x);
}

export function abs(x: Value): Value {
  return unary('Abs', x, (dy, input) => mul(dy, unary('Sign', input)));
}

export function relu(x: Value): Value {
  return unary('Relu', x, (dy, _, y) => mul(dy, unary('Sign', y)));
}

/** relu(x)^2 by itself; where a 2-D product follows, `squaredReluGemm` is cheaper. */
export function squaredRelu(x: Value): Value {
  const { graph } = x;
  let gate: Value;
  const [y] = graph.composite(
    [x],
    () => {
      gate = relu(x);
      return [mul(gate, gate)];
    },
    (dy) => [dy && mul(mul(gate, 2), dy)],
  );
  return y;
}

export type Comparison = 'Equal' | 'Less' | 'LessOrEqual' | 'Greater' | 'GreaterOrEqual';

/** Elementwise comparison, a bool value. */
export function compare(type: Comparison, a: Value, right: Operand): Value {
  const b = lift(a.graph, right);
  return a.graph.node({
    type,
    inputs: [a, b],
    outputs: [{ shape: broadcast(a.shape, b.shape), type: 'bool' }],
  })[0];
}

/** Another element type; without gradient. */
export function cast(x: Value, type: ElementType): Value {
  if (x.type === type) return x;
  return x.graph.node({
    type: 'Cast',
    inputs: [x],
    outputs: [{ shape: x.shape, type }],
    attributes: { to: elementCode[type] },
  })[0];
}

/** `condition ? a : b`; the gradient flows where each was taken, so that a NaN not taken is lost. */
export function where(condition: Value, a: Operand, b: Operand): Value {
  const { graph } = condition;
  const x = lift(graph, a);
  const y = lift(graph, b);
  const shape = broadcast(condition.shape, broadcast(x.shape, y.shape));
  return graph.node(
    { type: 'Where', inputs: [condition, x, y], outputs: [{ shape, type: x.type }] },
    (dy) => [
      undefined,
      dy && x.tracked ? sumTo(where(condition, dy, 0), x.shape) : undefined,
      dy && y.tracked ? sumTo(where(condition, 0, dy), y.shape) : undefined,
    ],
  )[0];
}

/** The value as a constant of the gradient: nothing flows back through it. */
export function stopGradient(x: Value): Value {
  return { ...x, tracked: false };
}

/** Sum of many values of one shape, as a chain of Add (`Sum` leaves WebGPU). */
export function addAll(values: readonly Value[]): Value {
  return values.reduce((a, b) => {
    if (!sameShape(a.shape, b.shape)) throw new Error('addAll: shapes differ');
    return add(a, b);
  });
}

/** Huber's loss with threshold 1 (`smooth-L1`): x^2/2 within, |x| - 1/2 beyond. */
export function smoothL1(x: Value): Value {
  const { graph } = x;
  let bounded: Value;
  const [out] = graph.composite(
    [x],
    () => {
      [bounded] = graph.node({
        type: 'Clip',
        inputs: [x, graph.floats(-1), graph.floats(1)],
        outputs: [{ shape: x.shape }],
      });
      return [mul(bounded, sub(x, mul(bounded, 0.5)))];
    },
    (dy) => [dy && mul(dy, bounded)],
  );
  return out;
}
