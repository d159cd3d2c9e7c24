/**
 * Which serial ports there are, what each is by its USB ids, and, when asked to, which board
 * answers on it. Only ports of known USB ids are asked, never one that is in use, and a board is
 * asked in the way of its own family only: bytes sent to a stranger's device can do harm.
 */
import { constants } from 'node:fs';
import { access, readdir, readFile, readlink, realpath } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { DeviceListing } from '../../src/core/daemon-api.js';
import { EegError, toEegError } from '../../src/core/errors.js';
import { openLine } from './line.js';
import { isOpenHere, listSerialPorts } from './port.js';
import type { Family, SerialWorld } from './session.js';

export interface SerialPortFound {
  /** The path to use: the by-id link where there is one, since ttyUSB numbers change. */
  readonly path: string;
  readonly device: string;
  /** Four hexadecimal digits each. */
  readonly vendorId?: string;
  readonly productId?: string;
  readonly product?: string;
  readonly serial?: string;
  /** What the USB ids say, e.g. `FTDI FT231X`. */
  readonly what: string;
  /** Driver families that may ask this port. */
  readonly families: readonly string[];
  readonly openable: boolean;
  readonly inUse: boolean;
}

interface UsbKind {
  /** `vendor:product`, or `vendor:` for all products. */
  readonly ids: string;
  readonly what: string;
  readonly families: readonly string[];
}

/** From usb.ids and the boards' documentation; converter chips serve many boards. */
const usbKinds: readonly UsbKind[] = [
  { ids: '0403:6015', what: 'FTDI FT231X', families: ['cyton', 'freeeeg32'] },
  { ids: '0403:6001', what: 'FTDI FT232', families: ['openeeg', 'freeeeg32', 'cyton'] },
  { ids: '0403:6014', what: 'FTDI FT232H', families: ['freeeeg32'] },
  {
    ids: '10c4:ea60',
    what: 'Silicon Labs CP210x',
    families: ['thinkgear', 'freeeeg32', 'openeeg'],
  },
  { ids: '067b:2303', what: 'Prolific PL2303', families: ['thinkgear', 'openeeg'] },
  { ids: '1a86:', what: 'WCH CH34x', families: ['thinkgear', 'chords'] },
  { ids: '2341:', what: 'Arduino', families: ['chords'] },
  { ids: '2a03:', what: 'Arduino', families: ['chords'] },
  { ids: '2e8a:', what: 'Raspberry Pi Pico', families: ['chords'] },
  { ids: '303a:', what: 'Espressif ESP32', families: ['chords'] },
  { ids: '0483:5740', what: 'STM32 virtual port', families: ['chords', 'freeeeg32'] },
];

const portNames = /^(ttyUSB|ttyACM|rfcomm)\d+$/;

export interface Roots {
  readonly sys: string;
  readonly dev: string;
}

/** All serial ports that could be an amplifier. */
export async function listPorts(
  roots: Roots = { sys: '/sys', dev: '/dev' },
): Promise<SerialPortFound[]> {
  if (process.platform !== 'linux') {
    const ports = await listSerialPorts();
    return await Promise.all(ports.map((port) => describe(port.path, port.path, port)));
  }
  const links = await byIdLinks(roots.dev);
  const names = new Set([
    ...(await readdir(join(roots.sys, 'class/tty')).catch(() => [])),
    ...(await readdir(roots.dev).catch(() => [])),
  ]);
  const found: SerialPortFound[] = [];
  for (const name of [...names].filter((entry) => portNames.test(entry)).sort()) {
    const device = join(roots.dev, name);
    const usb = await usbOf(join(roots.sys, 'class/tty', name, 'device'));
    found.push(await describe(links.get(name) ?? device, device, usb));
  }
  return found;
}

interface Usb {
  readonly vendorId?: string;
  readonly productId?: string;
  readonly product?: string;
  readonly serial?: string;
}

async function describe(path: string, device: string, usb: Usb): Promise<SerialPortFound> {
  const ids = `${usb.vendorId ?? ''}:${usb.productId ?? ''}`;
  const kind = usbKinds.find((entry) => ids.startsWith(entry.ids));
  const radio = /rfcomm\d+$/.test(device);
  return {
    ...usb,
    path,
    device,
    what: kind?.what ?? (radio ? 'Bluetooth serial' : (usb.product ?? 'serial port')),
    families: kind?.families ?? (radio ? ['thinkgear'] : []),
    openable: await access(device, constants.R_OK | constants.W_OK).then(
      () => true,
      () => false,
    ),
    inUse: isOpenHere(device),
  };
}

async function byIdLinks(dev: string): Promise<Map<string, string>> {
  const folder = join(dev, 'serial/by-id');
  const links = new Map<string, string>();
  for (const name of await readdir(folder).catch(() => [])) {
    const target = await readlink(join(folder, name)).catch(() => undefined);
    if (target !== undefined) links.set(target.split('/').pop() as string, join(folder, name));
  }
  return links;
}

