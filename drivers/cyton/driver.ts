/** OpenBCI Cyton and Cyton + Daisy over the USB dongle, as a `Driver`. */
import type { DeviceListing } from '../../src/core/daemon-api.js';
import type { ChannelInfo } from '../../src/core/stream.js';
import { choice, labelled, numeric, perChannel, type SerialAddress } from '../serial/address.js';
import type { Dialog } from '../serial/dialog.js';
import { type DiscoverOptions, discoverFamily } from '../serial/discovery.js';
import { SerialDriver } from '../serial/driver.js';
import { type Decoder, type Family, type SerialWorld, serialWorld } from '../serial/session.js';
import { begin, type CytonBoard, type CytonSetup, configure } from './bring-up.js';
import { defaultSettings, gains, inputs, rates } from './commands.js';
import {
  auxLabels,
  countsMax,
  cytonFormat,
  PacketDecoder,
  type PacketLayout,
  uvPerCount,
} from './packet.js';

/** Where OpenBCI's own headset (Ultracortex Mark IV) has its inputs 1-16. */
export const headsetLabels = [
  ...['Fp1', 'Fp2', 'C3', 'C4', 'P7', 'P8', 'O1', 'O2'],
  ...['F7', 'F8', 'F3', 'F4', 'T7', 'T8', 'P3', 'P4'],
];

const onOff = [0, 1] as const;
export const optionNames = [
  ...['daisy', 'gain', 'on', 'input', 'bias', 'srb1', 'srb2', 'rate', 'aux', 'stamps', 'labels'],
];

export interface CytonOptions extends CytonSetup {
  readonly labels: readonly string[];
}

/** Options of an address. Eight values in a list mean that there is no Daisy. */
export function cytonOptions(options: SerialAddress['options']): CytonOptions {
  const word = choice(options, 'daisy', ['auto', '0', '1'], 'auto');
  const eight = word === '0' || (word === 'auto' && hasLists(options, 8));
  const count = eight ? 8 : 16;
  const list = (name: string, allowed: readonly number[], otherwise: number) =>
    perChannel(options, name, { channels: count, allowed, otherwise });
  const on = list('on', onOff, 1);
  const gain = list('gain', gains, 24);
  const bias = list('bias', onOff, 1);
  const srb1 = list('srb1', onOff, 0);
  const srb2 = list('srb2', onOff, 1);
  const input = choice(options, 'input', inputs, 'normal');
  return {
    daisy: eight ? false : word === '1' ? true : 'auto',
    channels: on.map((value, i) => ({
      ...defaultSettings,
      on: value === 1,
      gain: gain[i] as number,
      input,
      bias: bias[i] === 1,
      srb1: srb1[i] === 1,
      srb2: srb2[i] === 1,
    })),
    labels: labelled(options, headsetLabels.slice(0, count)),
    rateHz: numeric(options, 'rate', rates, 250),
    aux: choice(options, 'aux', ['accel', 'analog', 'digital', 'marker', 'none'], 'accel'),
    boardStamps: choice(options, 'stamps', ['0', '1'], '0') === '1',
  };
}

/** Whether an option lists exactly `count` values: then there are so many inputs. */
function hasLists(options: SerialAddress['options'], count: number): boolean {
  return ['gain', 'on', 'bias', 'srb1', 'srb2', 'labels'].some(
    (name) => options.get(name)?.split(',').length === count,
  );
}

export function cytonFamily(options: CytonOptions): Family {
  return {
    name: 'cyton',
    baudRate: 115200,
    stop: 's',
    async bringUp(dialog: Dialog) {
      const board = await configure(dialog, options);
      const decoder = cytonDecoder(options, board);
      await begin(dialog);
      return decoder;
    },
  };
}

/** Exported for tests that feed packets without a board. */
export function cytonDecoder(options: CytonOptions, board: CytonBoard): Decoder {
  const inputsUsed = options.channels.slice(0, board.daisy ? 16 : 8);
  const channels: ChannelInfo[] = [];
  const channelOf = inputsUsed.map((settings, i) => {
    if (!settings.on) return -1;
    const fullScale = uvPerCount(settings.gain) * countsMax;
    const label = options.labels[i] ?? String(i + 1);
    return channels.push({ label, kind: 'eeg', unit: 'uV', fullScale }) - 1;
  });
  for (const label of auxLabels[options.aux]) {
    if (options.aux === 'accel') channels.push({ label, kind: 'accel', unit: 'g' });
    else channels.push({ label, kind: 'aux', unit: 'count' });
  }
  const layout: PacketLayout = {
    channelOf,
    gains: inputsUsed.map((settings) => settings.gain),
    daisy: board.daisy,
    boardStamps: options.boardStamps,
    aux: options.aux,
  };
  const packets = new PacketDecoder(layout);
  const model = board.daisy ? 'Cyton + Daisy' : 'Cyton';
  return {
    format: cytonFormat,
    framesHz: options.rateHz,
    // The radio carries 250 packets a second, so a pair of a Daisy comes at half the rate.
    rateHz: board.daisy ? options.rateHz / 2 : options.rateHz,
    name: `OpenBCI ${model} ${board.firmware}`,
    manufacturer: 'OpenBCI',
    channels,
    decode: (frame, rows) => packets.decode(frame, rows),
  };
}

export class CytonDriver extends SerialDriver {
  /** `cyton:/dev/serial/by-id/...?daisy=1&gain=24`; without a path the dongle is looked for. */
  constructor(address: string, world: Partial<SerialWorld> = {}) {
    super({ address, known: optionNames, world }, (options) => cytonFamily(cytonOptions(options)));
  }
}

export function discover(options?: DiscoverOptions): Promise<DeviceListing[]> {
  return discoverFamily(cytonFamily(cytonOptions(new Map())), serialWorld, options);
}
