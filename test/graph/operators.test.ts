/** Every operator's value and gradient against TensorFlow.js and against finite differences. */
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, test } from 'vitest';
import { GradientSession, gradientName } from '../../src/graph/gradient-session.js';
import { gradients } from '../../src/graph/gradients.js';
import { Graph, type Value } from '../../src/graph/graph.js';
import { attention } from '../../src/graph/ops/attention.js';
import {
  abs,
  add,
  addAll,
  compare,
  div,
  exp,
  log,
  mul,
  neg,
  relu,
  smoothL1,
  squaredRelu,
  stopGradient,
  sub,
  where,
} from '../../src/graph/ops/elementwise.js';
import { gemm, matmul, squaredReluGemm } from '../../src/graph/ops/linear.js';
import { layerNorm } from '../../src/graph/ops/norm.js';
import { addRows, dispatchRows } from '../../src/graph/ops/order.js';
import { cumulativeSum, mean, ratio, sum, sumAll } from '../../src/graph/ops/reduce.js';
import {
  concat,
  expand,
  permuteRows,
  permuteSomeRows,
  reshape,
  split,
  transpose,
} from '../../src/graph/ops/shape.js';
import { logSoftmax, logSumExp, softmax } from '../../src/graph/ops/softmax.js';
import type { Tensor } from '../../src/graph/tensor.js';
import { largestDifference, seeded } from '../support/model-fixture.js';

beforeAll(async () => {
  await tf.setBackend('cpu');
});

type T = tf.Tensor;
interface Case {
  readonly shapes: readonly (readonly number[])[];
  readonly ours: (...x: Value[]) => Value;
  readonly theirs: (...x: T[]) => T;
  /** Values away from 0 and positive. */
  readonly positive?: boolean;
}

const m = [3, 4];
const gather = (x: T, index: number[]) => tf.gather(x, tf.tensor1d(index, 'int32'));
const withZero = (x: T, index: number[]) =>
  gather(tf.concat([x, tf.zeros([1, x.shape[1] as number])], 0), index);
const layer = (x: T) => {
  const { mean: centre, variance } = tf.moments(x, -1, true);
  return tf.div(tf.sub(x, centre), tf.sqrt(tf.add(variance, 1e-5)));
};

