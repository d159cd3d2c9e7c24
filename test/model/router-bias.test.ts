/** Balance by bias: the choice evens out, and the combine weights do not see the bias. */
import { expect, test } from 'vitest';
import type { Tensor } from '../../src/graph/tensor.js';
import { balanceByBias } from '../../src/model/router-bias.js';
import { parameterSpecs } from '../../src/model/serving.js';
import {
  livelyWeights,
  OpenModel,
  randomBatch,
  seeded,
  tinyMoe,
} from '../support/model-fixture.js';

test('moves every expert of every block towards its even share', () => {
  const { rng } = seeded();
  const weights = livelyWeights(parameterSpecs(tinyMoe), rng);
  const bias = (block: number) => (weights.get(`task.blocks.${block}.router.bias`) as Tensor).data;
  bias(0).fill(0);
  bias(1).fill(0);
  const rows = [0.7, 0.1, 0.1, 0.1, 0.25, 0.25, 0.25, 0.25, 0.5, 0.3, 0.1, 0.1, 0.4, 0.2, 0.2, 0.2];
  balanceByBias(weights, tinyMoe, Float32Array.from(rows), 0.5);
  expect([...bias(0)]).toEqual([-0.5, 0.5, 0.5, 0.5]);
  expect([...bias(1)]).toEqual([-0.5, 0.5, 0.5, 0.5]);
});

test('repeated, it opens an expert that nobody chose', async () => {
  const { rng, seed } = seeded();
  const weights = livelyWeights(parameterSpecs(tinyMoe), rng);
  for (const block of [0, 1])
    (weights.get(`task.blocks.${block}.router.bias`) as Tensor).data.set([-3, 0, 0, 0]);
  const batch = randomBatch(rng, { rows: 8, channels: 2, seconds: 4, tasks: 2 });
  const loadOf = async () => {
    const model = await OpenModel.open(tinyMoe, weights);
    const { routing } = await model.tasks(await model.trunk(batch), batch);
    await model.close();
    return routing;
  };
  const worst = (routing: Float32Array) => {
    const load = [0, 0, 0, 0];
    for (const [i, share] of routing.entries()) load[i % 4] += share / 16;
    return Math.max(...load) - Math.min(...load);
  };
  const before = await loadOf();
  let after = before;
  for (let step = 0; step < 25; step++) {
    balanceByBias(weights, tinyMoe, after, 0.15);
    after = await loadOf();
  }
  expect(worst(after), `seed ${seed}`).toBeLessThan(worst(before));
});