/** Walk from the tty's device up to the USB device that has the ids. */
async function usbOf(device: string): Promise<Usb> {
  let folder = await realpath(device).catch(() => undefined);
  for (let depth = 0; folder !== undefined && depth < 6; depth++, folder = dirname(folder)) {
    const vendorId = await attribute(folder, 'idVendor');
    if (vendorId === undefined) continue;
    const [productId, product, serial] = await Promise.all(
      ['idProduct', 'product', 'serial'].map((name) => attribute(folder as string, name)),
    );
    return {
      vendorId,
      ...(productId === undefined ? {} : { productId }),
      ...(product === undefined ? {} : { product }),
      ...(serial === undefined ? {} : { serial }),
    };
  }
  return {};
}

async function attribute(folder: string, name: string): Promise<string | undefined> {
  const text = await readFile(join(folder, name), 'utf8').catch(() => undefined);
  return text?.trim();
}

export interface DiscoverOptions {
  /** Open candidate ports and ask; else only the USB ids are looked at. */
  readonly probe?: boolean;
  /** Ask these paths only, whatever their USB ids; ptys and odd converters are reached so. */
  readonly ports?: readonly string[];
  /** Never ask these. */
  readonly skip?: readonly string[];
  readonly roots?: Roots;
}

/** Devices of one family. Never rejects for a device's sake: what is wrong is in `detail`. */
export async function discoverFamily(
  family: Family,
  world: SerialWorld,
  options: DiscoverOptions = {},
): Promise<DeviceListing[]> {
  const listings: DeviceListing[] = [];
  for (const port of await candidates(family.name, options)) {
    // Unasked, a port is told once, as what it most likely is.
    const likely = port.families[0] === family.name || options.ports !== undefined;
    if (options.probe !== true && !likely) continue;
    const listing = await listingOf(port, { family, world, probe: options.probe === true });
    if (listing !== undefined) listings.push(listing);
  }
  return listings;
}

async function candidates(family: string, options: DiscoverOptions): Promise<SerialPortFound[]> {
  const { ports, skip = [] } = options;
  const listed = await listPorts(options.roots);
  const wanted =
    ports === undefined
      ? listed.filter((port) => port.families.includes(family))
      : await Promise.all(
          ports.map(
            async (path) =>
              listed.find((port) => port.path === path || port.device === path) ??
              (await describe(path, path, {})),
          ),
        );
  return wanted.filter((port) => !skip.includes(port.path) && !skip.includes(port.device));
}

async function listingOf(
  port: SerialPortFound,
  how: { family: Family; world: SerialWorld; probe: boolean },
): Promise<DeviceListing | undefined> {
  const { family, world, probe } = how;
  const serial = port.serial === undefined ? '' : `, serial ${port.serial}`;
  const what = `${port.what}${serial} at ${port.device}`;
  const listing = {
    address: `${family.name}:${port.path}`,
    driver: family.name,
    name: `${family.name}?`,
    detail: `${what}; may be a ${family.name}, not asked`,
    connected: port.inUse,
  };
  if (port.inUse) return { ...listing, detail: `${what}; in use by eegd` };
  if (!port.openable) {
    return { ...listing, detail: `${what}; no permission: sudo usermod -aG dialout $USER` };
  }
  if (!probe) return listing;
  try {
    return { ...listing, name: await probePort(port.path, family, world), detail: what };
  } catch (error) {
    const problem = toEegError(error);
    // A port in use by others is still worth a line; one that is another device is not.
    if (problem.code === 'EEG_DEVICE_BUSY' || problem.context.silent === true) {
      return { ...listing, detail: `${what}; ${problem.message} (${problem.hint})` };
    }
    return undefined;
  }
}

/** Name of the board that answers on a port. Rejects with the reason where none does. */
export async function probePort(path: string, family: Family, world: SerialWorld): Promise<string> {
  const line = await openLine(path, family, world);
  try {
    return (await family.bringUp(line.dialog)).name;
  } finally {
    await line.close();
  }
}

/** The one port of a family, for an address without a path. */
export async function findPort(family: Family, world: SerialWorld): Promise<string> {
  const ports = (await candidates(family.name, {})).filter((port) => !port.inUse);
  const only = ports.length === 1 ? ports[0] : undefined;
  if (only !== undefined) return only.path;
  for (const port of ports) {
    const found = await probePort(port.path, family, world).catch(() => undefined);
    if (found !== undefined) return port.path;
  }
  const seen =
    ports.length === 0 ? 'no port of a known USB id' : `${ports.length} ports, all silent`;
  throw new EegError('EEG_DEVICE_UNAVAILABLE', `no ${family.name} was found: ${seen}`, {
    hint: `plug it in, or give its path: ${family.name}:/dev/...`,
  });
}
