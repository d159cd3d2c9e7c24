import { describe, expect, test } from 'vitest';
import { measureImpedance } from '../../../drivers/cyton/impedance.js';
import { FakeCyton } from '../../support/fake-cyton.js';
import { FakeWorld } from '../../support/fake-serial.js';

const path = '/dev/ttyUSB0';

async function measure(options: string, prepare: (board: FakeCyton) => void) {
  const world = new FakeWorld();
  const board = new FakeCyton(world.clock, world.rng);
  prepare(board);
  world.plug(path, board);
  const results = await world.clock.through(measureImpedance(`cyton:${path}${options}`, world));
  return { results, board, world };
}

describe('impedance', () => {
  test.each([false, true])('is that of the electrodes (Daisy: %s)', async (daisy) => {
    const ohms = [0, 500, 2000, 5000, 10_000, 50_000, 200_000, 1e6, 7000, 300];
    const { results, board, world } = await measure('?gain=12', (fake) => {
      fake.daisy = daisy;
      for (const [i, value] of ohms.entries()) fake.ohms[i] = value;
    });
    expect(results.length).toBe(daisy ? 16 : 8);
    for (const [i, { ohms: measured }] of results.entries()) {
      const expected = board.ohms[i] as number;
      expect(Math.abs(measured - expected)).toBeLessThan(20 + 0.005 * expected);
    }
    expect(results[2]?.label).toBe('C3');
    // Everything is put back: no current flows, gains are as configured, the port is closed.
    expect(new Set(board.leadOff)).toEqual(new Set(['00']));
    expect(new Set(board.gain.slice(0, results.length))).toEqual(new Set([12]));
    expect(world.held.size).toBe(0);
  });

  test('of an electrode without contact is infinite', async () => {
    const { results } = await measure('', (board) => {
      board.ohms[3] = 1e9;
    });
    expect(results[3]?.ohms).toBe(Number.POSITIVE_INFINITY);
  });

  test('says so when no samples come', async () => {
    const failed = measure('', (board) => {
      board.faults.loss = 1;
    });
    await expect(failed).rejects.toThrow(/impedance of input 1: 0 of 400 samples/);
  });
});
