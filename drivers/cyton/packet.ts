/**
 * The OpenBCI Cyton's 33-byte packet (docs.openbci.com, "Cyton Data Format"): A0, counter, eight
 * 24-bit big-endian values, six auxiliary bytes whose meaning is in the low half of the last byte.
 * With a Daisy, odd counters carry channels 1-8 and even ones 9-16, a pair being even then odd.
 */
import type { Frame, FrameFormat } from '../serial/frame-reader.js';
import type { Rows } from '../serial/rows.js';
import { BoardClock } from './board-clock.js';

export const packetBytes = 33;
const header = 0xa0;

export const cytonFormat: FrameFormat = {
  maxBytes: packetBytes,
  headBytes: 2,
  modulo: 256,
  checked: false,
  measure(bytes, at, end) {
    if (bytes[at] !== header) return -1;
    if (end - at < packetBytes) return 0;
    const footer = bytes[at + packetBytes - 1] as number;
    return footer >= 0xc0 && footer <= 0xc6 ? packetBytes : -1;
  },
  counter: (bytes, at) => bytes[at + 1] as number,
};

export const vref = 4.5;
export const countsMax = 2 ** 23 - 1;
/** Volts of full scale over counts, ADS1299 data sheet (SBAS499C), 9.5.1. */
export function uvPerCount(gain: number): number {
  return (vref / gain / countsMax) * 1e6;
}

/** g per count of the LIS3DH as the board sets it up: 2 mg, left-aligned by 4 bits. */
export const gPerCount = 0.002 / 16;

export type AuxMode = 'accel' | 'analog' | 'digital' | 'marker' | 'none';

export const auxLabels: Readonly<Record<AuxMode, readonly string[]>> = {
  accel: ['accel_x', 'accel_y', 'accel_z'],
  analog: ['A5', 'A6', 'A7'],
  digital: ['D11', 'D12', 'D13', 'D17', 'D18'],
  marker: [],
  none: [],
};

export interface PacketLayout {
  /** Index of the output channel of each of the 8 or 16 inputs; -1 = switched off. */
  readonly channelOf: readonly number[];
  /** Of each input. */
  readonly gains: readonly number[];
  readonly daisy: boolean;
  readonly aux: AuxMode;
  /** Time stamping is on: every packet carries the board's milliseconds. */
  readonly boardStamps: boolean;
}

/** 24-bit two's complement, big-endian. */
export function int24(bytes: Uint8Array, at: number): number {
  const value =
    ((bytes[at] as number) << 24) |
    ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8);
  return value >> 8;
}

export function int16(bytes: Uint8Array, at: number): number {
  return (((bytes[at] as number) << 24) | ((bytes[at + 1] as number) << 16)) >> 16;
}

/** Turns packets into rows. One instance a connection: it counts the pairs of a Daisy. */
export class PacketDecoder {
  readonly #layout: PacketLayout;
  readonly #scale: Float64Array;
  readonly #auxAt: number;
  readonly #auxCount: number;
  readonly #daisyHalf = new Float32Array(8);
  readonly #boardClock = new BoardClock();
  readonly #accelHigh = new Int16Array(3).fill(-1);
  readonly #accel = new Float32Array(3);
  #accelNew = false;
  /** Packets since the connection began, lost ones counted, parity of the board's counter. */
  #packet = -1;
  #evenAt = -1;
  #pairs = -1;
  #corrupt = false;

  constructor(layout: PacketLayout) {
    this.#layout = layout;
    this.#scale = Float64Array.from(layout.gains, uvPerCount);
    this.#auxAt = Math.max(-1, ...layout.channelOf) + 1;
    this.#auxCount = auxLabels[layout.aux].length;
  }

