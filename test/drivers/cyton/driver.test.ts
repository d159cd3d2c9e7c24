import { describe, expect, test } from 'vitest';
import { CytonDriver } from '../../../drivers/cyton/driver.js';
import { uvPerCount } from '../../../drivers/cyton/packet.js';
import { EegError } from '../../../src/core/errors.js';
import { FakeCyton } from '../../support/fake-cyton.js';
import { FakeWorld, Listener } from '../../support/fake-serial.js';

const path = '/dev/serial/by-id/usb-FTDI_FT231X_USB_UART_DM00CN7G-if00-port0';

async function start(options = '', prepare: (board: FakeCyton) => void = () => undefined) {
  const world = new FakeWorld();
  const board = new FakeCyton(world.clock, world.rng);
  prepare(board);
  world.plug(path, board);
  const listener = new Listener(new CytonDriver(`cyton:${path}${options}`, world));
  await world.clock.advance(1000);
  return { world, board, listener };
}

describe('a Cyton', () => {
  test('streams eight channels in microvolts and the accelerometer in g', async () => {
    const { world, board, listener } = await start();
    await world.clock.advance(2000);
    const info = listener.events.find((event) => event.kind === 'info');
    expect(info?.info).toMatchObject({ driver: 'cyton', rateHz: 250, manufacturer: 'OpenBCI' });
    expect(info?.info.id).toMatch(/^cyton-[a-z0-9._-]+dm00cn7g-if00-port0$/);
    expect(info?.info.channels.map((channel) => channel.label)).toEqual([
      ...['Fp1', 'Fp2', 'C3', 'C4', 'P7', 'P8', 'O1', 'O2'],
      ...['accel_x', 'accel_y', 'accel_z'],
    ]);
    expect(info?.info.channels[0]?.fullScale).toBeCloseTo(187500, 0);
    const third = listener.column(2);
    expect(third.length).toBeGreaterThan(500);
    for (const [n, value] of third.entries()) {
      expect(value).toBe(Math.fround((n * 16 + 2) * uvPerCount(24)));
    }
    const x = listener.column(8).filter((value) => !Number.isNaN(value));
    expect(x.length).toBe(Math.ceil(third.length / 10));
    expect(x[0]).toBeCloseTo(0.125, 6);
    expect(listener.missing).toBe(0);
    expect(listener.states).toEqual(['connecting', 'streaming']);
    listener.close();
    await world.clock.advance(10);
    expect(board.streaming).toBe(false);
    expect(world.held.size).toBe(0);
  });

  test('scales each channel by its own gain and leaves out those switched off', async () => {
    const { world, board, listener } = await start('?gain=24,12,8,6,4,2,1,24&on=1,1,1,1,1,1,1,0');
    await world.clock.advance(200);
    expect(board.gain.slice(0, 8)).toEqual([24, 12, 8, 6, 4, 2, 1, 24]);
    expect(board.heard).toContain('x2050110X');
    expect(board.heard).toContain('x8160110X');
    const row = listener.chunks.at(-1)?.data ?? [];
    expect(row.length % 10).toBe(0);
    const n = listener.rows - 1;
    expect(listener.column(6)[n]).toBe(Math.fround((n * 16 + 6) * uvPerCount(1)));
  });

  test('with a Daisy pairs packets into sixteen channels at 125 Hz', async () => {
    const { world, listener } = await start('', (board) => {
      board.daisy = true;
    });
    await world.clock.advance(3000);
    const info = listener.events.find((event) => event.kind === 'info');
    expect(info?.info.rateHz).toBe(125);
    expect(info?.info.channels.length).toBe(19);
    const first = listener.column(0);
    const ninth = listener.column(8);
    expect(first.length).toBeGreaterThan(300);
    const k = uvPerCount(24);
    for (const [i, value] of first.entries()) {
      // The very first pair is no mean of two samples and is left out.
      expect(value).toBe(Math.fround((i + 1) * 16 * k));
      expect(ninth[i]).toBe(Math.fround(((i + 1) * 16 + 8) * k));
    }
  });

  test('counts a Daisy’s pairs as lost when either half is', async () => {
    const { world, listener } = await start('?daisy=1', (board) => {
      board.daisy = true;
      board.faults.loss = 0.05;
    });
    await world.clock.advance(20_000);
    const values = listener.column(0);
    const k = uvPerCount(24);
    let missing = 0;
    for (const [i, value] of values.entries()) {
      if (Number.isNaN(value)) missing++;
      else expect(value).toBe(Math.fround((i + 1) * 16 * k));
    }
    expect(missing).toBeGreaterThan(100);
    expect(listener.missing).toBe(missing);
    expect(listener.error).toBeUndefined();
  });

  test('sets the rate, the auxiliary mode and the board’s time stamps', async () => {
    const { world, board, listener } = await start('?rate=1000&stamps=1&aux=none');
    await world.clock.advance(1500);
    expect(board.heard).toEqual(['s', 'v', '~4', '<', 'b']);
    const stamps = listener.chunks.flatMap((chunk) => [...(chunk.stamps ?? [])]);
    expect(stamps.length).toBe(listener.rows);
    expect(stamps.length).toBeGreaterThan(1000);
    for (let i = 1; i < stamps.length; i++) {
      expect(stamps[i]).toBeGreaterThanOrEqual(stamps[i - 1] as number);
    }
    expect(stamps.at(-1)).toBeCloseTo(world.clock.now(), 1);
  });
});

