/** OpenEEG: ModularEEG, Olimex EEG-SMT and what else speaks its P2 or P3. */
import type { DeviceListing } from '../../src/core/daemon-api.js';
import { choice, labelled, numeric, type SerialAddress } from '../serial/address.js';
import { type DiscoverOptions, discoverFamily } from '../serial/discovery.js';
import { eegChannels, plainLabels, SerialDriver } from '../serial/driver.js';
import { type Decoder, type Family, type SerialWorld, serialWorld } from '../serial/session.js';
import { channelsMax, middle, OpenEegDecoder, p2Format, p3Format } from './packet.js';

const known = ['protocol', 'channels', 'rate', 'baud', 'uvPerCount', 'labels'];
/** Nominal of the ModularEEG at its usual gain; calibrate with its 250 uV signal. */
const uvPerCountNominal = 0.5;

export class OpenEegDriver extends SerialDriver {
  /** `openeeg:/dev/ttyUSB0?channels=2&labels=C3,C4`. */
  constructor(address: string, world: Partial<SerialWorld> = {}) {
    super({ address, known, world }, openEegFamily);
  }
}

export function discover(options?: DiscoverOptions): Promise<DeviceListing[]> {
  return discoverFamily(openEegFamily(new Map()), serialWorld, options);
}

export function openEegFamily(options: SerialAddress['options']): Family {
  const protocol = choice(options, 'protocol', ['auto', 'p2', 'p3'], 'auto');
  const channels = numeric(options, 'channels', [1, 2, 3, 4, 5, 6], channelsMax);
  const rateHz = numeric(options, 'rate', [256, 200], 256);
  const baudRate = numeric(options, 'baud', [57600, 115200], 57600);
  const uvPerCount = numeric(options, 'uvPerCount', { min: 0.01, max: 100 }, uvPerCountNominal);
  const labels = labelled(options, plainLabels(channels));
  const decoderOf = (version: 2 | 3): Decoder => {
    const packets = new OpenEegDecoder({ version, channels, uvPerCount });
    return {
      format: version === 2 ? p2Format : p3Format,
      framesHz: rateHz,
      rateHz,
      name: `OpenEEG P${version}`,
      channels: eegChannels(labels, middle * uvPerCount),
      decode: (frame, rows) => packets.decode(frame, rows),
    };
  };
  return {
    name: 'openeeg',
    baudRate,
    async bringUp(dialog) {
      // P2 first: its sync words cannot come by chance, P3's one marked byte can.
      const heard = await dialog.hear([p2Format, p3Format], 16, 2500);
      const version = heard === 0 ? 2 : heard === 1 ? 3 : undefined;
      if (version === undefined) {
        const expected = `OpenEEG P2 or P3 packets at ${baudRate} baud`;
        const hint =
          'the board sends unasked: check its power and the firmware it was flashed with';
        throw dialog.error('EEG_DEVICE_UNAVAILABLE', expected, hint);
      }
      if (protocol !== 'auto' && protocol !== `p${version}`) {
        const expected = `${protocol.toUpperCase()} packets, P${version} came`;
        throw dialog.error('EEG_DEVICE_PROTOCOL', expected, 'leave protocol= out');
      }
      return decoderOf(version);
    },
  };
}
