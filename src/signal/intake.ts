/**
 * The source side of the conditioner: raw frames into one history per channel, in microvolts. A
 * sample that is not real never gets in: the last real value is held in its place, and what its
 * outputs and the filters' memory of it spoil is remembered, so that they can be marked.
 */
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
/** Most frames taken at once. */
export const framesMax = 1024;

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

export class Intake {
  /** Next source sample, counted from the stream's first one. */
  source = 0;
  /** `[channels, capacity]`: see `offset`. */
  readonly history: Float64Array;

  readonly #channels: readonly RawChannel[];
  readonly #stride: number;
  readonly #rateHz: number;
  readonly #taps: number;
  readonly #capacity: number;
  #head: number;
  readonly #railFrames: number;
  /** Of each frame taken last: the last source sample whose outputs are not to be trusted. */
  readonly #untrusted = new Float64Array(framesMax);
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
    this.#channels = channels;
    this.#taps = taps;
    this.#capacity = 2 * taps + 2 * framesMax;
    this.#head = taps;
    this.history = new Float64Array(count * this.#capacity);
    this.#railFrames = Math.ceil(railS * rateHz);
    this.#untrustedUntil = new Float64Array(count);
    this.#held = new Float64Array(count);
    this.#hole = new Float64Array(count);
    this.#rail = new Float64Array(count);
    this.#stale = new Uint8Array(count).fill(1);
    this.#shift = new Float64Array(count).fill(Number.NaN);
  }

  /** `history[offset + i]` is the channel's source sample i, as far back as the filter reaches. */
  offset(channel: number): number {
    return channel * this.#capacity + this.#head - this.source;
  }

  /** Move the filter's memory to the front of the buffer when `frames` more would not fit. */
  makeRoom(frames: number): void {
    if (this.#head + frames <= this.#capacity) return;
    for (let at = 0; at < this.history.length; at += this.#capacity) {
      this.history.copyWithin(at, at + this.#head - this.#taps, at + this.#head);
    }
    this.#head = this.#taps;
  }

  /**
   * Take one channel of `frames` frames from frame `from` of `data` (null = lost). True: whatever
   * is due is to be trusted; false: ask `isTrusted`, which answers for this channel until the next.
   */
  take(
    channel: number,
    data: Float32Array | null,
    [from, frames]: readonly [number, number],
    tally: Tally,
    restart: Restart,
  ): boolean {
    const c = channel;
    const inside = this.#hole[c] > 0 || this.#rail[c] > 0 || this.#stale[c] === 1;
    if (!inside && data !== null && this.#takeReal(c, data, from, frames, tally)) {
      if (this.#untrustedUntil[c] < this.source - 1) return true;
      this.#untrusted.fill(this.#untrustedUntil[c], 0, Math.max(1, frames));
      return false;
    }
    this.#takeDoubtful(c, data, [from, frames], tally, restart);
    return false;
  }

  /** May an output whose newest source sample is `source` be trusted? */
  isTrusted(source: number): boolean {
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
    for (let c = 0; c < this.#channels.length; c++) this.#distrust(c, source + this.#taps);
  }

  /** Copy real samples; false (and nothing kept) when one of them is not. */
  #takeReal(c: number, data: Float32Array, from: number, frames: number, tally: Tally): boolean {
    const { place, gain, railUv } = this.#channels[c];
    const limit = Math.min(railUv, plausibleUv);
    const shift = this.#shift[c];
    const stride = this.#stride;
    const history = this.history;
    const at = c * this.#capacity + this.#head;
    const record = c * recordLength;
    let sum = tally.sums[record + sums.sum];
    let squares = tally.sums[record + sums.squares];
    let raw = from * stride + place;
    for (let f = 0; f < frames; f++, raw += stride) {
      const x = data[raw] * gain;
      if (!(Math.abs(x) < limit)) return false;
      history[at + f] = x;
      const d = x - shift;
      sum += d;
      squares += d * d;
    }
    tally.sums[record + sums.sum] = sum;
    tally.sums[record + sums.squares] = squares;
    tally.sums[record + sums.real] += frames;
    if (frames > 0) this.#held[c] = history[at + frames - 1];
    return true;
  }

  /** Sample by sample, holding what is not real. */
  #takeDoubtful(
    c: number,
    data: Float32Array | null,
    [from, frames]: readonly [number, number],
    tally: Tally,
    restart: Restart,
  ): void {
    const { place, gain } = this.#channels[c];
    const at = c * this.#capacity + this.#head;
    this.#untrusted[0] = this.#untrustedUntil[c];
    for (let f = 0; f < frames; f++) {
      const x = data === null ? Number.NaN : data[(from + f) * this.#stride + place] * gain;
      const source = this.source + f;
      if (this.#isReal(c, x, data === null ? sums.missing : sums.nan, tally)) {
        if (this.#stale[c] === 1) {
          restart(c, source, x);
          this.history.fill(x, at + f - this.#taps + 1, at + f);
          this.#stale[c] = 0;
          this.#distrust(c, source + Math.ceil(settleS * this.#rateHz));
        }
        this.#hole[c] = 0;
        this.#held[c] = x;
      } else {
        this.#hole[c]++;
        this.#distrust(c, source + this.#memory(c));
      }
      this.history[at + f] = this.#held[c];
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
    if (Math.abs(x) < this.#channels[c].railUv) {
      this.#rail[c] = 0;
      return true;
    }
    tally.sums[record + sums.railed]++;
    if (++this.#rail[c] <= this.#railFrames) return true;
    this.#stale[c] = 1;
    return false;
  }
}
