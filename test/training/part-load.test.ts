/** The balance loss of a step that is run in parts is that of the whole mixed step. */
import { describe, expect, test } from 'vitest';
import { parameterSpecs } from '../../src/model/serving.js';
import type { TrainingBatch } from '../../src/model/training-batch.js';
import { TrainingSession } from '../../src/model/training-session.js';
import { PartLoads, usableSeconds } from '../../src/training/part-load.js';
import { largestDifference, livelyWeights, seeded, tinyMoe } from '../support/model-fixture.js';
import { trainingBatch } from '../support/training-batch.js';

/** Rows of a batch with a frozen trunk. */
function rowsOf(batch: TrainingBatch, from: number, to: number): TrainingBatch {
  const cut = <T extends Float32Array | Int32Array>(array: T): T => {
    const size = array.length / batch.rows;
    return array.slice(from * size, to * size) as T;
  };
  return {
    rows: to - from,
    seconds: batch.seconds,
    times: cut(batch.times),
    mask: cut(batch.mask),
    task: cut(batch.task),
    target: cut(batch.target),
    rowWeight: cut(batch.rowWeight),
    latents: cut(batch.latents ?? new Float32Array(0)),
  };
}

function frozenBatch(rng: ReturnType<typeof seeded>['rng']): TrainingBatch {
  const { signal: _signal, ...rest } = trainingBatch(rng, tinyMoe);
  const length = rest.rows * rest.seconds * tinyMoe.latents * tinyMoe.width;
  return { ...rest, latents: Float32Array.from({ length }, () => rng.normal()) };
}

describe('a mixed step in two parts', () => {
  test('has the gradients of one batch, once the loads are known', async () => {
    const { rng, seed } = seeded();
    const specs = parameterSpecs(tinyMoe).filter(({ name }) => !name.startsWith('trunk.'));
    const weights = livelyWeights(specs, rng);
    const batch = frozenBatch(rng);
    const whole = await TrainingSession.open(tinyMoe, { trunk: false });
    const expected = await whole.step(weights, batch, { balance: 3, z: 0.2 });
    const session = await TrainingSession.open(tinyMoe, { trunk: false, parts: true });
    const parts = new Map([
      ['narrow', rowsOf(batch, 0, 1)],
      ['wide', rowsOf(batch, 1, batch.rows)],
    ]);
    const tokens = new Map([...parts].map(([kind, part]) => [kind, usableSeconds(part)]));
    const loads = new PartLoads(tinyMoe);
    const step = async () => {
      const sums = new Map<string, Float32Array>();
      let balance = 0;
      for (const [kind, part] of parts) {
        const given = loads.part(kind, tokens);
        const router = { balance: 3 * given.share, z: 0.2 * given.share, part: given };
        const result = await session.step(weights, part, router);
        balance += given.share * result.balance;
        loads.ran(kind, part, result.routing);
        for (const [name, { data }] of result.gradients) {
          const sum = sums.get(name) ?? new Float32Array(data.length);
          sums.set(
            name,
            sum.map((value, i) => value + (data[i] as number)),
          );
        }
      }
      return { sums, balance };
    };
    const worst = ({ sums }: Awaited<ReturnType<typeof step>>) =>
      Math.max(
        ...[...expected.gradients].map(([name, { data }]) =>
          largestDifference(sums.get(name) ?? [], data),
        ),
      );
    const first = await step();
    const second = await step();
    expect(worst(second), `seed ${seed}`).toBeLessThan(1e-5);
    expect(second.balance).toBeCloseTo(expected.balance, 5);
    // The first step can only guess the load of the part that comes later.
    expect(worst(first), `seed ${seed}`).toBeGreaterThan(worst(second));
    await whole.close();
    await session.close();
  });

  test('the load is that of tokens, not of rows; what is saved is gone on with', () => {
    const arch = { ...tinyMoe, moe: { blocks: [0], experts: 2, topK: 1, taskAware: true } };
    const loads = new PartLoads(arch);
    const tokens = new Map([
      ['narrow', 9],
      ['wide', 1],
    ]);
    expect([...loads.part('wide', tokens).others].map((x) => x.toFixed(3))).toEqual([
      '0.450',
      '0.450',
    ]);
    const mask = Float32Array.of(1, 1, 1, 1, 0, 0);
    const batch = { rows: 2, seconds: 3, mask } as TrainingBatch;
    // Row 0: three usable seconds, all to expert 0; row 1: one, to expert 1.
    loads.ran('narrow', batch, Float32Array.of(1, 0, 0, 1));
    const again = new PartLoads(arch);
    again.restore(loads.save());
    for (const one of [loads, again]) {
      const { share, others } = one.part('wide', tokens);
      expect(share).toBeCloseTo(0.1);
      expect(others[0]).toBeCloseTo(0.9 * 0.75);
      expect(others[1]).toBeCloseTo(0.9 * 0.25);
    }
    // Alone, a part needs nobody's load.
    expect(loads.part('wide', new Map([['wide', 4]]))).toEqual({
      share: 1,
      others: new Float32Array(2),
    });
  });
});
