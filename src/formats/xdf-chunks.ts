/**
 * The chunks of an XDF file (specification 1.0, sccn/xdf wiki): `length, tag, content`. Read once
 * from front to back: headers, clock offsets, stamps and strings are kept; of numeric samples only
 * where they lie. A damaged chunk costs what stands until the next boundary chunk.
 */
import { type ByteFile, readBytesMax } from './byte-file.js';
import { parseXml, textAt, type XmlElement } from './xml.js';

export const valueBytes = {
  int8: 1,
  int16: 2,
  int32: 4,
  int64: 8,
  float32: 4,
  double64: 8,
} as const;

export type XdfFormat = keyof typeof valueBytes | 'string';

/** Content of a boundary chunk. */
export const boundaryUuid = Buffer.from('43a546dccbf5410fb30ed5467383cbe4', 'hex');

export const xdfTag = {
  fileHeader: 1,
  streamHeader: 2,
  samples: 3,
  clockOffset: 4,
  boundary: 5,
  streamFooter: 6,
} as const;

export interface ClockOffset {
  readonly timeS: number;
  readonly offsetS: number;
  /** Samples of the stream that stand before it in the file. */
  readonly sample: number;
}

/** Where the samples of one chunk lie. */
export interface SampleSpan {
  readonly first: number;
  readonly count: number;
  /** File offset and length of the samples, the count left out. */
  readonly at: number;
  readonly bytes: number;
}

export interface XdfStreamChunks {
  readonly id: number;
  readonly header: XmlElement;
  readonly name: string;
  readonly type: string;
  readonly format: XdfFormat;
  readonly channelCount: number;
  /** Nominal; 0 = irregular. */
  readonly rateHz: number;
  /** As written (deduced ones filled in), in the clock of the sender. */
  readonly stamps: Float64Array;
  readonly offsets: readonly ClockOffset[];
  readonly spans: readonly SampleSpan[];
  /** `[samples][channels]` of a string stream. */
  readonly texts: readonly (readonly string[])[];
  readonly footer?: XmlElement;
}

export interface XdfChunks {
  readonly header: XmlElement | undefined;
  readonly streams: readonly XdfStreamChunks[];
  readonly notes: readonly string[];
}

class Stream {
  footer: XmlElement | undefined;
  readonly offsets: ClockOffset[] = [];
  readonly spans: SampleSpan[] = [];
  readonly texts: string[][] = [];
  stamps = new Float64Array(1024);
  count = 0;
  last = 0;

  constructor(
    readonly id: number,
    readonly header: XmlElement,
    readonly name: string,
    readonly type: string,
    readonly format: XdfFormat,
    readonly channelCount: number,
    readonly rateHz: number,
  ) {}

  push(stamp: number): void {
    if (this.count === this.stamps.length) {
      const grown = new Float64Array(this.stamps.length * 2);
      grown.set(this.stamps);
      this.stamps = grown;
    }
    this.stamps[this.count++] = stamp;
    this.last = stamp;
  }
}

/** @throws EegError EEG_FILE_FORMAT where a stream header cannot be used at all. */
export function readXdfChunks(file: ByteFile): XdfChunks {
  return new Scanner(file).scan();
}

const windowBytes = 1024 * 1024;

class Scanner {
  readonly #file: ByteFile;
  readonly #streams = new Map<number, Stream>();
  readonly #notes: string[] = [];
  #header: XmlElement | undefined;
  #window: Buffer = Buffer.alloc(0);
  #windowAt = 0;
  #damaged = 0;

  constructor(file: ByteFile) {
    this.#file = file;
  }

  scan(): XdfChunks {
    let position = 4;
    while (position < this.#file.bytes) {
      const next = this.#chunk(position);
      if (next !== undefined) {
        position = next;
        continue;
      }
      const found = this.#nextBoundary(position);
      if (found === undefined) {
        this.#notes.push(`the file ends inside a chunk: ${this.#file.bytes - position} bytes lost`);
        break;
      }
      this.#damaged += found - position;
      position = found;
    }
    if (this.#damaged > 0) this.#notes.push(`${this.#damaged} damaged bytes were skipped`);
    const streams = [...this.#streams.values()].map((stream) => ({
      ...stream,
      stamps: stream.stamps.subarray(0, stream.count),
      ...(stream.footer === undefined ? {} : { footer: stream.footer }),
    }));
    return { header: this.#header, streams: streams as XdfStreamChunks[], notes: this.#notes };
  }

  /** Takes in the chunk at `position`; the next one's position, or undefined where it is damaged. */
  #chunk(position: number): number | undefined {
    const head = this.#bytes(position, Math.min(11, this.#file.bytes - position));
    const length = varLength(head, 0);
    if (length === undefined || length.value < 2 || length.value > readBytesMax) return undefined;
    const content = position + length.size + 2;
    const end = position + length.size + length.value;
    if (head.length < length.size + 2 || end > this.#file.bytes) return undefined;
    const tag = head.readUInt16LE(length.size);
    return this.#content(tag, content, end - content) ? end : undefined;
  }

