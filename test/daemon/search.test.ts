import { expect, test, vi } from 'vitest';
import type { DeviceListing } from '../../src/core/daemon-api.js';
import { EegError } from '../../src/core/errors.js';
import { silentLogger } from '../../src/core/log.js';
import { systemClock } from '../../src/core/time.js';
import { searchStreams } from '../../src/daemon/search.js';

const device = (address: string, connected = false): DeviceListing => ({
  address,
  driver: address.split(':')[0] as string,
  name: address,
  detail: '',
  connected,
});

/** A search whose turns the test takes. */
function searching(connect: (address: string) => Promise<{ stream: string }>) {
  let found: DeviceListing[] = [];
  let turn: (() => void) | undefined;
  const stop = searchStreams({
    everyS: 5,
    log: silentLogger,
    devices: async () => found,
    connect,
    clock: {
      ...systemClock,
      setTimeout(callback) {
        turn = callback;
        return () => {
          turn = undefined;
        };
      },
    },
  });
  const next = async (devices: DeviceListing[]) => {
    await vi.waitFor(() => expect(turn).toBeDefined());
    const take = turn as () => void;
    turn = undefined;
    found = devices;
    take();
    await vi.waitFor(() => expect(turn).toBeDefined());
  };
  return { next, stop, waits: () => turn !== undefined };
}

test('connects LSL streams and likely serial ports, once each, never files or what a daemon sends', async () => {
  const asked: string[] = [];
  const search = searching(async (address) => {
    asked.push(address);
    return { stream: 'x' };
  });
  const all = [device('lsl:a'), device('cyton:/dev/ttyUSB0'), device('replay:x.edf')];
  all.push({ ...device('lsl:eegd-host-a-signal'), name: 'eegd a signal' });
  await search.next(all);
  expect(asked).toEqual(['lsl:a', 'cyton:/dev/ttyUSB0']);
  await search.next([device('lsl:a', true), device('cyton:/dev/ttyUSB0', true)]);
  expect(asked).toHaveLength(2);
  search.stop();
  expect(search.waits()).toBe(false);
});

test('a port that did not answer is left alone until it was unplugged', async () => {
  const asked: string[] = [];
  const search = searching(async (address) => {
    asked.push(address);
    throw new EegError('EEG_DEVICE_UNAVAILABLE', 'expected an answer, none came');
  });
  const port = [device('cyton:/dev/ttyUSB0')];
  await search.next(port);
  await search.next(port);
  expect(asked).toHaveLength(1);
  await search.next([]);
  await search.next(port);
  expect(asked).toHaveLength(2);
  search.stop();
});
