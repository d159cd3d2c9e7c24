/** Softmax and log-sum-exp over the last axis, and their gradients. */
import type { Value } from '../graph.js';
import { add, exp, log, mul, sub } from './elementwise.js';
import { max, sum } from './reduce.js';

export function softmax(x: Value): Value {
  const outputs: Value[] = x.graph.node(
    { type: 'Softmax', inputs: [x], outputs: [{ shape: x.shape }], attributes: { axis: -1 } },
    (dy) => {
      if (dy === undefined) return [];
      const y = outputs[0];
      return [mul(y, sub(dy, sum(mul(dy, y), [-1], true)))];
    },
  );
  return outputs[0];
}

/** `log sum exp`, the last axis kept as 1; `LogSoftmax` itself leaves WebGPU. */
export function logSumExp(x: Value): Value {
  const { graph } = x;
  let shifted: Value;
  let total: Value;
  const [out] = graph.composite(
    [x],
    () => {
      const top = max(x, -1);
      shifted = exp(sub(x, top));
      total = sum(shifted, [-1], true);
      return [add(log(total), top)];
    },
    (dy) => [
      dy &&
        mul(
          graph.node({ type: 'Div', inputs: [shifted, total], outputs: [{ shape: x.shape }] })[0],
          dy,
        ),
    ],
  );
  return out;
}

export function logSoftmax(x: Value): Value {
  return sub(x, logSumExp(x));
}