  #content(tag: number, position: number, length: number): boolean {
    const bytes = this.#bytes(position, length);
    if (tag === xdfTag.fileHeader) {
      this.#header = parseXml(bytes.toString('utf8'));
      return true;
    }
    if (tag === xdfTag.boundary) return bytes.equals(boundaryUuid);
    // Tags of later versions are passed over.
    if (tag > xdfTag.streamFooter) return tag < 64;
    if (tag < 1 || length < 4) return false;
    const id = bytes.readUInt32LE(0);
    const rest = bytes.subarray(4);
    if (tag === xdfTag.streamHeader) return this.#streamHeader(id, rest);
    const stream = this.#streams.get(id);
    if (stream === undefined) return false;
    if (tag === xdfTag.samples) return readSamples(stream, rest, position + 4);
    if (tag === xdfTag.streamFooter) {
      stream.footer = parseXml(rest.toString('utf8'));
      return true;
    }
    if (rest.length < 16) return false;
    const timeS = rest.readDoubleLE(0);
    const offsetS = rest.readDoubleLE(8);
    if (Number.isFinite(timeS) && Number.isFinite(offsetS)) {
      stream.offsets.push({ timeS, offsetS, sample: stream.count });
    }
    return true;
  }

  #streamHeader(id: number, bytes: Buffer): boolean {
    if (this.#streams.has(id)) return true;
    const fault = (field: string, expected: string, came: string): never => {
      throw this.#file.fault(`header of stream ${id}: ${field}`, expected, came);
    };
    const header = parseXml(bytes.toString('utf8'));
    if (header === undefined) return false;
    const format = textAt(header, 'channel_format').toLowerCase();
    if (!(format in valueBytes) && format !== 'string') {
      fault('channel_format', `${Object.keys(valueBytes).join(', ')} or string`, `"${format}"`);
    }
    const count = Number(textAt(header, 'channel_count') || NaN);
    if (!Number.isInteger(count) || count < 0 || count > 65_536) {
      fault('channel_count', 'a whole number up to 65536', textAt(header, 'channel_count'));
    }
    const rateHz = Number(textAt(header, 'nominal_srate') || 0);
    if (!(rateHz >= 0 && rateHz < 1e7)) {
      fault('nominal_srate', 'a rate of 0 (irregular) or more', textAt(header, 'nominal_srate'));
    }
    const name = textAt(header, 'name');
    const type = textAt(header, 'type');
    const made = new Stream(id, header, name, type, format as XdfFormat, count, rateHz);
    this.#streams.set(id, made);
    return true;
  }

  /** Position after the next boundary chunk. */
  #nextBoundary(from: number): number | undefined {
    const overlap = boundaryUuid.length - 1;
    for (let at = from + 1; at < this.#file.bytes; at += windowBytes - overlap) {
      const bytes = this.#bytes(at, Math.min(windowBytes, this.#file.bytes - at));
      const found = bytes.indexOf(boundaryUuid);
      if (found >= 0) return at + found + boundaryUuid.length;
    }
    return undefined;
  }

  #bytes(position: number, length: number): Buffer {
    const from = position - this.#windowAt;
    if (from >= 0 && from + length <= this.#window.length) {
      return this.#window.subarray(from, from + length);
    }
    if (length > windowBytes) return this.#file.read(position, length, 'chunk');
    const size = Math.min(windowBytes, this.#file.bytes - position);
    this.#window = this.#file.read(position, size, 'chunk');
    this.#windowAt = position;
    return this.#window.subarray(0, length);
  }
}

/** A length of 1, 4 or 8 bytes, itself preceded by one byte that says which. */
export function varLength(bytes: Buffer, at: number): { value: number; size: number } | undefined {
  const width = bytes[at];
  if ((width !== 1 && width !== 4 && width !== 8) || at + 1 + width > bytes.length)
    return undefined;
  const value =
    width === 1
      ? bytes.readUInt8(at + 1)
      : width === 4
        ? bytes.readUInt32LE(at + 1)
        : Number(bytes.readBigUInt64LE(at + 1));
  return { value, size: 1 + width };
}

/** All or nothing: a chunk that does not add up leaves the stream as it was. */
function readSamples(stream: Stream, bytes: Buffer, position: number): boolean {
  const count = varLength(bytes, 0);
  if (count === undefined || count.value > bytes.length) return false;
  const before = { count: stream.count, last: stream.last, texts: stream.texts.length };
  const step = stream.rateHz > 0 ? 1 / stream.rateHz : 0;
  let at = count.size;
  for (let i = 0; i < count.value; i++) {
    const stampBytes = bytes[at];
    let stamp = stream.last + step;
    if (stampBytes === 8 && at + 9 <= bytes.length) stamp = bytes.readDoubleLE(at + 1);
    else if (stampBytes !== 0) return revert(stream, before);
    at += 1 + (stampBytes as number);
    const values = stream.format === 'string' ? readTexts(stream, bytes, at) : numericBytes(stream);
    at += values;
    if (values < 0 || at > bytes.length) return revert(stream, before);
    stream.push(stamp);
  }
  if (at !== bytes.length) return revert(stream, before);
  if (count.value > 0) {
    const span = { first: before.count, count: count.value };
    stream.spans.push({ ...span, at: position + count.size, bytes: bytes.length - count.size });
  }
  return true;
}

function numericBytes(stream: Stream): number {
  return stream.channelCount * valueBytes[stream.format as keyof typeof valueBytes];
}

function readTexts(stream: Stream, bytes: Buffer, from: number): number {
  const row: string[] = [];
  let at = from;
  for (let c = 0; c < stream.channelCount; c++) {
    const length = varLength(bytes, at);
    if (length === undefined || at + length.size + length.value > bytes.length) return -1;
    at += length.size;
    row.push(bytes.toString('utf8', at, at + length.value));
    at += length.value;
  }
  stream.texts.push(row);
  return at - from;
}

function revert(stream: Stream, before: { count: number; last: number; texts: number }): false {
  stream.count = before.count;
  stream.last = before.last;
  stream.texts.length = before.texts;
  return false;
}