describe('a Cyton that does not come up', () => {
  test('says that the dongle answers and the board does not, then takes it when it is on', async () => {
    const { world, board, listener } = await start('', (off) => off.power(false));
    await world.clock.advance(3000);
    expect(listener.details[0]).toMatch(
      /dongle answers, but not the board.*Communications timeout/,
    );
    expect(listener.details[0]).toMatch(/switch the Cyton to PC/);
    board.power(true);
    await world.clock.advance(3000);
    expect(listener.states.at(-1)).toBe('streaming');
  });

  test('says what it sent and that nothing came', async () => {
    const world = new FakeWorld();
    const board = new FakeCyton(world.clock, world.rng);
    board.receive = () => undefined;
    world.plug(path, board);
    const listener = new Listener(new CytonDriver(`cyton:${path}`, world));
    await world.clock.advance(6000);
    expect(listener.details[0]).toMatch(/sent "s", "v", "v"; nothing came.*GPIO 6/);
    expect(listener.details[0]).toMatch(/^EEG_DEVICE_UNAVAILABLE/);
  });

  test('refuses another device for good', async () => {
    const { listener } = await start('', (board) => {
      board.greeting = 'ok: Marlin 2.1 echo';
    });
    expect(listener.error?.code).toBe('EEG_DEVICE_PROTOCOL');
    expect(listener.error?.message).toMatch(/Marlin/);
  });

  test('refuses daisy=1 without a Daisy', async () => {
    const { listener } = await start('?daisy=1');
    expect(listener.error?.message).toMatch(/no daisy to attach/);
  });

  test('waits for a port that is busy, and ends at one that is forbidden', async () => {
    const { world, listener } = await start('', (board) => board.power(false));
    listener.close();
    world.refusal = new EegError('EEG_DEVICE_BUSY', 'in use');
    const busy = new Listener(new CytonDriver(`cyton:${path}`, world));
    await world.clock.advance(1000);
    expect(busy.states).toEqual(['connecting', 'lost']);
    expect(busy.error).toBeUndefined();
    busy.close();
    world.refusal = new EegError('EEG_DEVICE_PERMISSION', 'no permission');
    const forbidden = new Listener(new CytonDriver(`cyton:${path}`, world));
    await world.clock.advance(1000);
    expect(forbidden.error?.code).toBe('EEG_DEVICE_PERMISSION');
  });

  test('refuses options it does not know, with the nearest', () => {
    expect(() => new CytonDriver(`cyton:${path}?gian=24`)).toThrow(/no option "gian"/);
    expect(() => new CytonDriver(`cyton:${path}?gain=5`)).toThrow(/gain must be 1, 2/);
    expect(() => new CytonDriver(`cyton:${path}?gain=24,24`)).toThrow(/1 or 16 values/);
  });
});
