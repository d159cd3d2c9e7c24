/**
 * Data records of EDF, BDF and GDF: per record, each signal's samples one after the other. Read by
 * position through one block, so that memory does not grow with the file.
 */
import type { ByteFile } from './byte-file.js';

/** Records are read in blocks up to this size; of larger records only the samples asked for. */
const blockBytesMax = 256 * 1024;

/** One signal's place in a record, and how its samples become values. */
export interface Column {
  /** Byte offset in the record. */
  readonly at: number;
  /** Bytes of a sample. */
  readonly size: number;
  readonly decode: (bytes: Buffer, at: number) => number;
  readonly gain: number;
  readonly offset: number;
  /** Digital value that stands for no value; NaN = none does. */
  readonly noValue: number;
}

export class RecordReader {
  readonly #records: RecordBlocks;
  readonly #columns: readonly Column[];
  readonly #perRecord: number;

  constructor(
    file: ByteFile,
    start: number,
    recordBytes: number,
    columns: readonly Column[],
    perRecord: number,
  ) {
    this.#records = new RecordBlocks(file, start, recordBytes);
    this.#columns = columns;
    this.#perRecord = perRecord;
  }

  /** `[frames, columns]`. */
  read(startFrame: number, frames: number): Float32Array {
    const out = new Float32Array(frames * this.#columns.length);
    for (let done = 0; done < frames; ) {
      const record = Math.floor((startFrame + done) / this.#perRecord);
      const from = startFrame + done - record * this.#perRecord;
      const count = Math.min(this.#perRecord - from, frames - done);
      this.#decode(record, from, count, out, done);
      done += count;
    }
    return out;
  }

  #decode(record: number, from: number, count: number, out: Float32Array, row: number): void {
    const width = this.#columns.length;
    for (let c = 0; c < width; c++) {
      const { at, size, decode, gain, offset, noValue } = this.#columns[c] as Column;
      const bytes = this.#records.slice(record, at + from * size, count * size);
      for (let i = 0; i < count; i++) {
        const digital = decode(bytes, i * size);
        out[(row + i) * width + c] = digital === noValue ? Number.NaN : digital * gain + offset;
      }
    }
  }
}

/** Parts of data records, through one block kept of the file. */
export class RecordBlocks {
  readonly #file: ByteFile;
  readonly #start: number;
  readonly #recordBytes: number;
  readonly #perBlock: number;
  #block = -1;
  #bytes: Buffer = Buffer.alloc(0);

  /** `start`: file offset of the first record. */
  constructor(file: ByteFile, start: number, recordBytes: number) {
    this.#file = file;
    this.#start = start;
    this.#recordBytes = recordBytes;
    this.#perBlock = Math.floor(blockBytesMax / recordBytes);
  }

  slice(record: number, from: number, length: number): Buffer {
    const field = `data record ${record + 1}`;
    if (this.#perBlock === 0) {
      return this.#file.read(this.#start + record * this.#recordBytes + from, length, field);
    }
    const block = Math.floor(record / this.#perBlock);
    if (block !== this.#block) {
      const at = this.#start + block * this.#perBlock * this.#recordBytes;
      const bytes = Math.min(this.#perBlock * this.#recordBytes, this.#file.bytes - at);
      this.#bytes = this.#file.read(at, bytes, field);
      this.#block = block;
    }
    const at = (record - block * this.#perBlock) * this.#recordBytes + from;
    return this.#bytes.subarray(at, at + length);
  }
}
