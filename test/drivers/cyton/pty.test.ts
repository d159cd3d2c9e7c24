/** The Cyton driver through `serialport` and a pty, against a fake board in another process. */
import { afterEach, describe, expect, test } from 'vitest';
import { CytonDriver } from '../../../drivers/cyton/driver.js';
import { uvPerCount } from '../../../drivers/cyton/packet.js';
import { serialWorld } from '../../../drivers/serial/session.js';
import { localClock, systemClock } from '../../../src/core/time.js';
import { PtyBoard, socatIsHere } from '../../support/fake-pty.js';
import { Listener } from '../../support/fake-serial.js';

const open: { board?: PtyBoard; listener?: Listener } = {};

/** Resolves when `condition` holds; the test's own time limit bounds it. */
async function until(condition: () => boolean): Promise<number> {
  const began = localClock();
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
  return localClock() - began;
}

async function start(set: Record<string, unknown> = {}) {
  const board = new PtyBoard('cyton', set);
  open.board = board;
  await board.plug();
  const listener = new Listener(new CytonDriver(`cyton:${board.path}`));
  open.listener = listener;
  await until(() => listener.states.includes('streaming'));
  return { board, listener };
}

function expectRight(listener: Listener, from = 0): void {
  expect(listener.error).toBeUndefined();
  const k = uvPerCount(24);
  const values = listener.column(0).slice(from);
  const first = values.findIndex((value) => !Number.isNaN(value));
  const origin = Math.round((values[first] as number) / k / 16) - first;
  for (const [i, value] of values.entries()) {
    if (!Number.isNaN(value)) expect(value).toBe(Math.fround((i + origin) * 16 * k));
  }
}

/** Of every row, index less board's sample modulo the counter's range; anew after a reconnect. */
function turnOffsets(listener: Listener): number[][] {
  const all: number[][] = [[]];
  for (const event of listener.events) {
    if (event.kind === 'gap' && event.reason === 'disconnect') all.push([]);
    if (event.kind !== 'chunk') continue;
    const { index, frames, data } = event.chunk;
    for (let i = 0; i < frames; i++) {
      const value = data[(i * data.length) / frames] ?? Number.NaN;
      const sample = Math.round(value / uvPerCount(24) / 16);
      all.at(-1)?.push((((index + i - sample) % 256) + 256) % 256);
    }
  }
  return all;
}

describe.skipIf(!socatIsHere)('a Cyton at a pty', () => {
  afterEach(async () => {
    open.listener?.close();
    await open.board?.remove();
  });

  test('delivers every sample, in order', async () => {
    const { board, listener } = await start();
    await until(() => listener.rows > 500);
    const { dropped } = await board.report();
    expect(listener.missing).toBe(dropped);
    expectRight(listener);
  });

  test('counts 5 % loss exactly', async () => {
    const { board, listener } = await start();
    await until(() => listener.rows > 50);
    board.tell({ faults: { loss: 0.05 } });
    await until(() => listener.rows > 1000);
    board.tell({ faults: { loss: 0 } });
    await until(() => listener.rows > 1300);
    const { dropped } = await board.report();
    expect(dropped).toBeGreaterThan(10);
    expect(listener.missing).toBe(dropped);
    expectRight(listener);
  });

  test('tells an unplugged cable at once and streams again within 3 s of its return', async () => {
    const { board, listener } = await start();
    await until(() => listener.rows > 100);
    await board.unplug();
    const toldS = await until(() => listener.states.at(-1) === 'lost');
    expect(toldS).toBeLessThan(0.5);
    await until(() => listener.details.some((line) => /there is no port/.test(line)));
    const before = listener.column(0).length;
    await board.plug();
    const rows = listener.rows;
    const backS = await until(() => listener.rows > rows);
    expect(backS).toBeLessThan(3);
    await until(() => listener.rows > rows + 300);
    expect(listener.gaps.map((gap) => gap.reason)).toEqual(['disconnect']);
    expectRight(listener, before + listener.missing);
    const arrivals = listener.chunks.map((chunk) => chunk.arrivalS);
    for (let i = 1; i < arrivals.length; i++) {
      expect(arrivals[i]).toBeGreaterThanOrEqual(arrivals[i - 1] as number);
    }
  });

  test('survives a board that is switched off and on', async () => {
    const { board, listener } = await start();
    await until(() => listener.rows > 100);
    board.tell({ power: false });
    await until(() => listener.states.at(-1) === 'lost');
    await until(() =>
      listener.details.some((line) => /dongle answers, but not the board/.test(line)),
    );
    board.tell({ power: true });
    const rows = listener.rows;
    expect(await until(() => listener.rows > rows)).toBeLessThan(3);
    expect(listener.gaps.map((gap) => gap.reason)).toEqual(['disconnect']);
  });

  test.each([true, false])(
    'a board stopped for 2 s leaves true indices (backlog %s)',
    async (catchUp) => {
      const { board, listener } = await start();
      board.tell({ faults: { catchUp } });
      await until(() => listener.rows > 100);
      board.stop();
      await new Promise((resolve) => setTimeout(resolve, 2000));
      board.resume();
      const rows = listener.rows;
      await until(() => listener.rows > rows + 300);
      expect(listener.error).toBeUndefined();
      // How many turns of the counter passed, only time can say (`stopped.test.ts` holds that to
      // the sample). Where in its turn every row lies depends on no time: machines may be slow.
      for (const offsets of turnOffsets(listener)) expect(new Set(offsets).size).toBe(1);
    },
  );

  test('does not look at the wall clock', async () => {
    const board = new PtyBoard('cyton');
    open.board = board;
    await board.plug();
    let wall = Date.UTC(2026, 0, 1);
    const world = { ...serialWorld, clock: { ...systemClock, wallMs: () => wall } };
    const listener = new Listener(new CytonDriver(`cyton:${board.path}`, world));
    open.listener = listener;
    await until(() => listener.rows > 100);
    wall += 3_600_000;
    await until(() => listener.rows > 300);
    wall -= 7_200_000;
    await until(() => listener.rows > 500);
    expect(listener.gaps).toEqual([]);
    expectRight(listener);
  });

  test('a port that another holds is said to be busy, and taken when it is free', async () => {
    const { board, listener } = await start();
    const second = new Listener(new CytonDriver(`cyton:${board.path}`));
    await until(() => second.states.includes('lost'));
    expect(second.details[0]).toMatch(/^EEG_DEVICE_BUSY: .* is in use by another program/);
    listener.close();
    await until(() => second.states.at(-1) === 'streaming');
    second.close();
  });
});
