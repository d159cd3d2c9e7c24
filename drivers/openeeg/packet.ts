/**
 * OpenEEG ModularEEG packets. P2, 17 bytes (J. Hansmann, openeeg.sourceforge.net): A5 5A 02,
 * counter, six 10-bit values as two bytes, high byte first, switches; no checksum. P3, 11 bytes:
 * only the last byte has bit 7, the first two hold a 6-bit counter, every three more two channels.
 */
import type { Frame, FrameFormat } from '../serial/frame-reader.js';
import type { Rows } from '../serial/rows.js';

export const channelsMax = 6;
/** Middle of the 10-bit converter. */
export const middle = 512;

const p2Bytes = 17;
export const p2Format: FrameFormat = {
  maxBytes: p2Bytes,
  headBytes: 4,
  modulo: 256,
  checked: false,
  measure(bytes, at, end) {
    if (bytes[at] !== 0xa5) return -1;
    if (end - at > 1 && bytes[at + 1] !== 0x5a) return -1;
    if (end - at > 2 && bytes[at + 2] !== 2) return -1;
    if (end - at < p2Bytes) return 0;
    for (let i = 4; i < 16; i += 2) if ((bytes[at + i] as number) > 3) return -1;
    return p2Bytes;
  },
  counter: (bytes, at) => bytes[at + 3] as number,
};

const p3Bytes = 11;
export const p3Format: FrameFormat = {
  maxBytes: p3Bytes,
  headBytes: 2,
  modulo: 64,
  checked: false,
  measure(bytes, at, end) {
    const seen = Math.min(end - at, p3Bytes - 1);
    for (let i = 0; i < seen; i++) if ((bytes[at + i] as number) > 127) return -1;
    if (end - at < p3Bytes) return 0;
    return (bytes[at + p3Bytes - 1] as number) > 127 ? p3Bytes : -1;
  },
  counter: (bytes, at) => (bytes[at] as number) >> 1,
};

/** The converter's counts of all six channels. */
export type Unpack = (frame: Frame, counts: Int16Array) => void;

export const unpackP2: Unpack = ({ bytes, at }, counts) => {
  for (let i = 0; i < channelsMax; i++) {
    const from = at + 4 + 2 * i;
    counts[i] = ((bytes[from] as number) << 8) | (bytes[from + 1] as number);
  }
};

export const unpackP3: Unpack = ({ bytes, at }, counts) => {
  for (let pair = 0; pair < channelsMax / 2; pair++) {
    const from = at + 2 + 3 * pair;
    const high = bytes[from + 2] as number;
    counts[2 * pair] = (((high >> 4) & 7) << 7) | ((bytes[from] as number) & 127);
    counts[2 * pair + 1] = ((high & 7) << 7) | ((bytes[from + 1] as number) & 127);
  }
};

export class OpenEegDecoder {
  readonly #unpack: Unpack;
  readonly #channels: number;
  readonly #uvPerCount: number;
  /** Where P2 has its switches; -1 = the protocol has none in every packet. */
  readonly #switchesAt: number;
  readonly #counts = new Int16Array(channelsMax);
  #switches = -1;

  constructor(setup: { version: 2 | 3; channels: number; uvPerCount: number }) {
    this.#unpack = setup.version === 2 ? unpackP2 : unpackP3;
    this.#switchesAt = setup.version === 2 ? 16 : -1;
    this.#channels = setup.channels;
    this.#uvPerCount = setup.uvPerCount;
  }

  decode(frame: Frame, rows: Rows): void {
    rows.skip(frame.lost, frame.discarded > 0 ? 'corrupt' : 'lost');
    this.#unpack(frame, this.#counts);
    const to = rows.add();
    for (let i = 0; i < this.#channels; i++) {
      rows.data[to + i] = ((this.#counts[i] as number) - middle) * this.#uvPerCount;
    }
    if (this.#switchesAt < 0) return;
    const switches = (frame.bytes[frame.at + this.#switchesAt] as number) & 15;
    if (this.#switches >= 0 && switches !== this.#switches) rows.marker(`switches ${switches}`);
    this.#switches = switches;
  }
}
