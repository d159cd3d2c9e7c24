/** Each family from address to microvolts, against its fake board; time is the test's. */
import { describe, expect, test } from 'vitest';
import { ChordsDriver } from '../../../drivers/chords/driver.js';
import { FreeEeg32Driver } from '../../../drivers/freeeeg32/driver.js';
import { uvPerCount as freeEegUv } from '../../../drivers/freeeeg32/packet.js';
import { OpenEegDriver } from '../../../drivers/openeeg/driver.js';
import type { SerialWorld } from '../../../drivers/serial/session.js';
import { ThinkGearDriver } from '../../../drivers/thinkgear/driver.js';
import { uvPerCount as thinkgearUv } from '../../../drivers/thinkgear/packet.js';
import type { FakeBoard } from '../../support/fake-board.js';
import {
  FakeChords,
  FakeFreeEeg32,
  FakeOpenEeg,
  FakeThinkGear,
} from '../../support/fake-boards.js';
import { FakeWorld, Listener } from '../../support/fake-serial.js';

const path = '/dev/ttyUSB0';

interface Case {
  readonly name: string;
  readonly channels: number;
  readonly rateHz: number;
  driver(world: SerialWorld, options?: string): Listener;
  board(world: FakeWorld): FakeBoard;
  /** uV of channel 1 at the board's sample n. */
  uv(n: number): number;
}

const cases: Case[] = [
  {
    name: 'thinkgear',
    channels: 5,
    rateHz: 512,
    driver: (world, options = '') =>
      new Listener(new ThinkGearDriver(`thinkgear:${path}${options}`, world)),
    board: (world) => new FakeThinkGear(world.clock, world.rng),
    uv: (n) => ((n % 4000) - 2000) * thinkgearUv,
  },
  ...[2, 3].map(
    (version): Case => ({
      name: `openeeg p${version}`,
      channels: 6,
      rateHz: 256,
      driver: (world, options = '') =>
        new Listener(new OpenEegDriver(`openeeg:${path}${options}`, world)),
      board: (world) => Object.assign(new FakeOpenEeg(world.clock, world.rng), { version }),
      uv: (n) => ((n & 1023) - 512) * 0.5,
    }),
  ),
  {
    name: 'freeeeg32',
    channels: 35,
    rateHz: 512,
    driver: (world, options = '') =>
      new Listener(new FreeEeg32Driver(`freeeeg32:${path}${options}`, world)),
    board: (world) => new FakeFreeEeg32(world.clock, world.rng),
    uv: (n) => ((n * 64) % 4e6) * freeEegUv,
  },
  {
    name: 'chords',
    channels: 6,
    rateHz: 500,
    driver: (world, options = '') =>
      new Listener(new ChordsDriver(`chords:${path}${options}`, world)),
    board: (world) => new FakeChords(world.clock, world.rng),
    uv: (n) => (((n * 3) & 16383) - 8192) * ((5 / 16384 / 2420) * 1e6),
  },
];

/** Values must be the board's, from some sample on, at the index where they belong. */
function expectSignal(listener: Listener, uv: (n: number) => number, from = 0): number {
  const values = listener.column(0).slice(from);
  const start = values.findIndex((value) => !Number.isNaN(value));
  let origin = 0;
  while (Math.fround(uv(origin)) !== values[start])
    if (++origin > 5000) throw new Error('no match');
  let real = 0;
  for (const [i, value] of values.entries()) {
    if (Number.isNaN(value)) continue;
    expect(value).toBe(Math.fround(uv(origin + i - start)));
    real++;
  }
  return real;
}

