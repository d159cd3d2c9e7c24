/** Every driver family, loaded when it is first asked for: an address in, a driver out. */
import { closest } from 'fastest-levenshtein';
import type { DeviceListing } from '../src/core/daemon-api.js';
import { EegError, toEegError } from '../src/core/errors.js';
import type { Clock } from '../src/core/time.js';
import {
  flag,
  parseAddress,
  positive,
  readOptions,
  type StreamAddress,
  whole,
  word,
} from './address.js';
import type { Driver } from './driver.js';

export interface DriverContext {
  readonly clock?: Clock;
  /** Awaited before every chunk of a paced source: the consumer's way to hold it back. */
  readonly ready?: () => Promise<void>;
}

interface Family {
  open(address: string, parsed: StreamAddress, context: DriverContext): Promise<Driver>;
  /** On the network or at no port: all such families look at the same time. */
  discover?(): Promise<DeviceListing[]>;
  /** At serial ports, which families share: one after the other. */
  discoverAtPorts?(options: AskOptions): Promise<DeviceListing[]>;
}

const families: Readonly<Record<string, Family>> = {
  lsl: {
    async open(address, _, { clock }) {
      const { LslDriver } = await import('./lsl/driver.js');
      return new LslDriver(address, clock === undefined ? {} : { clock });
    },
    async discover() {
      return (await import('./lsl/discover.js')).discover();
    },
  },
  replay: {
    async open(_, parsed, context) {
      const { ReplayDriver } = await import('./replay/driver.js');
      const options = readOptions(parsed, { speed: positive, loop: flag, stream: word, id: word });
      return new ReplayDriver({ path: parsed.where, ...options, ...context });
    },
  },
  synthetic: {
    async open(_, parsed, context) {
      const { SyntheticDriver } = await import('./synthetic/driver.js');
      const { channels, ...options } = readOptions(parsed, {
        rateHz: positive,
        channels: whole,
        seed: whole,
        speed: positive,
        durationS: positive,
        loss: Number,
        mainsUv: Number,
      });
      const labels = channels === undefined ? {} : { labels: montage(channels) };
      const id = parsed.where === '' ? 'synthetic' : parsed.where;
      return new SyntheticDriver({ id, ...labels, ...options, ...context });
    },
  },
  cyton: serial(async () => {
    const { CytonDriver, discover } = await import('./cyton/driver.js');
    return { Driver: CytonDriver, discover };
  }),
  thinkgear: serial(async () => {
    const { ThinkGearDriver, discover } = await import('./thinkgear/driver.js');
    return { Driver: ThinkGearDriver, discover };
  }),
  openeeg: serial(async () => {
    const { OpenEegDriver, discover } = await import('./openeeg/driver.js');
    return { Driver: OpenEegDriver, discover };
  }),
  freeeeg32: serial(async () => {
    const { FreeEeg32Driver, discover } = await import('./freeeeg32/driver.js');
    return { Driver: FreeEeg32Driver, discover };
  }),
  chords: serial(async () => {
    const { ChordsDriver, discover } = await import('./chords/driver.js');
    return { Driver: ChordsDriver, discover };
  }),
};

interface SerialModule {
  readonly Driver: new (address: string, world: { clock?: Clock }) => Driver;
  discover(options: AskOptions): Promise<DeviceListing[]>;
}

/** A family at a serial port reads its address itself. */
function serial(load: () => Promise<SerialModule>): Family {
  return {
    async open(address, _, { clock }) {
      const { Driver: SerialDriver } = await load();
      return new SerialDriver(address, clock === undefined ? {} : { clock });
    },
    async discoverAtPorts(options) {
      return (await load()).discover(options);
    },
  };
}

/** Rejects with `EEG_USAGE` for an unknown family or option. Opens nothing yet. */
export async function driverFor(address: string, context: DriverContext = {}): Promise<Driver> {
  const parsed = parseAddress(address);
  const family = families[parsed.family];
  if (family === undefined) {
    const names = Object.keys(families);
    throw new EegError(
      'EEG_USAGE',
      `expected one of the drivers ${names.join(', ')}, got "${parsed.family}"`,
      { hint: `did you mean ${closest(parsed.family, names)}?` },
    );
  }
  return family.open(address, parsed, context);
}

/** How far to go in finding out what is at the serial ports. */
export interface AskOptions {
  /** Open the ports of known USB ids that nobody holds, and ask; else only their ids are read. */
  readonly probe?: boolean;
  /** Ask these ports only, whatever their USB ids. */
  readonly ports?: readonly string[];
  /** Ports that are known already. */
  readonly skip?: readonly string[];
}

export interface Found {
  readonly devices: DeviceListing[];
  /** Why a family could not look. */
  readonly failures: string[];
}

export async function discoverDevices(options: AskOptions = {}): Promise<Found> {
  const failures: string[] = [];
  const tried = async (name: string, look: () => Promise<DeviceListing[]>) => {
    try {
      return await look();
    } catch (error) {
      failures.push(`${name}: ${toEegError(error).line}`);
      return [];
    }
  };
  const elsewhere = Object.entries(families).map(([name, { discover }]) =>
    discover === undefined ? [] : tried(name, discover),
  );
  const atPorts: DeviceListing[] = [];
  const known: string[] = [];
  for (const [name, { discoverAtPorts }] of Object.entries(families)) {
    if (discoverAtPorts === undefined) continue;
    const found = await tried(name, () => discoverAtPorts({ ...options, skip: known }));
    atPorts.push(...found);
    // A board that answered is not asked again by others.
    known.push(...found.filter(isIdentified).map(portOf));
  }
  const answered = new Set(known);
  const seen = new Set<string>();
  const once = atPorts.filter((one) => {
    const port = portOf(one);
    const isWanted = answered.has(port) ? isIdentified(one) : !seen.has(port);
    seen.add(port);
    return isWanted;
  });
  return { devices: [...(await Promise.all(elsewhere)).flat(), ...once], failures };
}

/** `cyton:/dev/ttyUSB0` -> `/dev/ttyUSB0`. */
function portOf({ address, driver }: DeviceListing): string {
  return address.slice(driver.length + 1);
}

function isIdentified({ name, driver }: DeviceListing): boolean {
  return name !== `${driver}?`;
}

const electrodes = [
  ...['Fp1', 'Fp2', 'C3', 'C4', 'P7', 'P8', 'O1', 'O2', 'F7', 'F8', 'F3', 'F4', 'T7', 'T8', 'P3'],
  ...['P4', 'Fz', 'Cz', 'Pz', 'Oz', 'FC1', 'FC2', 'FC5', 'FC6', 'CP1', 'CP2', 'CP5', 'CP6', 'AF3'],
  ...['AF4', 'PO3', 'PO4'],
];

function montage(channels: number): string[] {
  if (channels >= 1 && channels <= electrodes.length) return electrodes.slice(0, channels);
  throw new EegError('EEG_USAGE', `expected 1 to ${electrodes.length} channels, got ${channels}`);
}