const cases: Record<string, Case> = {
  add: { shapes: [m, m], ours: add, theirs: tf.add },
  'add, broadcast both ways': {
    shapes: [
      [2, 1, 4],
      [3, 1],
    ],
    ours: add,
    theirs: tf.add,
  },
  sub: { shapes: [m, [4]], ours: sub, theirs: tf.sub },
  mul: { shapes: [m, [3, 1]], ours: mul, theirs: tf.mul },
  'mul by itself': { shapes: [m], ours: (x) => mul(x, x), theirs: tf.square },
  div: { shapes: [m, m], ours: div, theirs: tf.div, positive: true },
  'div, broadcast': { shapes: [m, [4]], ours: div, theirs: tf.div, positive: true },
  neg: { shapes: [m], ours: neg, theirs: tf.neg },
  exp: { shapes: [m], ours: exp, theirs: tf.exp },
  log: { shapes: [m], ours: log, theirs: tf.log, positive: true },
  abs: { shapes: [m], ours: abs, theirs: tf.abs },
  relu: { shapes: [m], ours: relu, theirs: tf.relu },
  squaredRelu: { shapes: [m], ours: squaredRelu, theirs: (x) => tf.square(tf.relu(x)) },
  smoothL1: {
    shapes: [[4, 5]],
    ours: (x) => smoothL1(mul(x, 2)),
    theirs: (x) => {
      const size = tf.abs(tf.mul(x, 2));
      const bounded = tf.minimum(size, 1);
      return tf.mul(bounded, tf.sub(size, tf.mul(bounded, 0.5)));
    },
  },
  where: {
    shapes: [m, m, m],
    ours: (c, x, y) => where(compare('Greater', c, 0), x, y),
    theirs: (c, x, y) => {
      const yes = tf.tensor(
        Float32Array.from(c.dataSync(), (v) => (v > 0 ? 1 : 0)),
        m,
      );
      return tf.add(tf.mul(x, yes), tf.mul(y, tf.sub(1, yes)));
    },
  },
  addAll: { shapes: [m, m, m], ours: (...x) => addAll(x), theirs: (...x) => tf.addN(x) },
  stopGradient: {
    shapes: [m],
    ours: (x) => mul(x, stopGradient(x)),
    theirs: (x) => tf.mul(x, tf.tensor(x.dataSync(), m)),
  },
  'sum over axes': {
    shapes: [[2, 3, 4]],
    ours: (x) => sum(x, [0, 2]),
    theirs: (x) => tf.sum(x, [0, 2]),
  },
  'sum, kept': { shapes: [m], ours: (x) => sum(x, [-1], true), theirs: (x) => tf.sum(x, -1, true) },
  mean: { shapes: [[2, 3, 4]], ours: (x) => mean(x, [1]), theirs: (x) => tf.mean(x, 1) },
  ratio: {
    shapes: [[4]],
    ours: (x) => ratio(x, x.graph.floats([0.5, 2, 0, 3]), 1),
    theirs: (x) => tf.div(x, tf.tensor1d([1, 2, 1, 3])),
  },
  cumulativeSum: { shapes: [m], ours: (x) => cumulativeSum(x, 1), theirs: (x) => tf.cumsum(x, 1) },
  reshape: { shapes: [m], ours: (x) => reshape(x, [2, 6]), theirs: (x) => tf.reshape(x, [2, 6]) },
  transpose: {
    shapes: [[2, 3, 4]],
    ours: (x) => transpose(x, [2, 0, 1]),
    theirs: (x) => tf.transpose(x, [2, 0, 1]),
  },
  expand: { shapes: [[3, 1]], ours: (x) => expand(x, m), theirs: (x) => tf.tile(x, [1, 4]) },
  concat: {
    shapes: [m, [2, 4]],
    ours: (x, y) => concat([x, y], 0),
    theirs: (x, y) => tf.concat([x, y], 0),
  },
  'split, parts of unequal use': {
    shapes: [[3, 6]],
    ours: (x) => {
      const [a, , c] = split(x, 1, { sizes: [1, 2, 3] });
      return mul(a as Value, c as Value);
    },
    theirs: (x) => {
      const [a, , c] = tf.split(x, [1, 2, 3], 1);
      return tf.mul(a as T, c as T);
    },
  },
  permuteRows: {
    shapes: [m],
    ours: (x) => permuteRows(x, x.graph.ints([2, 0, 1]), x.graph.ints([1, 2, 0])),
    theirs: (x) => gather(x, [2, 0, 1]),
  },
  permuteSomeRows: {
    shapes: [m],
    ours: (x) =>
      permuteSomeRows(x, x.graph.ints([3, 2, 3, 0], 'int32'), x.graph.ints([3, 4, 1], 'int32')),
    theirs: (x) => withZero(x, [3, 2, 3, 0]),
  },
  dispatchRows: {
    shapes: [[2, 4]],
    ours: (x) =>
      dispatchRows(x, {
        order: x.graph.ints([2, 0, 3, 1]),
        inverse: x.graph.ints([1, 3, 0, 2]),
        copies: 2,
      }),
    theirs: (x) => gather(x, [1, 0, 1, 0]),
  },
  addRows: {
    shapes: [
      [2, 4],
      [4, 4],
    ],
    ours: (x, rows) =>
      addRows(x, rows, {
        order: x.graph.ints([2, 0, 3, 1]),
        inverse: x.graph.ints([1, 3, 0, 2]),
        copies: 2,
      }),
    theirs: (x, rows) => tf.add(x, tf.add(gather(rows, [1, 0]), gather(rows, [3, 2]))),
  },
  'gemm with bias': {
    shapes: [m, [4, 5], [5]],
    ours: (a, b, c) => gemm(a, b, { c }),
    theirs: (a, b, c) => tf.add(tf.matMul(a, b), c),
  },
  'gemm with residual and factor': {
    shapes: [m, [4, 5], [3, 5]],
    ours: (a, b, c) => gemm(a, b, { c, alpha: 0.5 }),
    theirs: (a, b, c) => tf.add(tf.mul(tf.matMul(a, b), 0.5), c),
  },
  squaredReluGemm: {
    shapes: [m, [4, 5], [3, 5]],
    ours: squaredReluGemm,
    theirs: (x, b, c) => tf.add(tf.matMul(tf.square(tf.relu(x)), b), c),
  },
  'squaredReluGemm without residual': {
    shapes: [m, [4, 5]],
    ours: (x, b) => squaredReluGemm(x, b),
    theirs: (x, b) => tf.matMul(tf.square(tf.relu(x)), b),
  },
  'gemm, left transposed': {
    shapes: [
      [4, 3],
      [4, 5],
    ],
    ours: (a, b) => gemm(a, b, { transA: true }),
    theirs: (a, b) => tf.matMul(a, b, true),
  },
  'gemm, right transposed': {
    shapes: [m, [5, 4]],
    ours: (a, b) => gemm(a, b, { transB: true, alpha: 2 }),
    theirs: (a, b) => tf.mul(tf.matMul(a, b, false, true), 2),
  },
  'gemm, both transposed': {
    shapes: [
      [4, 3],
      [5, 4],
    ],
    ours: (a, b) => gemm(a, b, { transA: true, transB: true }),
    theirs: (a, b) => tf.matMul(a, b, true, true),
  },
  'matmul, one side broadcast': {
    shapes: [
      [1, 2, 3, 4],
      [2, 2, 4, 5],
    ],
    ours: matmul,
    theirs: (a, b) => tf.matMul(tf.tile(a, [2, 1, 1, 1]), b),
  },
  layerNorm: { shapes: [[3, 8]], ours: layerNorm, theirs: layer },
  softmax: { shapes: [m], ours: softmax, theirs: (x) => tf.softmax(x) },
  logSumExp: { shapes: [m], ours: logSumExp, theirs: (x) => tf.logSumExp(x, 1, true) },
  logSoftmax: { shapes: [m], ours: logSoftmax, theirs: (x) => tf.logSoftmax(x) },
  'attention, shared query, one key masked': {
    shapes: [
      [1, 2, 3, 4],
      [2, 2, 5, 4],
      [2, 2, 5, 4],
    ],
    ours: (q, k, v) =>
      attention({ q, k, v, bias: q.graph.floats([0, 0, -1e9, 0, 0, 0, 0, 0, 0, 0], [2, 1, 1, 5]) }),
    theirs: (q, k, v) => {
      const bias = tf.tensor([0, 0, -1e9, 0, 0, 0, 0, 0, 0, 0], [2, 1, 1, 5]);
      const scores = tf.mul(tf.matMul(tf.tile(q, [2, 1, 1, 1]), k, false, true), 0.5);
      return tf.matMul(tf.softmax(tf.add(scores, bias)), v);
    },
  },
};