  decode(frame: Frame, rows: Rows): void {
    if (this.#layout.daisy) this.#decodeHalf(frame, rows);
    else {
      rows.skip(frame.lost, frame.discarded > 0 ? 'corrupt' : 'lost');
      const row = rows.add();
      this.#values(frame, { half: 0, into: rows.data, row });
      this.#auxiliary(frame, rows, row);
    }
  }

  #decodeHalf(frame: Frame, rows: Rows): void {
    this.#corrupt ||= frame.discarded > 0;
    this.#packet = this.#packet < 0 ? frame.counter : this.#packet + frame.lost + 1;
    const pair = this.#packet >> 1;
    // The first pair is a mean with what was there before the board began to sample.
    if (this.#pairs < 0) this.#pairs = pair;
    if ((frame.counter & 1) === 0) {
      this.#evenAt = this.#packet;
      this.#raw(frame);
      return;
    }
    if (this.#evenAt !== this.#packet - 1 || pair === this.#pairs) return;
    rows.skip(pair - this.#pairs - 1, this.#corrupt ? 'corrupt' : 'lost');
    this.#corrupt = false;
    this.#pairs = pair;
    const row = rows.add();
    this.#values(frame, { half: 0, into: rows.data, row });
    for (let i = 0; i < 8; i++) {
      const to = this.#layout.channelOf[8 + i] as number;
      if (to >= 0) rows.data[row + to] = this.#daisyHalf[i] as number;
    }
    this.#auxiliary(frame, rows, row);
  }

  /** Keep the Daisy's values, already in uV, until its partner comes. */
  #raw(frame: Frame): void {
    for (let i = 0; i < 8; i++) {
      const counts = int24(frame.bytes, frame.at + 2 + 3 * i);
      this.#daisyHalf[i] = counts * (this.#scale[8 + i] as number);
    }
    this.#accelerometer(frame);
  }

  #values(frame: Frame, to: { half: number; into: Float32Array; row: number }): void {
    const { channelOf } = this.#layout;
    for (let i = 0; i < 8; i++) {
      const channel = channelOf[to.half + i] as number;
      if (channel < 0) continue;
      const counts = int24(frame.bytes, frame.at + 2 + 3 * i);
      to.into[to.row + channel] = counts * (this.#scale[to.half + i] as number);
    }
  }

  #auxiliary(frame: Frame, rows: Rows, row: number): void {
    const { aux } = this.#layout;
    const bytes = frame.bytes;
    const at = frame.at + 26;
    const footer = bytes[frame.at + packetBytes - 1] as number;
    if (this.#layout.boardStamps) {
      const clock = this.#boardClock;
      const { arrivalS } = rows;
      rows.stamp(footer >= 0xc3 ? clock.stamp(bytes, at + 2, arrivalS) : clock.hold(arrivalS));
    }
    if (aux === 'accel') {
      this.#accelerometer(frame);
      if (this.#accelNew) rows.data.set(this.#accel, row + this.#auxAt);
      this.#accelNew = false;
    } else if (aux === 'analog' && footer === 0xc1) {
      for (let i = 0; i < 3; i++) rows.data[row + this.#auxAt + i] = int16(bytes, at + 2 * i);
    } else if (aux === 'digital' && footer === 0xc1) {
      for (let i = 0; i < this.#auxCount; i++) {
        rows.data[row + this.#auxAt + i] = bytes[at + i] as number;
      }
    } else if (aux === 'marker' && footer === 0xc1) {
      const code = int16(bytes, at);
      if (code !== 0) rows.marker(String.fromCharCode(code));
    }
  }

  /** C0 holds all three axes, or zeros between its 25 Hz updates; C3/C4 one byte at a time. */
  #accelerometer(frame: Frame): void {
    if (this.#layout.aux !== 'accel') return;
    const { bytes } = frame;
    const at = frame.at + 26;
    const footer = bytes[frame.at + packetBytes - 1] as number;
    if (footer === 0xc0) {
      const x = int16(bytes, at);
      const y = int16(bytes, at + 2);
      const z = int16(bytes, at + 4);
      if (x === 0 && y === 0 && z === 0) return;
      this.#accel[0] = x * gPerCount;
      this.#accel[1] = y * gPerCount;
      this.#accel[2] = z * gPerCount;
      this.#accelNew = true;
    } else if (footer === 0xc3 || footer === 0xc4) {
      const code = bytes[at] as number;
      const axis = (code & 0xdf) - 0x58;
      if (axis < 0 || axis > 2) return;
      const value = bytes[at + 1] as number;
      if ((code & 0x20) === 0) this.#accelHigh[axis] = value;
      else if ((this.#accelHigh[axis] as number) >= 0) {
        const counts = ((((this.#accelHigh[axis] as number) << 8) | value) << 16) >> 16;
        this.#accel[axis] = counts * gPerCount;
        this.#accelNew = axis === 2;
      }
    }
  }
}
