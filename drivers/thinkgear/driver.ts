/** NeuroSky MindWave, MindWave Mobile and TGAM modules. */
import type { DeviceListing } from '../../src/core/daemon-api.js';
import { choice, labelled, type SerialAddress } from '../serial/address.js';
import type { Dialog } from '../serial/dialog.js';
import { type DiscoverOptions, discoverFamily } from '../serial/discovery.js';
import { eegChannels, SerialDriver } from '../serial/driver.js';
import { type Decoder, type Family, type SerialWorld, serialWorld } from '../serial/session.js';
import {
  countsMax,
  rawFormat,
  ThinkGearDecoder,
  thinkgearExtras,
  thinkgearFormat,
  uvPerCount,
} from './packet.js';

const rateHz = 512;
/** Bluetooth and TGAM raw mode, the RF dongle, a TGAM that was not yet told to send raw. */
const baudRates = [57600, 115200, 9600] as const;
/** TGAM at 9600: go to 57600 with raw samples. */
const rawMode = Uint8Array.of(0x02);
/** RF dongle: connect to any headset. */
const autoConnect = Uint8Array.of(0xc2);

export class ThinkGearDriver extends SerialDriver {
  /** `thinkgear:/dev/rfcomm0`; options `baud`, `labels`, `id`. */
  constructor(address: string, world: Partial<SerialWorld> = {}) {
    super({ address, known: ['baud', 'labels'], world }, thinkgearFamily);
  }
}

export function discover(options?: DiscoverOptions): Promise<DeviceListing[]> {
  return discoverFamily(thinkgearFamily(new Map()), serialWorld, options);
}

export function thinkgearFamily(options: SerialAddress['options']): Family {
  const baud = choice(options, 'baud', ['auto', '57600', '115200', '9600'], 'auto');
  const rates = baud === 'auto' ? baudRates : [Number(baud)];
  const labels = labelled(options, ['Fp1']);
  return {
    name: 'thinkgear',
    baudRate: rates[0] as number,
    async bringUp(dialog) {
      for (const rate of rates) if (await listen(dialog, rate)) return decoderOf(labels);
      throw dialog.error(
        'EEG_DEVICE_UNAVAILABLE',
        `ThinkGear packets at ${rates.join(', ')} baud`,
        'switch the headset on and pair it (rfcomm bind 0 <address> makes /dev/rfcomm0)',
      );
    },
  };
}

/** True when raw samples come at this baud rate, after asking for them where that is needed. */
async function listen(dialog: Dialog, baudRate: number): Promise<boolean> {
  await dialog.port.setBaudRate(baudRate);
  dialog.take();
  const heard = await dialog.hear([rawFormat, thinkgearFormat], 2, 1300);
  if (heard === 0) return true;
  if (heard < 0) return false;
  // Packets without raw samples: a dongle that stands by, or a module in its slow mode.
  if (baudRate === 115200) await dialog.send(autoConnect);
  else {
    await dialog.send(rawMode);
    await dialog.port.setBaudRate(57600);
  }
  dialog.take();
  return (await dialog.hear([rawFormat], 2, 10_000)) === 0;
}

function decoderOf(labels: readonly string[]): Decoder {
  const packets = new ThinkGearDecoder();
  const extras = thinkgearExtras.map((label) => ({
    label,
    kind: 'misc' as const,
    unit: label === 'battery' ? 'count' : '%',
  }));
  return {
    format: thinkgearFormat,
    framesHz: rateHz,
    rateHz,
    name: 'NeuroSky ThinkGear',
    manufacturer: 'NeuroSky',
    channels: [...eegChannels(labels, countsMax * uvPerCount), ...extras],
    decode: (frame, rows) => packets.decode(frame, rows),
  };
}
