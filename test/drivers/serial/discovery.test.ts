/** Listing and asking ports, over a folder that looks like /sys and /dev. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cytonFamily, cytonOptions } from '../../../drivers/cyton/driver.js';
import { discoverFamily, listPorts } from '../../../drivers/serial/discovery.js';
import { EegError } from '../../../src/core/errors.js';
import { FakeCyton } from '../../support/fake-cyton.js';
import { FakeWorld } from '../../support/fake-serial.js';

const top = mkdtempSync(join(tmpdir(), 'eegd-sys-'));
const roots = { sys: join(top, 'sys'), dev: join(top, 'dev') };
const byId = join(roots.dev, 'serial/by-id/usb-FTDI_FT231X_USB_UART_DM00CN7G-if00-port0');
const family = cytonFamily(cytonOptions(new Map()));

function usbPort(name: string, attributes: Record<string, string>): void {
  const usb = join(roots.sys, `devices/usb1/1-${name}`);
  mkdirSync(join(usb, `1-${name}:1.0/${name}`), { recursive: true });
  for (const [key, value] of Object.entries(attributes))
    writeFileSync(join(usb, key), `${value}\n`);
  mkdirSync(join(roots.sys, 'class/tty', name), { recursive: true });
  symlinkSync(join(usb, `1-${name}:1.0/${name}`), join(roots.sys, 'class/tty', name, 'device'));
  writeFileSync(join(roots.dev, name), '');
}

beforeAll(() => {
  mkdirSync(join(roots.dev, 'serial/by-id'), { recursive: true });
  const ftdi = {
    idVendor: '0403',
    idProduct: '6015',
    product: 'FT231X USB UART',
    serial: 'DM00CN7G',
  };
  usbPort('ttyUSB0', ftdi);
  usbPort('ttyACM0', { idVendor: '2341', idProduct: '0043', serial: '7543' });
  usbPort('ttyUSB7', { idVendor: 'dead', idProduct: 'beef', product: 'Label printer' });
  mkdirSync(join(roots.sys, 'class/tty/ttyS0'), { recursive: true });
  symlinkSync('../../ttyUSB0', byId);
});
afterAll(() => rmSync(top, { recursive: true, force: true }));

describe('ports', () => {
  test('are listed by id, with what they are and who may ask them', async () => {
    const ports = await listPorts(roots);
    expect(ports.map((port) => port.device.split('/').pop())).toEqual([
      'ttyACM0',
      'ttyUSB0',
      'ttyUSB7',
    ]);
    expect(ports[1]).toMatchObject({
      path: byId,
      vendorId: '0403',
      productId: '6015',
      serial: 'DM00CN7G',
      what: 'FTDI FT231X',
      openable: true,
      inUse: false,
    });
    expect(ports[1]?.families).toContain('cyton');
    expect(ports[2]).toMatchObject({ what: 'Label printer', families: [] });
  });

  test('are listed unasked, and nothing is opened', async () => {
    const world = new FakeWorld();
    const found = await discoverFamily(family, world, { roots });
    expect(found).toMatchObject([{ address: `cyton:${byId}`, driver: 'cyton', connected: false }]);
    expect(found[0]?.detail).toMatch(/DM00CN7G.*not asked/);
    expect(world.opened).toBe(0);
  });

  test('are asked only where the USB id is known, and only when wanted', async () => {
    const world = new FakeWorld();
    const board = new FakeCyton(world.clock, world.rng);
    world.plug(byId, board);
    const asked = discoverFamily(family, world, { roots, probe: true });
    expect(await world.clock.through(asked)).toMatchObject([
      { name: 'OpenBCI Cyton v3.1.1', address: `cyton:${byId}` },
    ]);
    expect(world.opened).toBe(1);
    expect(board.streaming).toBe(false);
    expect(world.held.size).toBe(0);
    expect(await discoverFamily(family, world, { roots, probe: true, skip: [byId] })).toEqual([]);
    expect(world.opened).toBe(1);
  });

  test('that others hold are told as busy, those of other devices not at all', async () => {
    const world = new FakeWorld();
    world.refusal = new EegError('EEG_DEVICE_BUSY', 'it is in use by another program');
    const [busy] = await discoverFamily(family, world, { roots, probe: true });
    expect(busy?.detail).toMatch(/in use by another program/);
    world.refusal = undefined;
    const board = new FakeCyton(world.clock, world.rng);
    board.greeting = 'Grbl 1.1';
    world.plug(byId, board);
    const asked = discoverFamily(family, world, { roots, probe: true });
    expect(await world.clock.through(asked)).toEqual([]);
  });

  test('may be named where no USB id tells: a pty, an odd converter', async () => {
    const world = new FakeWorld();
    const odd = join(roots.dev, 'ttyUSB7');
    const board = new FakeCyton(world.clock, world.rng);
    world.plug(odd, board);
    const asked = discoverFamily(family, world, { roots, probe: true, ports: [odd] });
    expect(await world.clock.through(asked)).toMatchObject([
      { address: `cyton:${odd}`, name: 'OpenBCI Cyton v3.1.1' },
    ]);
  });
});
