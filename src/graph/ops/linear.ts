/** Matrix products and their gradients: `Gemm` for all that are two-dimensional, else `MatMul`. */
import { showShape } from '../dims.js';
import type { Value } from '../graph.js';
import { add, mul, relu } from './elementwise.js';
import { sum, sumTo } from './reduce.js';
import { transpose } from './shape.js';

export interface GemmOptions {
  readonly transA?: boolean;
  readonly transB?: boolean;
  /** Added: `[N]` (a bias) or `[M, N]` (a residual). */
  readonly c?: Value;
  readonly alpha?: number;
}

/** `op(a) [M, K] x op(b) [K, N] * alpha + c`. */
export function gemm(a: Value, b: Value, options: GemmOptions = {}): Value {
  const { transA = false, transB = false, c, alpha = 1 } = options;
  const [m, ka] = transA ? [a.shape[1], a.shape[0]] : a.shape;
  const [kb, n] = transB ? [b.shape[1], b.shape[0]] : b.shape;
  if (ka !== kb || a.shape.length !== 2 || b.shape.length !== 2)
    throw new Error(`gemm ${showShape(a.shape)} x ${showShape(b.shape)}`);
  if (b.int8 !== undefined) return int8Gemm(a, b, options);
  return a.graph.node(
    {
      type: 'Gemm',
      inputs: c === undefined ? [a, b] : [a, b, c],
      outputs: [{ shape: [m, n] }],
      attributes: {
        transA: transA ? 1 : 0,
        transB: transB ? 1 : 0,
        ...(alpha === 1 ? {} : { alpha: { float: alpha } }),
      },
    },
    (dy) => {
      if (dy === undefined) return [];
      const da = () =>
        transA
          ? gemm(b, dy, { transA: transB, transB: true, alpha })
          : gemm(dy, b, { transB: !transB, alpha });
      const db = () =>
        transB
          ? gemm(dy, a, { transA: true, transB: transA, alpha })
          : gemm(a, dy, { transA: !transA, alpha });
      return [
        a.tracked ? da() : undefined,
        b.tracked ? db() : undefined,
        c?.tracked ? gradientOfAdded(dy, c) : undefined,
      ];
    },
  )[0];
}

/** As `gemm` of `a` and an int8 weight, `a` quantised by its range in that run. No gradient. */
function int8Gemm(a: Value, b: Value, { transA, transB, c, alpha }: GemmOptions): Value {
  if (b.int8 === undefined || transA || transB || alpha !== undefined)
    throw new Error(`gemm ${showShape(a.shape)} x int8 ${showShape(b.shape)}: plain products only`);
  const { values, scales } = b.int8;
  const isBias = c !== undefined && c.shape.length === 1;
  const [product] = a.graph.node({
    type: 'DynamicQuantizeMatMul',
    domain: 'com.microsoft',
    inputs: isBias ? [a, values, scales, null, c] : [a, values, scales],
    outputs: [{ shape: [a.shape[0], b.shape[1]] }],
  });
  return c === undefined || isBias ? product : add(product, c);
}

function gradientOfAdded(dy: Value, c: Value): Value {
  return c.shape.length === 1 && c.shape[0] !== 1 ? sum(dy, [0]) : sumTo(dy, c.shape);
}

/**
 * `relu(x)^2 [M, K] x b [K, N] + c`: the squared ReLU (So et al. 2021, "Primer"; as good as GELU in
 * their search) and the product behind it, as one operator. Its gradient takes the factor 2 into
 * the product, so the widest activations are passed over once, where GELU's takes eight passes.
 */
export function squaredReluGemm(x: Value, b: Value, c?: Value): Value {
  const { graph } = x;
  let gate: Value;
  let hidden: Value;
  const [y] = graph.composite(
    c === undefined ? [x, b] : [x, b, c],
    () => {
      gate = relu(x);
      hidden = mul(gate, gate);
      return [gemm(hidden, b, c === undefined ? {} : { c })];
    },
    (dy) =>
      dy === undefined
        ? []
        : [
            x.tracked ? mul(gate, gemm(dy, b, { transB: true, alpha: 2 })) : undefined,
            b.tracked ? gemm(hidden, dy, { transA: true }) : undefined,
            c?.tracked ? gradientOfAdded(dy, c) : undefined,
          ],
  );
  return y;
}

/** Swaps the last two axes. */
export function swapLast(x: Value): Value {
  const order = x.shape.map((_, i) => i);
  const last = order.length - 1;
  [order[last], order[last - 1]] = [last - 1, last];
  return transpose(x, order);
}

/** Batched product over the leading axes, which broadcast. */
export function matmul(a: Value, b: Value): Value {
  const rank = Math.max(a.shape.length, b.shape.length);
  const lead = (x: Value) => [
    ...Array.from({ length: rank - x.shape.length }, () => 1),
    ...x.shape.slice(0, -2),
  ];
  const leadB = lead(b);
  const batch = lead(a).map((dim, i) => (dim === 1 ? leadB[i] : dim));
  const m = a.shape[a.shape.length - 2];
  const n = b.shape[b.shape.length - 1];
  if (a.shape[a.shape.length - 1] !== b.shape[b.shape.length - 2])
    throw new Error(`matmul ${showShape(a.shape)} x ${showShape(b.shape)}`);
  return a.graph.node(
    { type: 'MatMul', inputs: [a, b], outputs: [{ shape: [...batch, m, n] }] },
    (dy) => [
      dy && a.tracked ? sumTo(matmul(dy, swapLast(b)), a.shape) : undefined,
      dy && b.tracked ? sumTo(matmul(swapLast(a), dy), b.shape) : undefined,
    ],
  )[0];
}
