import { concatMap, from, lastValueFrom, toArray } from 'rxjs';
import { TestScheduler } from 'rxjs/testing';
import { describe, expect, test } from 'vitest';
import { Rng } from '../../src/core/rng.js';
import type { ConditionedBlock } from '../../src/signal/block.js';
import { Schedule, type Tick } from '../../src/windows/schedule.js';
import { dueTicks } from '../../src/windows/ticks.js';
import { taskSpec, threeTasks } from '../support/fake-engine.js';

function block(index: number, samples: number): ConditionedBlock {
  return {
    index,
    samples,
    channels: 1,
    data: new Float32Array(samples),
    valid: new Uint8Array(samples).fill(1),
    stampS: 100 + index / 200,
    arrivalS: 100 + (index + samples) / 200,
  };
}

function collect(blocks: ConditionedBlock[], schedule: Schedule): Promise<Tick[]> {
  return lastValueFrom(
    from(blocks).pipe(
      dueTicks(() => schedule),
      toArray(),
    ),
  );
}

const windowsOf = (ticks: Tick[], task: number): number[] =>
  ticks.filter((t) => t.windows.some((w) => w.task === task)).map((t) => t.endSample);

describe('windows', () => {
  test('end at k * hop + window samples', async () => {
    const ticks = await collect([block(0, 61 * 200)], new Schedule(threeTasks));
    expect(windowsOf(ticks, 0)).toEqual([6000, 12000]);
    expect(windowsOf(ticks, 1).slice(0, 3)).toEqual([2000, 2200, 2400]);
    expect(windowsOf(ticks, 1)).toHaveLength(52);
    expect(windowsOf(ticks, 2).slice(0, 3)).toEqual([800, 850, 900]);
    expect(windowsOf(ticks, 2)).toHaveLength((61 - 4) * 4 + 1);
    const numbers = ticks.flatMap((t) => t.windows.filter((w) => w.task === 2).map((w) => w.k));
    expect(numbers).toEqual(numbers.map((_, i) => i));
  });

  test('carry the time of their last sample', async () => {
    const ticks = await collect([block(0, 450), block(450, 450)], new Schedule(threeTasks));
    for (const tick of ticks) expect(tick.stampS).toBeCloseTo(100 + tick.endSample / 200, 9);
  });

  test('need only the seconds that lie in them', async () => {
    const schedule = new Schedule([taskSpec('a', { windowS: 2, hopS: 5 })]);
    const ticks = await collect([block(0, 12 * 200)], schedule);
    expect(ticks.filter((t) => t.needed).map((t) => t.endSample)).toEqual([
      200, 400, 1200, 1400, 2200, 2400,
    ]);
  });

  test('do not depend on how the samples were split', async () => {
    const whole = await collect([block(0, 9000)], new Schedule(threeTasks));
    for (let seed = 1; seed <= 50; seed++) {
      const rng = new Rng(seed);
      const blocks: ConditionedBlock[] = [];
      for (let at = 0; at < 9000; ) {
        const samples = Math.min(9000 - at, rng.below(400));
        blocks.push(block(at, samples));
        at += samples;
      }
      const ticks = await collect(blocks, new Schedule(threeTasks));
      const bare = (list: Tick[]) =>
        list.map(({ endSample, needed, windows }) => ({ endSample, needed, windows }));
      expect(bare(ticks), `seed ${seed}`).toEqual(bare(whole));
    }
  });

  test('over a short hole are asked for, inside a long one are not', async () => {
    const schedule = new Schedule([taskSpec('a', { windowS: 4, hopS: 1 })]);
    const short = await collect([block(0, 1000), block(2000, 1000)], schedule);
    expect(windowsOf(short, 0)).toEqual([
      800, 1000, 1200, 1400, 1600, 1800, 2000, 2200, 2400, 2600, 2800, 3000,
    ]);
    const long = await collect([block(0, 1000), block(100_000, 450)], schedule);
    expect(windowsOf(long, 0)).toEqual([800, 1000, 100_200, 100_400]);
  });

  test('come out in the frame their last sample came in', () => {
    new TestScheduler((actual, expected) => expect(actual).toEqual(expected)).run(
      ({ cold, expectObservable }) => {
        const schedule = new Schedule([taskSpec('a', { windowS: 1, hopS: 1 })]);
        const source = cold('a-b-c|', { a: block(0, 150), b: block(150, 60), c: block(210, 190) });
        const ends$ = source.pipe(
          dueTicks(() => schedule),
          concatMap((tick) => [tick.endSample]),
        );
        expectObservable(ends$).toBe('--x-y|', { x: 200, y: 400 });
      },
    );
  });

  test('follow a schedule that changes between blocks', async () => {
    let schedule = new Schedule([taskSpec('a', { windowS: 1, hopS: 1 })]);
    const ticks: Tick[] = [];
    const blocks = [block(0, 400), block(400, 400)];
    await lastValueFrom(
      from(blocks).pipe(
        concatMap((b) => {
          if (b.index > 0) schedule = new Schedule([taskSpec('b', { windowS: 2, hopS: 0.5 })]);
          return [b];
        }),
        dueTicks(() => schedule),
        concatMap((tick) => [ticks.push(tick)]),
      ),
    );
    expect(windowsOf(ticks, 0)).toEqual([200, 400, 500, 600, 700, 800]);
  });
});