describe.each(cases)('$name', (family) => {
  async function begin(options = '', prepare: (board: FakeBoard) => void = () => undefined) {
    const world = new FakeWorld();
    const board = family.board(world);
    prepare(board);
    world.plug(path, board);
    const listener = family.driver(world, options);
    await world.clock.advance(4000);
    return { world, board, listener };
  }

  test('streams microvolts in order, and closes', async () => {
    const { world, listener } = await begin();
    await world.clock.advance(2000);
    expect(listener.error).toBeUndefined();
    const info = listener.events.find((event) => event.kind === 'info')?.info;
    expect(info?.rateHz).toBe(family.rateHz);
    expect(info?.channels.length).toBe(family.channels);
    expect(listener.gaps).toEqual([]);
    expect(expectSignal(listener, family.uv)).toBeGreaterThan(2 * family.rateHz);
    listener.close();
    await world.clock.advance(50);
    expect(world.held.size).toBe(0);
  });

  test('counts what is damaged as lost', async () => {
    const { world, board, listener } = await begin();
    board.faults.corrupt = 0.02;
    await world.clock.advance(10_000);
    board.faults.corrupt = 0;
    await world.clock.advance(100);
    const rows = listener.rows;
    expect(rows).toBeGreaterThan(9 * family.rateHz);
    // Made, delivered and missing add up; a batch may be under way.
    const span = listener.column(0).length;
    expect(span).toBe(rows + listener.missing);
    expect(listener.error).toBeUndefined();
  });

  test('reconnects, with the time between as one gap', async () => {
    const { world, board, listener } = await begin();
    const lostAt = world.clock.now();
    world.unplug(path);
    await world.clock.advance(10);
    expect(listener.states.at(-1)).toBe('lost');
    await world.clock.advance(20_000);
    expect(world.opened).toBeLessThan(12);
    world.plug(path, board);
    const before = listener.rows;
    let returned = 0;
    while (listener.rows === before && returned < 4000) {
      await world.clock.advance(50);
      returned += 50;
    }
    expect(returned).toBeLessThan(3000);
    const resumedAt = world.clock.now();
    await world.clock.advance(1000);
    expect(listener.states.at(-1)).toBe('streaming');
    const gaps = listener.gaps;
    expect(gaps.map((gap) => gap.reason)).toEqual(['disconnect']);
    const missingS = (gaps[0]?.missing ?? 0) / family.rateHz;
    expect(Math.abs(missingS - (resumedAt - lostAt))).toBeLessThan(0.2);
    expect(listener.error).toBeUndefined();
  });

  test('says what it expected and what came when another device talks', async () => {
    const { world, listener } = await begin('', (board) => {
      Object.assign(board, { boot: () => undefined, hear: () => undefined });
    });
    world.held.get(path)?.bytes(Buffer.from('T:21.5 H:40\r\n'));
    await world.clock.advance(25_000);
    expect(listener.details[0]).toMatch(/expected .* came/);
    expect(listener.states).not.toContain('streaming');
  });
});

describe('thinkgear', () => {
  test('wakes an RF dongle that stands by, and passes the slow values', async () => {
    const world = new FakeWorld();
    const board = new FakeThinkGear(world.clock, world.rng);
    board.standby = true;
    world.plug(path, board);
    const listener = new Listener(new ThinkGearDriver(`thinkgear:${path}?baud=115200`, world));
    await world.clock.advance(8000);
    expect(listener.rows).toBeGreaterThan(1000);
    const attention = listener.column(2).filter((value) => !Number.isNaN(value));
    expect(new Set(attention)).toEqual(new Set([53]));
    expect(new Set(listener.column(1).filter((value) => !Number.isNaN(value)))).toEqual(
      new Set([26]),
    );
  });
});

describe('freeeeg32', () => {
  test('learns the frame length of another firmware', async () => {
    const world = new FakeWorld();
    const board = new FakeFreeEeg32(world.clock, world.rng);
    board.frameBytes = 106;
    world.plug(path, board);
    const listener = new Listener(new FreeEeg32Driver(`freeeeg32:${path}`, world));
    await world.clock.advance(3000);
    expect(expectSignal(listener, (n) => ((n * 64) % 4e6) * freeEegUv)).toBeGreaterThan(1000);
  });
});

describe('openeeg', () => {
  test('takes as many channels as are named, and tells its switches', async () => {
    const world = new FakeWorld();
    const board = new FakeOpenEeg(world.clock, world.rng);
    world.plug(path, board);
    const address = `openeeg:${path}?channels=2&labels=C3,C4&uvPerCount=1`;
    const listener = new Listener(new OpenEegDriver(address, world));
    await world.clock.advance(1000);
    board.switches = 14;
    await world.clock.advance(500);
    const info = listener.events.find((event) => event.kind === 'info')?.info;
    expect(info?.channels.map((channel) => channel.label)).toEqual(['C3', 'C4']);
    const markers = listener.events.flatMap((e) => (e.kind === 'marker' ? [e.marker.text] : []));
    expect(markers).toEqual(['switches 14']);
  });
});
