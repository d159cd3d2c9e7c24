/**
 * Packets of Upside Down Labs' Chords firmware: C7 7C, counter, one 16-bit big-endian value for
 * each channel, 01. Values are what the microcontroller's converter read.
 */
import type { Frame, FrameFormat } from '../serial/frame-reader.js';
import type { Rows } from '../serial/rows.js';

export interface Board {
  readonly channels: number;
  readonly rateHz: number;
  readonly bits: number;
  /** Reference of the converter, V. */
  readonly vref: number;
}

/** By the name a board answers to WHORU with (Chords-Arduino-Firmware). */
export const boards: ReadonlyMap<string, Board> = new Map([
  ['UNO-R3', { channels: 6, rateHz: 250, bits: 10, vref: 5 }],
  ['UNO-CLONE', { channels: 6, rateHz: 250, bits: 10, vref: 5 }],
  ['GENUINO-UNO', { channels: 6, rateHz: 250, bits: 10, vref: 5 }],
  ['UNO-R4', { channels: 6, rateHz: 500, bits: 14, vref: 5 }],
  ['NANO', { channels: 8, rateHz: 250, bits: 10, vref: 5 }],
  ['MEGA-2560', { channels: 16, rateHz: 250, bits: 10, vref: 5 }],
  ['RPI-PICO-RP2040', { channels: 3, rateHz: 500, bits: 12, vref: 3.3 }],
  ['STM32F4-BLACK-PILL', { channels: 8, rateHz: 500, bits: 12, vref: 3.3 }],
  ['STM32G4-CORE-BOARD', { channels: 16, rateHz: 500, bits: 12, vref: 3.3 }],
  ['GIGA-R1', { channels: 6, rateHz: 500, bits: 16, vref: 3.3 }],
  ['NPG-LITE', { channels: 3, rateHz: 500, bits: 12, vref: 3.3 }],
]);

export function chordsFormat(channels: number): FrameFormat {
  const frameBytes = 2 * channels + 4;
  return {
    maxBytes: frameBytes,
    headBytes: 3,
    modulo: 256,
    checked: false,
    measure(bytes, at, end) {
      if (bytes[at] !== 0xc7) return -1;
      if (end - at > 1 && bytes[at + 1] !== 0x7c) return -1;
      if (end - at < frameBytes) return 0;
      return bytes[at + frameBytes - 1] === 0x01 ? frameBytes : -1;
    },
    counter: (bytes, at) => bytes[at + 2] as number,
  };
}

/** Microvolts at the electrode for one count, behind a front end of that gain. */
export function uvPerCount(board: Board, gain: number): number {
  return (board.vref / 2 ** board.bits / gain) * 1e6;
}

/** A decoder of the first `channels` of the board's channels. */
export function chordsDecode(setup: { board: Board; channels: number; gain: number }) {
  const scale = uvPerCount(setup.board, setup.gain);
  const middle = 2 ** (setup.board.bits - 1);
  return (frame: Frame, rows: Rows): void => {
    rows.skip(frame.lost, frame.discarded > 0 ? 'corrupt' : 'lost');
    const { bytes, at } = frame;
    const to = rows.add();
    for (let i = 0; i < setup.channels; i++) {
      const from = at + 3 + 2 * i;
      const counts = ((bytes[from] as number) << 8) | (bytes[from + 1] as number);
      rows.data[to + i] = (counts - middle) * scale;
    }
  };
}
