/** Upside Down Labs boards (BioAmp front ends behind Arduino, Pico, STM32) with Chords firmware. */
import type { DeviceListing } from '../../src/core/daemon-api.js';
import { EegError } from '../../src/core/errors.js';
import { labelled, numeric, type SerialAddress } from '../serial/address.js';
import type { Dialog } from '../serial/dialog.js';
import { type DiscoverOptions, discoverFamily } from '../serial/discovery.js';
import { eegChannels, plainLabels, SerialDriver } from '../serial/driver.js';
import { type Family, type SerialWorld, serialWorld } from '../serial/session.js';
import { type Board, boards, chordsDecode, chordsFormat, uvPerCount } from './packet.js';

const known = ['channels', 'gain', 'baud', 'labels'];
/** Nominal of a BioAmp EXG Pill; another front end needs `gain=`. */
const gainNominal = 2420;
const baudRates = [230400, 115200];
/** Opening the port resets an AVR board, which then is in its boot loader for up to 2 s. */
const questions = 5;
const answerMs = 700;

export class ChordsDriver extends SerialDriver {
  /** `chords:/dev/ttyACM0?channels=2&gain=2420&labels=C3,C4`. */
  constructor(address: string, world: Partial<SerialWorld> = {}) {
    super({ address, known, world }, chordsFamily);
  }
}

export function discover(options?: DiscoverOptions): Promise<DeviceListing[]> {
  return discoverFamily(chordsFamily(new Map()), serialWorld, options);
}

export function chordsFamily(options: SerialAddress['options']): Family {
  const gain = numeric(options, 'gain', { min: 1, max: 1e6 }, gainNominal);
  const rates = options.has('baud') ? [numeric(options, 'baud', baudRates, 0)] : baudRates;
  const wanted = options.has('channels')
    ? numeric(options, 'channels', { min: 1, max: 16 }, 1)
    : options.get('labels')?.split(',').length;
  return {
    name: 'chords',
    baudRate: rates[0] as number,
    stop: 'STOP\n',
    async bringUp(dialog) {
      const { name, board } = await identify(dialog, rates);
      const channels = Math.min(wanted ?? board.channels, board.channels);
      if (wanted !== undefined && wanted > board.channels) {
        const got = `${name} has ${board.channels} channels, ${wanted} were asked for`;
        throw new EegError('EEG_USAGE', `${dialog.port.path}: ${got}`);
      }
      const labels = labelled(options, plainLabels(channels));
      const fullScale = 2 ** (board.bits - 1) * uvPerCount(board, gain);
      await dialog.send('START\n');
      return {
        format: chordsFormat(board.channels),
        framesHz: board.rateHz,
        rateHz: board.rateHz,
        name: `Chords ${name}`,
        manufacturer: 'Upside Down Labs',
        channels: eegChannels(labels, fullScale),
        decode: chordsDecode({ board, channels, gain }),
      };
    },
  };
}

async function identify(
  dialog: Dialog,
  rates: readonly number[],
): Promise<{ name: string; board: Board }> {
  for (const rate of rates) {
    await dialog.port.setBaudRate(rate);
    for (let i = 0; i < questions; i++) {
      await dialog.send('STOP\n');
      await dialog.quiet(60, 400);
      const answer = await dialog.ask({ send: 'WHORU\n', until: /\n/, withinMs: answerMs });
      const name = answer?.trim().split(/\s+/).pop();
      // Samples that were under way may look like a line.
      if (name === undefined || !/^[\w-]+$/.test(name)) continue;
      const board = boards.get(name.toUpperCase());
      if (board !== undefined) return { name, board };
      throw new EegError(
        'EEG_DEVICE_PROTOCOL',
        `${dialog.port.path}: expected the name of a Chords board, got ${JSON.stringify(name)}`,
        { hint: `flash the Chords firmware; known boards: ${[...boards.keys()].join(', ')}` },
      );
    }
  }
  throw dialog.error(
    'EEG_DEVICE_UNAVAILABLE',
    `the name of a Chords board at ${rates.join(' or ')} baud`,
    'flash the Chords firmware onto the board, and close the serial monitor',
  );
}
