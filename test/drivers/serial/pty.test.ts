/** The other families through `serialport` and ptys: stream, loss, unplugging and return. */
import { afterEach, describe, expect, test } from 'vitest';
import { driverFor } from '../../../drivers/registry.js';
import { localClock } from '../../../src/core/time.js';
import { PtyBoard, socatIsHere } from '../../support/fake-pty.js';
import { Listener } from '../../support/fake-serial.js';

const open: { board?: PtyBoard; listener?: Listener } = {};

async function until(condition: () => boolean): Promise<number> {
  const began = localClock();
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
  return localClock() - began;
}

const families: [family: string, rateHz: number, set: Record<string, unknown>][] = [
  ['thinkgear', 512, {}],
  ['openeeg', 256, {}],
  ['openeeg', 256, { version: 3 }],
  ['freeeeg32', 512, {}],
  ['chords', 500, { bootMs: 1000 }],
];

describe.skipIf(!socatIsHere)('at a pty', () => {
  afterEach(async () => {
    open.listener?.close();
    await open.board?.remove();
  });

  test.each(families)('%s (%d Hz, %o)', async (family, rateHz, set) => {
    const board = new PtyBoard(family, set);
    open.board = board;
    await board.plug();
    const listener = new Listener(await driverFor(`${family}:${board.path}`));
    open.listener = listener;
    await until(() => listener.rows > rateHz);
    expect(listener.gaps).toEqual([]);

    await board.unplug();
    expect(await until(() => listener.states.at(-1) === 'lost')).toBeLessThan(0.5);
    await board.plug();
    const rows = listener.rows;
    expect(await until(() => listener.rows > rows)).toBeLessThan(3);
    await until(() => listener.rows > rows + rateHz / 2);
    expect(listener.gaps.map((gap) => gap.reason)).toEqual(['disconnect']);
    expect(listener.error).toBeUndefined();
  });
});
