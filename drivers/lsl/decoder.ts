/**
 * Samples of protocol 1.10 from bytes that may be cut anywhere. Numeric values go straight from
 * the receive buffer into a typed array: no allocation per sample. A sample is a tag (1 = stamp
 * deduced, 2 = a double follows) and then one value per channel; a string value is the size of its
 * length (1, 2, 4 or 8), the length, and UTF-8.
 */
import { LslError } from './errors.js';
import { makeNumericArray, type NumericArray, type SampleFormat, valueBytes } from './formats.js';

export interface DecoderOptions {
  readonly format: SampleFormat;
  readonly channels: number;
  readonly rateHz: number;
  /** Byte order on the wire. */
  readonly littleEndian: boolean;
  /** Longest string accepted, bytes. */
  readonly stringBytesMax?: number;
  /** Samples that open the feed; their stamps are no base for deduced ones. */
  readonly patternSamples?: number;
}

export interface DecodedSamples {
  readonly frames: number;
  /** `[frames, channels]`. */
  readonly data: NumericArray | string[];
  /** Sender's clock; NaN where the feed began with deduced stamps, so that none is known. */
  readonly stamps: Float64Array;
}

/** Size of the arrays that chunks are cut from, bytes. */
const slabBytes = 16 * 1024;

const littleEndianHost = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

export class SampleDecoder {
  readonly #options: DecoderOptions;
  readonly #payloadBytes: number;
  readonly #stringBytesMax: number;
  /** Frames that the arrays hold; `#begin` of them were taken, `#frames` wait behind those. */
  #capacity: number;
  #begin = 0;
  #frames = 0;
  #stamps: Float64Array;
  #numbers: NumericArray;
  /** int64 values are moved as two halves: reading a BigInt would allocate it. */
  #halves: Int32Array | undefined;
  #strings: string[] = [];
  #stampS = Number.NaN;
  #patternLeft: number;
  /** Beginning of a sample whose end has not come yet. */
  #carry = Buffer.alloc(256);
  #carried = 0;
  #carryView = viewOf(this.#carry);
  #lastView: DataView | undefined;
  /** Bytes from the sample's begin that are needed to go on. */
  #needed = 1;

  constructor(options: DecoderOptions) {
    this.#options = options;
    this.#payloadBytes = options.channels * valueBytes[options.format];
    this.#stringBytesMax = options.stringBytesMax ?? 16 * 1024 * 1024;
    this.#patternLeft = options.patternSamples ?? 0;
    this.#capacity = Math.max(16, Math.ceil(slabBytes / (8 + this.#payloadBytes)));
    this.#stamps = new Float64Array(this.#capacity);
    this.#numbers = this.#makeNumbers(this.#capacity);
  }

  /** Frames decoded and not taken yet. */
  get frames(): number {
    return this.#frames;
  }

  /** Bytes held of an unfinished sample. */
  get pendingBytes(): number {
    return this.#carried;
  }

