/**
 * FreeEEG32 frames, after BrainFlow's reading of its firmware: A0, counter, 32 24-bit big-endian
 * values, three 16-bit ones of the accelerometer, C0. 105 bytes, but firmwares differ by a byte or
 * more before the C0, so the distance is learnt from the stream.
 */
import type { Frame, FrameFormat } from '../serial/frame-reader.js';
import type { Rows } from '../serial/rows.js';

export const channelCount = 32;
const begin = 0xa0;
const end = 0xc0;
const frameBytesMin = 2 + 3 * channelCount + 1;
const frameBytesMax = frameBytesMin + 32;
const accelAt = 2 + 3 * channelCount;

/** 2.5 V reference at gain 8 over 23 bits. */
export const uvPerCount = (2.5 / 8 / (2 ** 23 - 1)) * 1e6;
export const countsMax = 2 ** 23 - 1;

export function freeEegFormat(frameBytes: number): FrameFormat {
  return {
    maxBytes: frameBytes,
    headBytes: 2,
    modulo: 256,
    checked: false,
    measure(bytes, at, stop) {
      if (bytes[at] !== begin) return -1;
      if (stop - at < frameBytes) return 0;
      return bytes[at + frameBytes - 1] === end ? frameBytes : -1;
    },
    counter: (bytes, at) => bytes[at + 1] as number,
  };
}

/** Distance of frames in a piece of stream, seen three times running with the counter in step. */
export function findFrameBytes(bytes: Uint8Array): number | undefined {
  for (let length = frameBytesMin; length <= frameBytesMax; length++) {
    for (let at = 1; at + 3 * length + 2 <= bytes.length; at++) {
      if (isFrameStart(bytes, at) && followedBy(bytes, at, length)) return length;
    }
  }
  return undefined;
}

function isFrameStart(bytes: Uint8Array, at: number): boolean {
  return bytes[at - 1] === end && bytes[at] === begin;
}

function followedBy(bytes: Uint8Array, at: number, length: number): boolean {
  for (let k = 1; k <= 3; k++) {
    if (!isFrameStart(bytes, at + k * length)) return false;
    if (bytes[at + k * length + 1] !== (((bytes[at + 1] as number) + k) & 255)) return false;
  }
  return true;
}

export function decodeFreeEeg(frame: Frame, rows: Rows): void {
  rows.skip(frame.lost, frame.discarded > 0 ? 'corrupt' : 'lost');
  const { bytes, at } = frame;
  const to = rows.add();
  for (let i = 0; i < channelCount; i++) {
    const from = at + 2 + 3 * i;
    const high = ((bytes[from] as number) << 24) | ((bytes[from + 1] as number) << 16);
    rows.data[to + i] = ((high | ((bytes[from + 2] as number) << 8)) >> 8) * uvPerCount;
  }
  // A firmware without accelerometer has a shorter frame.
  if (frame.length < accelAt + 7) return;
  for (let i = 0; i < 3; i++) {
    const from = at + accelAt + 2 * i;
    const counts = ((bytes[from] as number) << 24) | ((bytes[from + 1] as number) << 16);
    rows.data[to + channelCount + i] = counts >> 16;
  }
}
