/** AdamW, clipping, accumulation, averaging and the schedule, against their definitions. */
import * as tf from '@tensorflow/tfjs';
import { expect, test } from 'vitest';
import { AdamW } from '../../src/graph/adamw.js';
import type { Tensor } from '../../src/graph/tensor.js';
import {
  Accumulator,
  clipGlobalNorm,
  globalNorm,
  learningRate,
  WeightAverage,
} from '../../src/graph/training-arithmetic.js';
import { largestDifference, seeded } from '../support/model-fixture.js';

const tensor = (...values: number[]): Tensor => ({
  shape: [values.length],
  data: Float32Array.from(values),
});

test('without decay it steps as the Adam of TensorFlow.js', async () => {
  await tf.setBackend('cpu');
  const { rng, seed } = seeded();
  const start = Float32Array.from({ length: 20 }, () => rng.normal());
  const variable = tf.variable(tf.tensor1d(start));
  const theirs = tf.train.adam(0.01, 0.9, 0.98, 1e-8);
  const weights = new Map([['w', { shape: [20], data: start.slice() }]]);
  const ours = new AdamW({ weightDecay: 0 });
  for (let step = 0; step < 10; step++) {
    const gradient = Float32Array.from({ length: 20 }, () => rng.normal());
    theirs.applyGradients([{ name: variable.name, tensor: tf.tensor1d(gradient) }]);
    ours.step(weights, new Map([['w', { shape: [20], data: gradient }]]), 0.01);
  }
  const got = (weights.get('w') as Tensor).data;
  expect(largestDifference(got, variable.dataSync()), `seed ${seed}`).toBeLessThan(1e-5);
});

test('decay is decoupled: with zero gradients only matrices shrink', () => {
  const weights = new Map<string, Tensor>([
    ['matrix', { shape: [1, 2], data: Float32Array.of(2, -4) }],
    ['bias', tensor(2, -4)],
  ]);
  const zero = new Map<string, Tensor>([
    ['matrix', { shape: [1, 2], data: new Float32Array(2) }],
    ['bias', tensor(0, 0)],
  ]);
  new AdamW({ weightDecay: 0.1 }).step(weights, zero, 0.5);
  expect([...(weights.get('matrix') as Tensor).data]).toEqual([
    Math.fround(1.9),
    Math.fround(-3.8),
  ]);
  expect([...(weights.get('bias') as Tensor).data]).toEqual([2, -4]);
});

test('a saved state continues as if never stopped', () => {
  const run = (restart: boolean) => {
    const weights = new Map([['w', tensor(1, 2, 3)]]);
    let adam = new AdamW();
    for (let step = 0; step < 6; step++) {
      if (restart && step === 3) {
        const saved = adam.save();
        adam = new AdamW();
        adam.restore(saved);
      }
      const gradient = tensor(Math.sin(step), 2, step - 3);
      adam.step(weights, new Map([['w', gradient]]), () => 0.1);
    }
    return [...(weights.get('w') as Tensor).data];
  };
  expect(run(true)).toEqual(run(false));
});

test('clipping keeps direction and bounds the norm over all tensors', () => {
  const gradients = new Map([
    ['a', tensor(3, 0)],
    ['b', tensor(0, 4)],
  ]);
  expect(clipGlobalNorm(gradients, 1)).toBe(5);
  expect(globalNorm(gradients)).toBeCloseTo(1, 6);
  expect((gradients.get('b') as Tensor).data[1]).toBeCloseTo(0.8, 6);
  expect(clipGlobalNorm(gradients, 10)).toBeCloseTo(1, 6);
  expect((gradients.get('b') as Tensor).data[1]).toBeCloseTo(0.8, 6);
  expect(clipGlobalNorm(new Map([['a', tensor(Number.NaN)]]), 1)).toBeNaN();
});

test('accumulated gradients are the mean, and start anew', () => {
  const accumulator = new Accumulator();
  accumulator.add(new Map([['a', tensor(1, 2)]]));
  accumulator.add(new Map([['a', tensor(3, 6)]]));
  expect([...(accumulator.take().get('a') as Tensor).data]).toEqual([2, 4]);
  accumulator.add(new Map([['a', tensor(5, 5)]]));
  expect([...(accumulator.take().get('a') as Tensor).data]).toEqual([5, 5]);
});

test('the weight average follows, slowly at the end', () => {
  const average = new WeightAverage(new Map([['a', tensor(0)]]), 0.99);
  const value = () => (average.weights.get('a') as Tensor).data[0] as number;
  average.update(new Map([['a', tensor(1)]]));
  expect(value()).toBeCloseTo(0.9, 6);
  for (let i = 0; i < 2000; i++) average.update(new Map([['a', tensor(1)]]));
  const before = value();
  average.update(new Map([['a', tensor(0)]]));
  expect(value()).toBeCloseTo(before * 0.99, 5);
});

test('the schedule warms up, falls as a cosine, and warms up again', () => {
  const plain = { peak: 1, floor: 0.1, warmupSteps: 10, totalSteps: 110 };
  expect(learningRate(plain, 0)).toBeCloseTo(0.1);
  expect(learningRate(plain, 9)).toBeCloseTo(1);
  expect(learningRate(plain, 60)).toBeCloseTo(0.55);
  expect(learningRate(plain, 110)).toBeCloseTo(0.1);
  expect(learningRate(plain, 500)).toBeCloseTo(0.1);
  const again = { ...plain, totalSteps: 220, rewarmAt: 110 };
  expect(learningRate(again, 109)).toBeLessThan(0.11);
  expect(learningRate(again, 119)).toBeCloseTo(1);
  expect(learningRate(again, 220)).toBeCloseTo(0.1);
});
