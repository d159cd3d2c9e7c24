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
  discover?(): Promise<DeviceListing[]>;
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
  discover(): Promise<DeviceListing[]>;
}

/** A family at a serial port reads its address itself. */
function serial(load: () => Promise<SerialModule>): Family {
  return {
    async open(address, _, { clock }) {
      const { Driver: SerialDriver } = await load();
      return new SerialDriver(address, clock === undefined ? {} : { clock });
    },
    async discover() {
      return (await load()).discover();
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

/** What can be connected now; a family that cannot look says why in `failures`. */
export async function discoverDevices(): Promise<{ devices: DeviceListing[]; failures: string[] }> {
  const failures: string[] = [];
  const found = await Promise.all(
    Object.entries(families).map(async ([name, family]) => {
      try {
        return (await family.discover?.()) ?? [];
      } catch (error) {
        failures.push(`${name}: ${toEegError(error).line}`);
        return [];
      }
    }),
  );
  return { devices: found.flat(), failures };
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
