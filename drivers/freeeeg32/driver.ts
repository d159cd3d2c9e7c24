/** FreeEEG32: 32 channels, streaming from power-up, no commands. */
import type { DeviceListing } from '../../src/core/daemon-api.js';
import { labelled, numeric, type SerialAddress } from '../serial/address.js';
import type { Dialog } from '../serial/dialog.js';
import { type DiscoverOptions, discoverFamily } from '../serial/discovery.js';
import { eegChannels, plainLabels, SerialDriver } from '../serial/driver.js';
import { type Family, type SerialWorld, serialWorld } from '../serial/session.js';
import {
  channelCount,
  countsMax,
  decodeFreeEeg,
  findFrameBytes,
  freeEegFormat,
  uvPerCount,
} from './packet.js';

const known = ['rate', 'baud', 'labels'];

export class FreeEeg32Driver extends SerialDriver {
  /** `freeeeg32:/dev/ttyUSB0?rate=512&labels=...`. */
  constructor(address: string, world: Partial<SerialWorld> = {}) {
    super({ address, known, world }, freeEegFamily);
  }
}

export function discover(options?: DiscoverOptions): Promise<DeviceListing[]> {
  return discoverFamily(freeEegFamily(new Map()), serialWorld, options);
}

export function freeEegFamily(options: SerialAddress['options']): Family {
  const rateHz = numeric(options, 'rate', [512, 500, 256, 250], 512);
  const given = options.has('baud');
  const baudRate = numeric(options, 'baud', [921600, 115200], 921600);
  const labels = labelled(options, plainLabels(channelCount));
  return {
    name: 'freeeeg32',
    baudRate,
    async bringUp(dialog) {
      const rates = given ? [baudRate] : [921600, 115200];
      for (const rate of rates) {
        await dialog.port.setBaudRate(rate);
        dialog.take();
        const frameBytes = await learn(dialog);
        if (frameBytes === undefined) continue;
        const accel = ['accel_x', 'accel_y', 'accel_z'].map((label) => ({
          label,
          kind: 'aux' as const,
          unit: 'count',
        }));
        return {
          format: freeEegFormat(frameBytes),
          framesHz: rateHz,
          rateHz,
          name: 'FreeEEG32',
          channels: [...eegChannels(labels, countsMax * uvPerCount), ...accel],
          decode: decodeFreeEeg,
        };
      }
      const expected = `FreeEEG32 frames (A0 ... C0) at ${rates.join(' or ')} baud`;
      const hint = 'the board sends unasked: check its power and the USB cable to its data port';
      throw dialog.error('EEG_DEVICE_UNAVAILABLE', expected, hint);
    },
  };
}

/** The frame's length, from up to 1.5 s of stream. */
function learn(dialog: Dialog): Promise<number | undefined> {
  return dialog.find(findFrameBytes, 1500);
}