  /** Throws `LslError` (`protocol`) on bytes that are no sample; the feed is then useless. */
  push(bytes: Uint8Array, start = 0, end = bytes.byteLength): void {
    let at = start;
    while (this.#carried > 0 && at < end) at = this.#complete(bytes, at, end);
    const view = this.#viewOf(bytes);
    while (at < end && this.#isWhole(view, at, end)) {
      this.#read(view, at);
      at += this.#needed;
    }
    if (at < end) this.#keep(bytes, at, end);
  }

  /**
   * Everything decoded since the last call; undefined = nothing. The arrays are the caller's, never
   * written to again, but views: many small chunks share a buffer, which saves its allocation.
   */
  take(): DecodedSamples | undefined {
    const frames = this.#frames;
    if (frames === 0) return undefined;
    const from = this.#begin;
    const to = from + frames;
    this.#begin = to;
    this.#frames = 0;
    const stamps = this.#stamps.subarray(from, to);
    if (this.#options.format === 'string') {
      const data = this.#strings;
      this.#strings = [];
      return { frames, data, stamps };
    }
    const { channels } = this.#options;
    return { frames, data: this.#numbers.subarray(from * channels, to * channels), stamps };
  }

  /** Move bytes to the carried sample until it is whole or they are used up; where we are then. */
  #complete(bytes: Uint8Array, start: number, end: number): number {
    let at = start;
    while (!this.#isWhole(this.#carryView, 0, this.#carried)) {
      if (at >= end) return at;
      const missing = Math.min(this.#needed - this.#carried, end - at);
      this.#reserve(this.#carried + missing);
      // A loop, not set(): a subarray would be an allocation, and these are few bytes.
      if (missing > 512) this.#carry.set(bytes.subarray(at, at + missing), this.#carried);
      else for (let i = 0; i < missing; i++) this.#carry[this.#carried + i] = bytes[at + i] ?? 0;
      this.#carried += missing;
      at += missing;
    }
    this.#read(this.#carryView, 0);
    this.#carried = 0;
    return at;
  }

  #keep(bytes: Uint8Array, at: number, end: number): void {
    this.#reserve(end - at);
    this.#carry.set(bytes.subarray(at, end), 0);
    this.#carried = end - at;
  }

  #reserve(length: number): void {
    if (length <= this.#carry.byteLength) return;
    const larger = Buffer.alloc(Math.max(length, 2 * this.#carry.byteLength));
    larger.set(this.#carry.subarray(0, this.#carried));
    this.#carry = larger;
    this.#carryView = viewOf(larger);
  }

  /** Is a whole sample at `at`? `#needed` is then its size, else the bytes needed to tell more. */
  #isWhole(view: DataView, at: number, end: number): boolean {
    const available = end - at;
    this.#needed = 1;
    if (available < 1) return false;
    const tag = view.getUint8(at);
    if (tag !== 1 && tag !== 2)
      throw new LslError('protocol', `expected a sample's tag 1 or 2, got ${tag}`);
    const header = tag === 2 ? 9 : 1;
    this.#needed = header + this.#payloadBytes;
    if (this.#options.format === 'string')
      return this.#areStringsWhole(view, at, header, available);
    return available >= this.#needed;
  }

  #areStringsWhole(view: DataView, at: number, header: number, available: number): boolean {
    let size = header;
    for (let k = 0; k < this.#options.channels; k++) {
      this.#needed = size + 1;
      if (available < this.#needed) return false;
      const lengthBytes = view.getUint8(at + size);
      this.#needed = size + 1 + lengthBytes;
      if (lengthBytes !== 1 && lengthBytes !== 2 && lengthBytes !== 4 && lengthBytes !== 8)
        throw new LslError(
          'protocol',
          `expected a length of 1, 2, 4 or 8 bytes, got ${lengthBytes}`,
        );
      if (available < this.#needed) return false;
      const length = this.#length(view, at + size + 1, lengthBytes);
      if (length > this.#stringBytesMax)
        throw new LslError(
          'protocol',
          `expected a string of at most ${this.#stringBytesMax} bytes, got ${length}`,
        );
      size = this.#needed + length;
    }
    this.#needed = size;
    return available >= size;
  }

  #length(view: DataView, at: number, bytes: number): number {
    const little = this.#options.littleEndian;
    if (bytes === 1) return view.getUint8(at);
    if (bytes === 2) return view.getUint16(at, little);
    if (bytes === 4) return view.getUint32(at, little);
    return Number(view.getBigUint64(at, little));
  }

  #read(view: DataView, at: number): void {
    const { rateHz, littleEndian, format } = this.#options;
    const place = this.#begin + this.#frames;
    if (place === this.#capacity) {
      this.#renew();
      this.#read(view, at);
      return;
    }
    let from = at + 1;
    if (view.getUint8(at) === 2) {
      this.#stampS = view.getFloat64(from, littleEndian);
      from += 8;
    } else if (rateHz > 0) this.#stampS += 1 / rateHz;
    this.#stamps[place] = this.#stampS;
    if (this.#patternLeft > 0 && --this.#patternLeft === 0) this.#stampS = Number.NaN;
    if (format === 'string') this.#readStrings(view, from);
    else this.#readNumbers(view, from, place * this.#options.channels);
    this.#frames++;
  }

  #readNumbers(view: DataView, from: number, to: number): void {
    const { channels, littleEndian: little, format } = this.#options;
    const out = this.#numbers as Float64Array;
    switch (format) {
      case 'float32':
        for (let k = 0; k < channels; k++) out[to + k] = view.getFloat32(from + 4 * k, little);
        return;
      case 'double64':
        for (let k = 0; k < channels; k++) out[to + k] = view.getFloat64(from + 8 * k, little);
        return;
      case 'int32':
        for (let k = 0; k < channels; k++) out[to + k] = view.getInt32(from + 4 * k, little);
        return;
      case 'int16':
        for (let k = 0; k < channels; k++) out[to + k] = view.getInt16(from + 2 * k, little);
        return;
      case 'int8':
        for (let k = 0; k < channels; k++) out[to + k] = view.getInt8(from + k);
        return;
      default:
        this.#readHalves(view, from, to);
    }
  }

  #readHalves(view: DataView, from: number, to: number): void {
    const out = this.#halves;
    if (out === undefined) return;
    const little = this.#options.littleEndian;
    const first = little === littleEndianHost ? 0 : 1;
    for (let k = 0; k < this.#options.channels; k++) {
      out[2 * (to + k)] = view.getInt32(from + 8 * k + 4 * first, little);
      out[2 * (to + k) + 1] = view.getInt32(from + 8 * k + 4 * (1 - first), little);
    }
  }

  #readStrings(view: DataView, from: number): void {
    let at = from;
    for (let k = 0; k < this.#options.channels; k++) {
      const lengthBytes = view.getUint8(at);
      const length = this.#length(view, at + 1, lengthBytes);
      at += 1 + lengthBytes;
      const bytes = Buffer.from(view.buffer, view.byteOffset + at, length);
      this.#strings.push(bytes.toString('utf8'));
      at += length;
    }
  }

  /** New arrays: those that are full belong to whoever took them. */
  #renew(): void {
    const { channels } = this.#options;
    const [begin, frames] = [this.#begin, this.#frames];
    if (frames > this.#capacity / 2) this.#capacity *= 2;
    const stamps = this.#stamps.subarray(begin, begin + frames);
    const numbers = this.#numbers.subarray(begin * channels, (begin + frames) * channels);
    this.#begin = 0;
    this.#stamps = new Float64Array(this.#capacity);
    this.#stamps.set(stamps);
    this.#numbers = this.#makeNumbers(this.#capacity);
    (this.#numbers as Float64Array).set(numbers as Float64Array);
  }

  #makeNumbers(frames: number): NumericArray {
    const { format, channels } = this.#options;
    if (format === 'string') return new Float32Array(0);
    const numbers = makeNumericArray(format, frames * channels);
    this.#halves = format === 'int64' ? new Int32Array(numbers.buffer) : undefined;
    return numbers;
  }

  /** The receive buffer is the same one at every read, so its view is made once. */
  #viewOf(bytes: Uint8Array): DataView {
    const last = this.#lastView;
    if (
      last?.buffer === bytes.buffer &&
      last.byteOffset === bytes.byteOffset &&
      last.byteLength === bytes.byteLength
    )
      return last;
    this.#lastView = viewOf(bytes);
    return this.#lastView;
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
