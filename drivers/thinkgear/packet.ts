/**
 * NeuroSky ThinkGear packets (developer.neurosky.com, "ThinkGear Serial Stream Guide"): AA AA,
 * length, payload, checksum. The payload is rows of a code and one byte, or, for codes from 80 on,
 * a length and so many bytes. There is no packet counter.
 */
import type { Frame, FrameFormat } from '../serial/frame-reader.js';
import type { Rows } from '../serial/rows.js';

const sync = 0xaa;
const payloadMax = 169;
export const rawCode = 0x80;
const rawPacketBytes = 8;
/** The packet of once a second: AA AA, 20, poor signal, powers, attention, meditation, checksum. */
const powerPacketBytes = 36;

/** 1.8 V over 4096 steps, amplified 2000 times (support.neurosky.com, raw values to voltage). */
export const uvPerCount = (1.8 / 4096 / 2000) * 1e6;
/** The converter has 12 bits. */
export const countsMax = 2048;

export const thinkgearFormat: FrameFormat = {
  maxBytes: payloadMax + 4,
  headBytes: 3,
  modulo: 0,
  checked: true,
  measure(bytes, at, end) {
    if (bytes[at] !== sync) return -1;
    if (end - at < 3) return end - at === 2 && bytes[at + 1] !== sync ? -1 : 0;
    const payload = bytes[at + 2] as number;
    // A length of AA is one more sync byte; the packet begins one later.
    if (bytes[at + 1] !== sync || payload > payloadMax) return -1;
    if (end - at < payload + 4) return 0;
    let sum = 0;
    for (let i = 0; i < payload; i++) sum += bytes[at + 3 + i] as number;
    return (~sum & 0xff) === bytes[at + 3 + payload] ? payload + 4 : -1;
  },
  counter: () => 0,
};

/** Only packets that carry a raw sample: tells raw mode from the slow one. */
export const rawFormat: FrameFormat = {
  ...thinkgearFormat,
  measure(bytes, at, end) {
    const length = thinkgearFormat.measure(bytes, at, end);
    return length > 0 && bytes[at + 3] !== rawCode ? -1 : length;
  },
};

/** Columns after the EEG, in this order. */
export const thinkgearExtras = ['poor_signal', 'attention', 'meditation', 'battery'] as const;
const extraOfCode = new Map([
  [0x02, 1],
  [0x04, 2],
  [0x05, 3],
  [0x01, 4],
]);

export class ThinkGearDecoder {
  /** Values since the last raw sample; they go out with the next. */
  readonly #extras = new Float32Array(thinkgearExtras.length).fill(Number.NaN);

  decode(frame: Frame, rows: Rows): void {
    rows.skip(frame.lost + lostIn(frame.discarded), frame.discarded > 0 ? 'corrupt' : 'lost');
    const end = frame.at + frame.length - 1;
    for (let at = frame.at + 3; at < end; ) {
      // Extended code levels are defined for nothing yet: their rows are skipped.
      let extended = 0;
      while (at < end && frame.bytes[at] === 0x55) {
        at++;
        extended++;
      }
      const code = frame.bytes[at++] as number;
      const length = code < 0x80 ? 1 : (frame.bytes[at++] as number);
      if (at + length > end) return;
      if (extended === 0) this.#row(frame.bytes, { code, at, length }, rows);
      at += length;
    }
  }

  #row(bytes: Uint8Array, row: { code: number; at: number; length: number }, rows: Rows): void {
    const { code, at, length } = row;
    const extra = extraOfCode.get(code);
    if (extra !== undefined) this.#extras[extra - 1] = bytes[at] as number;
    else if (code === 0x16) rows.marker(`blink ${bytes[at]}`);
    else if (code === rawCode && length === 2) {
      const counts = (((bytes[at] as number) << 24) | ((bytes[at + 1] as number) << 16)) >> 16;
      const to = rows.add();
      rows.data[to] = counts * uvPerCount;
      rows.data.set(this.#extras, to + 1);
      this.#extras.fill(Number.NaN);
    }
  }
}

/** Raw samples in so many damaged bytes; a damaged power packet leaves a remainder of its own. */
export function lostIn(discarded: number): number {
  const power = discarded >= powerPacketBytes && discarded % rawPacketBytes === 4;
  return Math.round((power ? discarded - powerPacketBytes : discarded) / rawPacketBytes);
}
