/**
 * Layer normalisation over the last axis (Ba et al. 2016) without gain and bias: the linear that
 * follows each one here has both, and the gradient needs only the saved result.
 */
import { isKnown } from '../dims.js';
import type { Value } from '../graph.js';
import { mul, sub } from './elementwise.js';
import { mean } from './reduce.js';

export const normEpsilon = 1e-5;

export function layerNorm(x: Value): Value {
  const { graph } = x;
  const width = x.shape[x.shape.length - 1];
  if (!isKnown(width)) throw new Error('layerNorm over an axis known only at run time');
  const rows = [...x.shape.slice(0, -1), 1];
  const ones = graph.floats(Array.from({ length: width }, () => 1));
  const outputs: Value[] = graph.node(
    {
      type: 'LayerNormalization',
      inputs: [x, ones],
      outputs: x.tracked
        ? [{ shape: x.shape }, { shape: rows }, { shape: rows }]
        : [{ shape: x.shape }],
      attributes: { axis: -1, epsilon: { float: normEpsilon } },
    },
    (dy) => {
      if (dy === undefined) return [];
      const [y, , inverseDeviation] = outputs;
      const along = mean(mul(dy, y), [-1], true);
      const centred = sub(dy, mean(dy, [-1], true));
      return [mul(sub(centred, mul(y, along)), inverseDeviation)];
    },
  );
  return outputs[0];
}
