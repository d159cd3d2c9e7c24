/**
 * Scaled dot-product attention (Vaswani et al. 2017) with an additive bias, as one operator: its
 * gradient takes the row sums from the output, not from the scores (Dao et al. 2022, section 3.1).
 */
import type { Dim } from '../dims.js';
import type { Value } from '../graph.js';
import { add, mul, sub } from './elementwise.js';
import { matmul, swapLast } from './linear.js';
import { sum, sumTo } from './reduce.js';
import { softmax } from './softmax.js';

export interface AttentionInputs {
  /** `[rows or 1, heads, queries, size]`. */
  readonly q: Value;
  /** `[rows, heads, keys, size]`. */
  readonly k: Value;
  readonly v: Value;
  /** Added to the scores, `[rows, 1, 1, keys]`: 0, or very negative where masked. */
  readonly bias: Value;
}

/** Returns `[rows, heads, queries, size]`. */
export function attention({ q, k, v, bias }: AttentionInputs): Value {
  const size: Dim = q.shape[3];
  const scale = 1 / Math.sqrt(Number(size));
  let weights: Value;
  const outputs: Value[] = q.graph.composite(
    [q, k, v],
    () => {
      const scores = add(matmul(mul(q, scale), swapLast(k)), bias);
      weights = softmax(scores);
      return [matmul(weights, v)];
    },
    (dy) => {
      if (dy === undefined) return [];
      const dv = matmul(swapLast(weights), dy);
      const along = sum(mul(dy, outputs[0]), [-1], true);
      const dScores = mul(weights, sub(matmul(dy, swapLast(v)), along));
      const dq = mul(matmul(dScores, k), scale);
      const dk = matmul(swapLast(dScores), mul(q, scale));
      return [sumTo(dq, q.shape), dk, dv];
    },
  );
  return outputs[0];
}
