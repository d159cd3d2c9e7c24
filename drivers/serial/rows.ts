/**
 * Collects decoded rows into chunks and numbers them: one chunk for each piece of bytes read, cut
 * from a slab so that rows cost no allocation. Lost rows are counted in the index and told as gaps.
 */
import type { DriverEvent, GapReason } from '../../src/core/stream.js';

const slabRows = 1024;

export class Rows {
  readonly channels: number;
  /** Write row values here, at the offset that `add` returned. */
  data: Float32Array;
  /** Index of the next row. */
  index = 0;

  readonly #emit: (event: DriverEvent) => void;
  #stamps: Float64Array | undefined;
  #first = 0;
  #rows = 0;
  #arrivalS = 0;
  /** Arrival of the last row; a reconnect counts from here. */
  lastRowS = 0;

  constructor(channels: number, emit: (event: DriverEvent) => void) {
    this.channels = channels;
    this.#emit = emit;
    this.data = new Float32Array(slabRows * channels);
  }

  /** Arrival of the bytes that the next rows come from. */
  arrive(nowS: number): void {
    this.#arrivalS = nowS;
  }

  get arrivalS(): number {
    return this.#arrivalS;
  }

  /** Begin a row, all NaN. Returns its offset in `data`. */
  add(): number {
    if (this.#first + this.#rows === slabRows) {
      this.flush();
      this.data = new Float32Array(slabRows * this.channels);
      if (this.#stamps !== undefined) this.#stamps = new Float64Array(slabRows);
      this.#first = 0;
    }
    const at = (this.#first + this.#rows) * this.channels;
    this.data.fill(Number.NaN, at, at + this.channels);
    this.#rows++;
    this.index++;
    this.lastRowS = this.#arrivalS;
    return at;
  }

  /** Time of the row just added, LSL seconds. A stream stamps all of its rows or none. */
  stamp(stampS: number): void {
    this.#stamps ??= new Float64Array(slabRows);
    this.#stamps[this.#first + this.#rows - 1] = stampS;
  }

  skip(missing: number, reason: GapReason): void {
    if (missing <= 0) return;
    this.flush();
    this.index += missing;
    this.#emit({ kind: 'gap', missing, reason });
  }

  marker(text: string, stampS = this.#arrivalS): void {
    this.#emit({ kind: 'marker', marker: { stampS, text } });
  }

  flush(): void {
    if (this.#rows === 0) return;
    const first = this.#first;
    const end = first + this.#rows;
    const data = this.data.subarray(first * this.channels, end * this.channels);
    const chunk = { index: this.index - this.#rows, frames: this.#rows, data };
    this.#first = end;
    this.#rows = 0;
    const stamps = this.#stamps?.subarray(first, end);
    const arrivalS = this.#arrivalS;
    this.#emit({
      kind: 'chunk',
      chunk: stamps === undefined ? { ...chunk, arrivalS } : { ...chunk, arrivalS, stamps },
    });
  }
}
