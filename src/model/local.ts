/**
 * What an electrode sees and its neighbours do not: its patch minus the distance-weighted mean of
 * the others (a local, or surface, Laplacian: Hjorth 1975; McFarland et al. 1997). What the skull
 * smears over the whole head goes; what lies under the electrode stays.
 */
import type { Value } from '../graph/graph.js';
import { compare, div, mul, sub, where } from '../graph/ops/elementwise.js';
import { matmul } from '../graph/ops/linear.js';
import { cumulativeSum, ratio, sum } from '../graph/ops/reduce.js';
import { expand, reshape } from '../graph/ops/shape.js';

/** Added to squared distances, in head radii: two electrodes at one place stay finite. */
const nearest = 0.01;
/** Below the weight of electrodes a hundred head radii apart. */
const weightFloor = 1e-12;

/**
 * `[rows, channels, 200]`: each patch minus its neighbours', weighted by 1 / (d^2 + 0.01)^3 of the
 * distance between the active electrodes. Masked channels weigh nothing; a channel without any
 * other stays as it is. `patches` and `positions` `[rows, channels, 6]` hold zeros where masked.
 */
export function localPatches(patches: Value, positions: Value, mask: Value): Value {
  const { graph } = patches;
  const [rows, channels] = mask.shape;
  const active = mul(positions, graph.floats([1, 1, 1, 0, 0, 0]));
  const apart = sub(
    reshape(active, [rows, channels, 1, 6]),
    reshape(active, [rows, 1, channels, 6]),
  );
  const distance = sum(mul(apart, apart), [-1]);
  const near = div(graph.floats(1), sub(distance, -nearest));
  const weights = mul(
    where(others(mask), mul(near, mul(near, near)), 0),
    reshape(mask, [rows, 1, channels]),
  );
  const total = sum(weights, [-1], true);
  return sub(patches, ratio(matmul(weights, patches), total, weightFloor));
}

/** bool `[rows, channels, channels]`: not the channel itself. */
function others(mask: Value): Value {
  const [rows, channels] = mask.shape;
  const number = cumulativeSum(expand(mask.graph.floats([1], [1, 1]), mask.shape), 1);
  const apart = sub(reshape(number, [rows, channels, 1]), reshape(number, [rows, 1, channels]));
  return compare('Greater', mul(apart, apart), 0.5);
}
