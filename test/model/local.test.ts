/** What the local patch of a channel is made of: near and good neighbours, and never itself. */
import { expect, test } from 'vitest';
import type { Rng } from '../../src/core/rng.js';
import { Graph } from '../../src/graph/graph.js';
import { Session } from '../../src/graph/session.js';
import { localOutputs, withLocal, withoutNeighbours } from '../../src/model/local.js';
import { parameterSpecs } from '../../src/model/serving.js';
import {
  largestDifference,
  livelyWeights,
  OpenModel,
  randomBatch,
  seeded,
  tinyDense,
  tinyLocal,
} from '../support/model-fixture.js';

interface Case {
  readonly patches: Float32Array;
  readonly positions: Float32Array;
  readonly mask: Float32Array;
}

async function local({ patches, positions, mask }: Case): Promise<Float32Array> {
  const graph = new Graph();
  const input = (name: string, rest: number[]) => graph.input(name, ['rows', 'channels', ...rest]);
  graph.output(
    'local',
    withoutNeighbours(input('patches', [200]), input('positions', [6]), input('mask', [])),
  );
  const session = await Session.open(graph.bytes());
  const lead = [1, mask.length];
  const out = await session.run({
    patches: { shape: [...lead, 200], data: patches },
    positions: { shape: [...lead, 6], data: positions },
    mask: { shape: lead, data: mask },
  });
  await session.close();
  return out.get('local')?.data ?? new Float32Array(0);
}

const noise = (rng: Rng, length: number) => Float32Array.from({ length }, () => rng.normal());

test('a channel alone, or the only good one, stays as it is', async () => {
  const { rng } = seeded();
  const patches = noise(rng, 200);
  const alone = await local({ patches, positions: noise(rng, 6), mask: Float32Array.of(1) });
  expect(alone).toEqual(patches);
  const two = new Float32Array(400);
  two.set(patches);
  const left = await local({
    patches: two,
    positions: noise(rng, 12),
    mask: Float32Array.of(1, 0),
  });
  expect(left.subarray(0, 200)).toEqual(patches);
});

test('what all channels share goes, at one place and at many', async () => {
  const { rng, seed } = seeded();
  const wave = noise(rng, 200);
  const patches = Float32Array.from({ length: 5 * 200 }, (_, i) => wave[i % 200]);
  const positions = noise(rng, 5 * 6);
  positions.copyWithin(6, 0, 6);
  for (const places of [positions, new Float32Array(30)]) {
    const out = await local({ patches, positions: places, mask: new Float32Array(5).fill(1) });
    expect(largestDifference(out, new Float32Array(1000)), `seed ${seed}`).toBeLessThan(1e-4);
  }
});

test('a neighbour half as far away counts some sixty times as much', async () => {
  const patches = new Float32Array(600);
  patches.fill(1, 200, 400);
  patches.fill(-1, 400, 600);
  const positions = new Float32Array(18);
  positions[6] = 1;
  positions[12 + 1] = 2;
  // The place of a reference says nothing of what is near the electrode.
  positions[12 + 4] = 1;
  const out = await local({ patches, positions, mask: new Float32Array(3).fill(1) });
  const [near, far] = [1.01 ** -3, 4.01 ** -3];
  expect(out[0]).toBeCloseTo(-(near - far) / (near + far), 5);
});

test('added to a model that had none, with its outputs at nothing, it changes nothing', async () => {
  const { rng, seed } = seeded();
  const drawn = livelyWeights(parameterSpecs(tinyLocal), rng);
  const weights = withLocal(tinyLocal, tinyDense, drawn);
  const batch = randomBatch(rng, { rows: 2, channels: 4, seconds: 3, tasks: 2 });
  const [plain, added] = [
    await OpenModel.open(tinyDense, weights),
    await OpenModel.open(tinyLocal, weights),
  ];
  const [before, after] = [await plain.trunk(batch), await added.trunk(batch)];
  await plain.close();
  await added.close();
  expect(largestDifference(after, before), `seed ${seed}`).toBeLessThan(1e-6);
  for (const name of localOutputs) weights.get(name)?.data.fill(0.1);
  const speaking = await OpenModel.open(tinyLocal, weights);
  expect(largestDifference(await speaking.trunk(batch), before)).toBeGreaterThan(1e-3);
  await speaking.close();
});