const name = (i: number) => `x${i}`;

/** Graph of `sum(case * weights)`, its gradients as outputs. */
async function open({ shapes, ours }: Case, weights: Float32Array, outShape: number[]) {
  const graph = new Graph();
  const inputs = shapes.map((shape, i) => graph.input(name(i), shape, 'float32', true));
  const y = ours(...inputs);
  expect(y.shape, 'inferred shape').toEqual(outShape);
  const weighted = mul(y, graph.floats([...weights], outShape));
  const loss = sumAll(weighted);
  graph.output('y', y);
  graph.output('loss', loss);
  for (const [i, gradient] of gradients(loss, inputs).entries())
    graph.output(gradientName(name(i)), gradient);
  return GradientSession.open({
    bytes: graph.bytes(),
    parameters: shapes.map((_, i) => name(i)),
    trained: shapes.map((shape, i) => ({ name: name(i), shape })),
    outputs: ['y', 'loss'],
  });
}

describe.each(Object.entries(cases))('%s', (title, spec) => {
  test('value and gradient', async () => {
    const { rng, seed } = seeded();
    const x = spec.shapes.map((shape) => {
      const length = shape.reduce((a, b) => a * b, 1);
      const data = Float32Array.from({ length }, () => {
        const value = rng.normal();
        // Kinks stay farther away than the finite difference reaches.
        const size = Math.max(Math.abs(value), 0.05) * (spec.positive ? 1 : Math.sign(value));
        return spec.positive ? size + 0.3 : size;
      });
      return { shape, data };
    });
    const tensors = x.map(({ data, shape }) => tf.tensor(data, [...shape]));
    const expected = spec.theirs(...tensors);
    const weights = Float32Array.from({ length: expected.size }, () => rng.normal());
    const w = tf.tensor(weights, expected.shape);
    const session = await open(spec, weights, expected.shape);
    const feed = (list: Tensor[]) => new Map(list.map((tensor, i) => [name(i), tensor]));
    const { outputs, gradients: got } = await session.run(feed(x), {});
    const y = (outputs.get('y') as Tensor).data;
    expect(largestDifference(y, expected.dataSync()), `seed ${seed}`).toBeLessThan(1e-5);
    const grads = tf.grads((...values: T[]) =>
      // tfjs insists that every input is used.
      tf.addN([
        tf.sum(tf.mul(spec.theirs(...values), w)),
        ...values.map((value) => tf.mul(tf.sum(value), 0)),
      ]),
    )(tensors) as T[];
    const copies = x.map((_, i) => (got.get(name(i)) as Tensor).data.slice());
    for (const [i, copy] of copies.entries())
      expect(
        largestDifference(copy, (grads[i] as T).dataSync()),
        `input ${i}, seed ${seed}`,
      ).toBeLessThan(1e-4);
    if (title !== 'stopGradient') await checkDifferences(session, x, copies, seed);
    await session.close();
  });
});

/** Central differences of the loss at up to six places of each input. */
async function checkDifferences(
  session: GradientSession,
  x: readonly { shape: readonly number[]; data: Float32Array }[],
  analytic: readonly Float32Array[],
  seed: number,
): Promise<void> {
  const step = 1e-2;
  for (const [i, { data }] of x.entries())
    for (let at = 0; at < data.length; at += Math.ceil(data.length / 6)) {
      const lossAt = async (change: number) => {
        const moved = x.map(({ shape, data: values }, j) => {
          const copy = values.slice();
          if (j === i) copy[at] += change;
          return [name(j), { shape, data: copy }] as const;
        });
        const { outputs } = await session.run(new Map(moved), {});
        return (outputs.get('loss') as Tensor).data[0] as number;
      };
      const slope = ((await lossAt(step)) - (await lossAt(-step))) / (2 * step);
      const exact = (analytic[i] as Float32Array)[at] as number;
      const bound = 0.02 * Math.max(1, Math.abs(exact));
      expect(Math.abs(slope - exact), `input ${i}[${at}], seed ${seed}`).toBeLessThan(bound);
    }
}
