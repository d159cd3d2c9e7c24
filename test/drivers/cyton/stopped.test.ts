/**
 * A board that stands still (its program stopped, its radio out of reach) for seconds: what is lost
 * then is counted to the sample, though the packets' counter turns every 256. Time is the test's,
 * so nothing here depends on how fast the machine is.
 */
import { describe, expect, test } from 'vitest';
import { CytonDriver } from '../../../drivers/cyton/driver.js';
import { uvPerCount } from '../../../drivers/cyton/packet.js';
import { Rng } from '../../../src/core/rng.js';
import type { Clock } from '../../../src/core/time.js';
import type { FakeClock } from '../../support/fake-clock.js';
import { FakeCyton } from '../../support/fake-cyton.js';
import { FakeWorld, Listener } from '../../support/fake-serial.js';

const path = '/dev/ttyUSB0';
const seed = Number(process.env.EEGD_SEED ?? Math.floor(Math.random() * 2 ** 31));
console.info(`seed ${seed} (EEGD_SEED)`);

/** The clock of a process that can be stopped: no timer of its fires meanwhile, all do after. */
class ProcessClock implements Clock {
  readonly #world: FakeClock;
  #waiting: (() => void)[] | undefined;

  constructor(world: FakeClock) {
    this.#world = world;
  }

  now = () => this.#world.now();
  wallMs = () => this.#world.wallMs();

  setTimeout(callback: () => void, ms: number): () => void {
    return this.#world.setTimeout(() => {
      if (this.#waiting === undefined) callback();
      else this.#waiting.push(callback);
    }, ms);
  }

  stop(): void {
    this.#waiting = [];
  }

  resume(): void {
    const due = this.#waiting ?? [];
    this.#waiting = undefined;
    for (const callback of due) callback();
  }
}

async function streaming(catchUp: boolean) {
  const world = new FakeWorld();
  const clock = new ProcessClock(world.clock);
  const board = new FakeCyton(clock, world.rng);
  board.faults.catchUp = catchUp;
  world.plug(path, board);
  const listener = new Listener(new CytonDriver(`cyton:${path}`, world));
  await world.clock.until(() => listener.rows > 100);
  return { world, clock, board, listener };
}

/** Every row must lie at the index of the sample that the board made then. */
function expectTrueIndices(listener: Listener): void {
  expect(listener.error).toBeUndefined();
  for (const [i, value] of listener.column(0).entries()) {
    if (!Number.isNaN(value)) expect(value).toBe(Math.fround(i * 16 * uvPerCount(24)));
  }
}

describe('a board stopped for a while', () => {
  const rng = new Rng(seed);
  // Under the 2 s after which a board is given up.
  const stops = [2, 260, 511, 513, 1020, 1024, 1030, 1500, 1900];
  for (let i = 0; i < 20; i++) stops.push(1 + rng.below(1900));

  test.each(stops)('%d ms, then sends what it made: nothing is lost', async (ms) => {
    const { world, clock, board, listener } = await streaming(true);
    clock.stop();
    await world.clock.advance(ms);
    clock.resume();
    await world.clock.advance(1000);
    expect(board.dropped).toBe(0);
    expect(listener.gaps).toEqual([]);
    expectTrueIndices(listener);
  });

  test.each(stops)('%d ms, and has dropped what it made: that is one gap', async (ms) => {
    const { world, clock, board, listener } = await streaming(false);
    clock.stop();
    await world.clock.advance(ms);
    clock.resume();
    await world.clock.advance(1000);
    expect(listener.missing).toBe(board.dropped);
    expect(listener.gaps.length).toBe(board.dropped > 0 ? 1 : 0);
    if (ms > 260) expect(Math.abs(board.dropped - ms / 4)).toBeLessThan(3);
    expectTrueIndices(listener);
  });
});
