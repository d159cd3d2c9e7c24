/**
 * The source side of the conditioner: raw frames into one history per channel, in microvolts. A
 * sample that is not real never gets in: the last real value is held in its place, and what its
 * outputs and the filters' memory of it spoil is remembered, so that they can be marked.
 */
import { gridS } from '../core/tasks.js';
import type { Channels, Frames } from './rows.js';
import { recordLength, sums, type Tally } from './tally.js';

/** Holes up to this long are bridged by holding; after longer ones the filters start afresh. */
export const holdS = 1;
/** Outputs distrusted after the filters (re)start. */
export const settleS = 1;
/** After a hole of g seconds 10 g are distrusted: under 8 % of the hold's error is left then. */
const settlePerHole = 10;
const settleShortestS = 0.1;
/** No electrode has 10 V: such a value is a decoding fault, treated like NaN. */
const plausibleUv = 1e7;
/** A rail held for longer ends in a filter restart: its release is a step of the amplifier. */
const railS = 0.05;
/** Most frames taken at once, and fewer of a slow source: what is kept should stay in the cache. */
const framesMost = 1024;

export interface RawChannel {
  /** Place in a frame. */
  readonly place: number;
  /** To microvolts. */
  readonly gain: number;
  /** |uV| from which the amplifier is saturated; Infinity where unknown. */
  readonly railUv: number;
}

/** A channel's filters must start as if `level` had always come in, from source sample on. */
export type Restart = (channel: number, source: number, level: number) => void;

/** `frames` frames from frame `from` on. */
type Span = readonly [from: number, frames: number];

export class Intake implements Frames {
  /** Next source sample, counted from the stream's first one. */
  source = 0;
  /** Most frames taken at once. */
  readonly framesMax: number;
  /** `[capacity, channels]`, uV. */
  readonly data: Float64Array;
  readonly width: number;

  readonly #places: Int32Array;
  readonly #gains: Float64Array;
  readonly #rails: Float64Array;
  /** |uV| below which a sample is taken without a second look. */
  readonly #limits: Float64Array;
  readonly #stride: number;
  readonly #rateHz: number;
  readonly #taps: number;
  readonly #capacity: number;
  #head: number;
  readonly #railFrames: number;
  /** Of each frame of the channel `#doubtful`: the last source sample not to be trusted by then. */
  readonly #untrusted: Float64Array;
  /** The channel taken last, where it was taken sample by sample; else -1. */
  #doubtful = -1;
  // Of each channel:
  readonly #untrustedUntil: Float64Array;
  readonly #held: Float64Array;
  /** Length of the hole, and of the rail, that the newest sample is in. */
  readonly #hole: Float64Array;
  readonly #rail: Float64Array;
  /** 1 = the filters must start afresh at the next real sample. */
  readonly #stale: Uint8Array;
  /** First real value: raw sums are taken about it, so that offsets cost no precision. */
  readonly #shift: Float64Array;

