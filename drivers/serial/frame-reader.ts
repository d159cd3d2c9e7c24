/**
 * Finds frames in a stream of bytes, however it is cut. Knows nothing of what a frame means: a
 * `FrameFormat` says where one may begin and how long it is. Bytes of no frame are counted, one
 * byte at a time is given up, and a frame that comes after garbage is believed only when another
 * follows it. Nothing is allocated per frame.
 */

export interface FrameFormat {
  readonly maxBytes: number;
  /** First bytes of a frame, enough for `counter`. */
  readonly headBytes: number;
  /** The counter runs 0..modulo-1; 0 = the protocol has none. */
  readonly modulo: number;
  /** Frames carry a checksum, so one frame alone can be believed. */
  readonly checked: boolean;
  /** Length of the frame at `at`; 0 = more bytes are needed to tell; -1 = none begins here. */
  measure(bytes: Uint8Array, at: number, end: number): number;
  counter(bytes: Uint8Array, at: number): number;
}

/** Valid until the sink returns. */
export interface Frame {
  readonly bytes: Uint8Array;
  readonly at: number;
  readonly length: number;
  /** Sample counter, mended where it alone was damaged. */
  readonly counter: number;
  /** Frames missing between the one before and this one. */
  readonly lost: number;
  /** Bytes given up since the frame before. */
  readonly discarded: number;
}

export type FrameSink = (frame: Frame) => void;

interface MutableFrame extends Frame {
  at: number;
  length: number;
  counter: number;
  lost: number;
  discarded: number;
}

export class FrameReader {
  /** Bytes that belonged to no frame, since the beginning. */
  discarded = 0;
  frames = 0;

  readonly #format: FrameFormat;
  readonly #sink: FrameSink;
  readonly #bytes: Uint8Array;
  readonly #frame: MutableFrame;
  #begin = 0;
  #end = 0;
  #locked = false;
  #last = -1;
  #missing = 0;
  #discardedBefore = 0;

  constructor(format: FrameFormat, sink: FrameSink) {
    this.#format = format;
    this.#sink = sink;
    this.#bytes = new Uint8Array(Math.max(4096, 8 * format.maxBytes));
    this.#frame = { bytes: this.#bytes, at: 0, length: 0, counter: 0, lost: 0, discarded: 0 };
  }

  /** Bytes held back because their frame is not complete or not yet believed. */
  get pending(): number {
    return this.#end - this.#begin;
  }

  push(bytes: Uint8Array): void {
    for (let taken = 0; taken < bytes.length; ) {
      if (this.#begin > 0) this.#compact();
      const count = Math.min(bytes.length - taken, this.#bytes.length - this.#end);
      this.#bytes.set(bytes.subarray(taken, taken + count), this.#end);
      this.#end += count;
      taken += count;
      this.#scan();
    }
  }

  /**
   * By host time about `frames` frames should be missing before the next one. The counter says how
   * many modulo its range; this says which multiple.
   */
  expectMissing(frames: number): void {
    this.#missing = Math.max(0, frames);
  }

  #compact(): void {
    this.#bytes.copyWithin(0, this.#begin, this.#end);
    this.#end -= this.#begin;
    this.#begin = 0;
  }

  #scan(): void {
    while (this.#begin < this.#end) {
      const length = this.#format.measure(this.#bytes, this.#begin, this.#end);
      if (length === 0) return;
      const verdict = length < 0 ? 'no' : this.#judge(length);
      if (verdict === 'wait') return;
      if (verdict === 'no') {
        this.#begin++;
        this.discarded++;
        this.#locked = false;
        continue;
      }
      this.#emit(length);
    }
  }

  /** Is the frame of this length at the front a frame? Sets its counter. */
  #judge(length: number): 'yes' | 'no' | 'wait' {
    const { modulo, checked, headBytes } = this.#format;
    const counter = modulo === 0 ? 0 : this.#format.counter(this.#bytes, this.#begin);
    this.#frame.counter = counter;
    const expected = modulo === 0 || this.#last < 0 ? counter : (this.#last + 1) % modulo;
    if (counter === expected && (this.#locked || checked)) return 'yes';
    const next = this.#begin + length;
    if (this.#end - next < headBytes) return 'wait';
    if (this.#format.measure(this.#bytes, next, this.#end) < 0) {
      return this.#locked || checked ? 'yes' : 'no';
    }
    // A counter out of line whose successor is in line was itself damaged.
    const after = this.#format.counter(this.#bytes, next);
    if (counter !== expected && after === (expected + 1) % modulo) this.#frame.counter = expected;
    return 'yes';
  }

  #emit(length: number): void {
    const frame = this.#frame;
    const { modulo } = this.#format;
    let lost = 0;
    if (modulo === 0 || this.#last < 0) {
      lost = this.#missing;
    } else {
      lost = (frame.counter - this.#last - 1 + modulo) % modulo;
      lost += modulo * Math.max(0, Math.round((this.#missing - lost) / modulo));
    }
    frame.at = this.#begin;
    frame.length = length;
    frame.lost = lost;
    frame.discarded = this.discarded - this.#discardedBefore;
    this.#begin += length;
    this.#locked = true;
    this.#last = frame.counter;
    this.#missing = 0;
    this.#discardedBefore = this.discarded;
    this.frames++;
    this.#sink(frame);
  }
}
