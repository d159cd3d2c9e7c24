/** Losses of supervised training: cross-entropy over a row's own classes, and the router's. */
import type { Value } from '../graph/graph.js';
import { add, addAll, mul, neg, stopGradient, sub } from '../graph/ops/elementwise.js';
import { gemm } from '../graph/ops/linear.js';
import { ratio, sum, sumAll } from '../graph/ops/reduce.js';
import { reshape } from '../graph/ops/shape.js';
import { logSoftmax, logSumExp, softmax } from '../graph/ops/softmax.js';
import type { Architecture } from './architecture.js';
import type { Routing } from './router.js';
import { taskHot } from './row-task.js';

/** `[tasks, classesTotal]`: 1 where a class belongs to the task. */
function classesOfTask(arch: Architecture): { data: number[]; total: number } {
  const total = arch.tasks.reduce((count, task) => count + task.classes.length, 0);
  const data = new Array<number>(arch.tasks.length * total).fill(0);
  let first = 0;
  for (const [i, task] of arch.tasks.entries()) {
    data.fill(1, i * total + first, i * total + first + task.classes.length);
    first += task.classes.length;
  }
  return { data, total };
}

/**
 * `[rows]` cross-entropy of each row's softmax over the classes of its own task, against `target`
 * `[rows, classesTotal]` (label smoothing is in the target).
 */
export function rowLosses(logits: Value, target: Value, task: Value, arch: Architecture): Value {
  const { data, total } = classesOfTask(arch);
  const hot = taskHot(task, [...arch.tasks.keys()]);
  const own = gemm(hot, logits.graph.floats(data, [arch.tasks.length, total]));
  const masked = add(logits, mul(sub(own, 1), 1e9));
  return neg(sum(mul(logSoftmax(masked), target), [1]));
}

export interface RouterLosses {
  /** Experts times sum of load share and mean probability (Fedus et al. 2021): 1 if even. */
  readonly balance: Value;
  /** Mean squared log-sum-exp of the router's logits (Zoph et al. 2022). */
  readonly z: Value;
}

/** Where a batch is one part of a mixed step: what the balance is over. */
export interface MixedLoad {
  /** `[experts]` for each MoE block: load shares of the other parts, times their share of tokens. */
  readonly others: readonly Value[];
  /** Scalar: this part's share of the step's usable tokens. */
  readonly share: Value;
}

/** Mean over the MoE blocks, each over all usable tokens of the batch, or of the mixed step. */
export function routerLosses(routings: readonly Routing[], mixed?: MixedLoad): RouterLosses {
  const each = routings.map((routing, block) => {
    const [tokens, copies, experts] = routing.hot.shape;
    const usable = reshape(routing.usable, [tokens, 1]);
    const count = sumAll(usable);
    const served = ratio(sum(routing.hot, [0, 1]), count, 1);
    const own = mul(served, 1 / Number(copies));
    const load = mixed === undefined ? own : add(mul(own, mixed.share), mixed.others[block]);
    const probability = ratio(sum(mul(softmax(routing.logits), usable), [0]), count, 1);
    const size = logSumExp(routing.logits);
    return {
      balance: mul(sumAll(mul(stopGradient(load), probability)), Number(experts)),
      z: ratio(sumAll(mul(mul(size, size), usable)), count, 1),
    };
  });
  const share = 1 / each.length;
  return {
    balance: mul(addAll(each.map((one) => one.balance)), share),
    z: mul(addAll(each.map((one) => one.z)), share),
  };
}

/** Mean of `x` weighted by `weight` of the same shape; 0 if all weights are 0. */
export function weightedMean(x: Value, weight: Value): Value {
  return ratio(sumAll(mul(x, weight)), sumAll(weight), 1e-9);
}