  /** `taps`: source samples an output is made from; `stride`: values in a frame. */
  constructor(
    rateHz: number,
    stride: number,
    channels: readonly RawChannel[],
    { taps }: { readonly taps: number },
  ) {
    const count = channels.length;
    this.#rateHz = rateHz;
    this.#stride = stride;
    this.width = count;
    this.#places = Int32Array.from(channels, (one) => one.place);
    this.#gains = Float64Array.from(channels, (one) => one.gain);
    this.#rails = Float64Array.from(channels, (one) => one.railUv);
    this.#limits = this.#rails.map((railUv) => Math.min(railUv, plausibleUv));
    this.#taps = taps;
    this.framesMax = Math.min(framesMost, Math.ceil(gridS * rateHz) + 1);
    this.#capacity = 2 * taps + 2 * this.framesMax;
    this.#head = taps;
    this.data = new Float64Array(count * this.#capacity);
    this.#railFrames = Math.ceil(railS * rateHz);
    this.#untrusted = new Float64Array(this.framesMax);
    this.#untrustedUntil = new Float64Array(count);
    this.#held = new Float64Array(count);
    this.#hole = new Float64Array(count);
    this.#rail = new Float64Array(count);
    this.#stale = new Uint8Array(count).fill(1);
    this.#shift = new Float64Array(count).fill(Number.NaN);
  }

  /** Frame `offset + i` is source sample i, as far back as the filter reaches. */
  get offset(): number {
    return this.#head - this.source;
  }

  /** Move the filter's memory to the front of the buffer when `frames` more would not fit. */
  makeRoom(frames: number): void {
    if (this.#head + frames <= this.#capacity) return;
    this.data.copyWithin(0, (this.#head - this.#taps) * this.width, this.#head * this.width);
    this.#head = this.#taps;
  }

  /**
   * Take `frames` frames from frame `from` of `data` (null = lost), of channel `c` and of as many
   * behind it as can go together: up to the one returned.
   */
  take(c: number, data: Float32Array | null, span: Span, tally: Tally, restart: Restart): number {
    this.#doubtful = -1;
    if (data !== null && !this.#isInside(c)) {
      let end = c + 1;
      while (end < this.width && !this.#isInside(end)) end++;
      if (this.#takeReal({ from: c, to: end }, data, span, tally)) return end;
      if (this.#takeReal({ from: c, to: c + 1 }, data, span, tally)) return c + 1;
    }
    this.#takeDoubtful(c, data, span, tally, restart);
    return c + 1;
  }

  /** Is whatever is due of a channel to be trusted? If not, ask of each output. */
  isSettled(c: number): boolean {
    return this.#untrustedUntil[c] < this.source - 1;
  }

  /** May an output of a channel just taken be trusted whose newest source sample is `source`? */
  isTrusted(c: number, source: number): boolean {
    if (c !== this.#doubtful) return source > this.#untrustedUntil[c];
    return source > this.#untrusted[Math.max(0, source - this.source)];
  }

  /** All channels have been taken. */
  advance(frames: number): void {
    this.#head += frames;
    this.source += frames;
  }

  /** Go on at `source`, past a hole too long to bridge. */
  jump(source: number): void {
    this.source = source;
    this.#stale.fill(1);
    for (let c = 0; c < this.width; c++) this.#distrust(c, source + this.#taps);
  }

  /** In a hole, on a rail, or stale. */
  #isInside(c: number): boolean {
    return this.#hole[c] > 0 || this.#rail[c] > 0 || this.#stale[c] === 1;
  }

  /** Copy real samples; false (and nothing kept) when one of them is not. */
  #takeReal(channels: Channels, values: Float32Array, [from, frames]: Span, tally: Tally): boolean {
    const { data, width } = this;
    const places = this.#places;
    const gains = this.#gains;
    const limits = this.#limits;
    for (let f = 0; f < frames; f++) {
      const raw = (from + f) * this.#stride;
      const at = (this.#head + f) * width;
      for (let c = channels.from; c < channels.to; c++) {
        const x = values[raw + places[c]] * gains[c];
        if (!(Math.abs(x) < limits[c])) return false;
        data[at + c] = x;
      }
    }
    this.#count(channels, frames, tally.sums);
    return true;
  }

  /** Add real samples, just copied, to their channels' sums. */
  #count({ from, to }: Channels, frames: number, table: Float64Array): void {
    const { data, width } = this;
    const begin = this.#head * width;
    const end = begin + frames * width;
    for (let c = from; c < to && frames > 0; c++) {
      const record = c * recordLength;
      const shift = this.#shift[c];
      let sum = table[record + sums.sum];
      let squares = table[record + sums.squares];
      for (let at = begin + c; at < end; at += width) {
        const d = data[at] - shift;
        sum += d;
        squares += d * d;
      }
      table[record + sums.sum] = sum;
      table[record + sums.squares] = squares;
      table[record + sums.real] += frames;
      this.#held[c] = data[end - width + c];
    }
  }

  /** Sample by sample, holding what is not real. */
  #takeDoubtful(
    c: number,
    values: Float32Array | null,
    [from, frames]: Span,
    tally: Tally,
    restart: Restart,
  ): void {
    this.#doubtful = c;
    const { data, width } = this;
    const gain = this.#gains[c];
    const place = this.#places[c];
    const at = this.#head * width + c;
    this.#untrusted[0] = this.#untrustedUntil[c];
    for (let f = 0; f < frames; f++) {
      const x = values === null ? Number.NaN : values[(from + f) * this.#stride + place] * gain;
      const source = this.source + f;
      if (this.#isReal(c, x, values === null ? sums.missing : sums.nan, tally)) {
        if (this.#stale[c] === 1) {
          restart(c, source, x);
          for (let k = f - this.#taps + 1; k < f; k++) data[at + k * width] = x;
          this.#stale[c] = 0;
          this.#distrust(c, source + Math.ceil(settleS * this.#rateHz));
        }
        this.#hole[c] = 0;
        this.#held[c] = x;
      } else {
        this.#hole[c]++;
        this.#distrust(c, source + this.#memory(c));
      }
      data[at + f * width] = this.#held[c];
      this.#untrusted[f] = this.#untrustedUntil[c];
    }
  }

  /** Source samples that the hole the channel is in spoils from its newest one on. */
  #memory(c: number): number {
    const holeS = this.#hole[c] / this.#rateHz;
    if (holeS > holdS) this.#stale[c] = 1;
    const settle = Math.min(settleS, Math.max(settleShortestS, settlePerHole * holeS));
    return this.#taps + Math.ceil(settle * this.#rateHz);
  }

  #distrust(c: number, until: number): void {
    if (until > this.#untrustedUntil[c]) this.#untrustedUntil[c] = until;
  }

  /** Count a raw sample; true where its value may enter the filters. */
  #isReal(c: number, x: number, fault: number, tally: Tally): boolean {
    const record = c * recordLength;
    if (!(Math.abs(x) < plausibleUv)) {
      tally.sums[record + fault]++;
      return false;
    }
    if (Number.isNaN(this.#shift[c])) this.#shift[c] = x;
    const d = x - this.#shift[c];
    tally.sums[record + sums.real]++;
    tally.sums[record + sums.sum] += d;
    tally.sums[record + sums.squares] += d * d;
    if (Math.abs(x) < this.#rails[c]) {
      this.#rail[c] = 0;
      return true;
    }
    tally.sums[record + sums.railed]++;
    if (++this.#rail[c] <= this.#railFrames) return true;
    this.#stale[c] = 1;
    return false;
  }
}
