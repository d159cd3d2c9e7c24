/**
 * Raw frames in, 200 Hz microvolts out: resampling (anti-alias FIR), high-pass, mains notches,
 * low-pass, for all channels, causally. Works in steps that never cross a grid tick, so nothing
 * it emits depends on how frames were cut into chunks. A sample that is not real never enters a
 * filter: the last real value is held in its place, and every output it touches is marked, as is
 * what follows until the filters have forgotten it.
 */
import { gridSamples, modelRateHz } from '../core/tasks.js';
import { butterworth, FilterBank, groupDelayS, notch } from './filters.js';
import { Resampler } from './resampler.js';
import { Tally } from './tally.js';

export const highPassHz = 0.4;
/** -3 dB point of the fourth-order low-pass; 0.4 of the source's rate where that is lower. */
export const lowPassHz = 45;
const notchQuality = 30;
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
const stepFrames = 1024;

export type Mains = 50 | 60 | 'both' | 'none';

export interface RawChannel {
  /** Place in a frame. */
  readonly place: number;
  /** To microvolts. */
  readonly gain: number;
  /** |uV| from which the amplifier is saturated; Infinity where unknown. */
  readonly railUv: number;
}

/** Outputs of one step; `data` and `valid` are `[channels, samples]`. */
export interface StepOutput {
  readonly index: number;
  readonly samples: number;
  readonly data: Float32Array;
  readonly valid: Uint8Array;
}

export class Conditioner {
  /** Next source sample and next output, both counted from the stream's first sample. */
  source = 0;
  next = 0;
  readonly resampler: Resampler;
  /** Delay of the 10 Hz component through FIR, high-pass and low-pass. */
  readonly groupDelayS: number;
  tally: Tally;
  /** The notches at work; changed at a grid tick only. */
  mains: Mains;

  readonly #channels: readonly RawChannel[];
  readonly #stride: number;
  readonly #highPass: FilterBank;
  readonly #lowPass: FilterBank;
  readonly #notches: ReadonlyMap<50 | 60, FilterBank>;
  readonly #railFrames: number;
  readonly #rateHz: number;

  /** `[channels, capacity]`: source samples, the newest before `#head`. */
  readonly #history: Float32Array;
  readonly #capacity: number;
  #head: number;
  readonly #scratch = new Float64Array(gridSamples);
  /** Of each frame of the step: the last source sample whose outputs are not to be trusted. */
  readonly #untrusted = new Float64Array(stepFrames);

  // Of each channel:
  readonly #untrustedUntil: Float64Array;
  readonly #held: Float32Array;
  readonly #hole: Float64Array;
  readonly #rail: Float64Array;
  readonly #stale: Uint8Array;
  /** First real value: raw sums are taken about it, so that offsets cost no precision. */
  readonly #shift: Float64Array;

  constructor(rateHz: number, stride: number, channels: readonly RawChannel[], mains: Mains) {
    const count = channels.length;
    this.#rateHz = rateHz;
    this.#stride = stride;
    this.#channels = channels;
    this.mains = mains;
    this.resampler = new Resampler(rateHz);
    const high = butterworth('high', 2, highPassHz, modelRateHz);
    const low = butterworth('low', 4, Math.min(lowPassHz, 0.4 * rateHz), modelRateHz);
    this.#highPass = new FilterBank(high, count);
    this.#lowPass = new FilterBank(low, count);
    const bank = (hz: number) => new FilterBank(notch(hz, notchQuality, modelRateHz), count);
    this.#notches = new Map([
      [50, bank(50)],
      [60, bank(60)],
    ]);
    this.groupDelayS =
      this.resampler.delayS +
      groupDelayS(high, 10, modelRateHz) +
      groupDelayS(low, 10, modelRateHz);
    this.#capacity = 2 * this.resampler.taps + 2 * stepFrames;
    this.#head = this.resampler.taps;
    this.#history = new Float32Array(count * this.#capacity);
    this.#railFrames = Math.ceil(railS * rateHz);
    this.tally = new Tally(count);
    this.#untrustedUntil = new Float64Array(count);
    this.#held = new Float32Array(count);
    this.#hole = new Float64Array(count);
    this.#rail = new Float64Array(count);
    this.#stale = new Uint8Array(count).fill(1);
    this.#shift = new Float64Array(count).fill(Number.NaN);
  }

  /** Frames the next step takes at most: as far as the tick's last output, 0 if outputs wait. */
  get room(): number {
    if (this.waiting) return 0;
    const last = this.#tickEnd - 1;
    return Math.min(stepFrames, this.resampler.sourceOf(last) + 1 - this.source);
  }

  /** Outputs wait that the frames already taken have made due. */
  get waiting(): boolean {
    return this.resampler.firstAfter(this.source) > this.next;
  }

  get #tickEnd(): number {
    return (Math.floor(this.next / gridSamples) + 1) * gridSamples;
  }

  /** Take `frames <= room` frames of `data` from frame `from` on; null = these were lost. */
  step(data: Float32Array | null, from: number, frames: number): StepOutput {
    this.#makeRoom(frames);
    const due = Math.min(this.resampler.firstAfter(this.source + frames), this.#tickEnd);
    const output = this.#output(due - this.next);
    for (let c = 0; c < this.#channels.length; c++) {
      const settled = this.#untrustedUntil[c] < this.source - 1 && this.#stale[c] === 0;
      const plain =
        data !== null && this.#hole[c] === 0 && this.#rail[c] === 0 && this.#stale[c] === 0;
      if (plain && this.#takePlain(c, data, from, frames)) {
        this.#untrusted.fill(this.#untrustedUntil[c], 0, Math.max(1, frames));
        this.#emit(c, output, this.next, due, settled);
      } else {
        const first = this.#takeDoubtful(c, data, from, frames, output);
        this.#emit(c, output, first, due, false);
      }
    }
    this.#head += frames;
    this.source += frames;
    this.next = due;
    return output;
  }

  /** As `step(null, ...)` for a hole too long to bridge: no filter runs, all start afresh. */
  skip(frames: number): StepOutput {
    const due = Math.min(this.resampler.firstAfter(this.source + frames), this.#tickEnd);
    const output = this.#output(due - this.next);
    this.source += frames;
    for (let c = 0; c < this.#channels.length; c++) {
      this.tally.missing[c] += frames;
      this.#distrust(c, this.source + this.resampler.taps);
    }
    this.#stale.fill(1);
    this.next = due;
    return output;
  }

  /** From one tick's beginning to another's, `next`, without outputs: a hole beyond any buffer. */
  leap(next: number): void {
    this.next = next;
    this.source = this.resampler.sourceOf(next);
    this.#stale.fill(1);
  }

  #output(samples: number): StepOutput {
    const size = this.#channels.length * samples;
    return {
      index: this.next,
      samples,
      data: new Float32Array(size),
      valid: new Uint8Array(size),
    };
  }

  /** Copy real samples; false (and nothing kept) when one of them is not. */
  #takePlain(c: number, data: Float32Array, from: number, frames: number): boolean {
    const { place, gain, railUv } = this.#channels[c];
    const limit = Math.min(railUv, plausibleUv);
    const shift = this.#shift[c];
    const stride = this.#stride;
    const history = this.#history;
    const at = c * this.#capacity + this.#head;
    let sum = this.tally.sum[c];
    let squares = this.tally.squares[c];
    let raw = from * stride + place;
    for (let f = 0; f < frames; f++, raw += stride) {
      const x = data[raw] * gain;
      if (!(Math.abs(x) < limit)) return false;
      history[at + f] = x;
      const d = x - shift;
      sum += d;
      squares += d * d;
    }
    this.tally.sum[c] = sum;
    this.tally.squares[c] = squares;
    this.tally.real[c] += frames;
    if (frames > 0) this.#held[c] = history[at + frames - 1];
    return true;
  }

  /**
   * Sample by sample, holding what is not real. Where the filters must start afresh, what was due
   * before is emitted first. Returns the first output that is still to be emitted.
   */
  #takeDoubtful(
    c: number,
    data: Float32Array | null,
    from: number,
    frames: number,
    output: StepOutput,
  ): number {
    const { place, gain } = this.#channels[c];
    const at = c * this.#capacity + this.#head;
    let emitted = this.next;
    this.#untrusted[0] = this.#untrustedUntil[c];
    for (let f = 0; f < frames; f++) {
      const x = data === null ? Number.NaN : data[(from + f) * this.#stride + place] * gain;
      const source = this.source + f;
      if (this.#isReal(c, x, data === null)) {
        if (this.#stale[c] === 1) {
          const due = this.resampler.firstAfter(source);
          this.#emit(c, output, emitted, due, false);
          emitted = due;
          this.#restart(c, at + f, x);
          this.#distrust(c, source + Math.ceil(settleS * this.#rateHz));
        }
        this.#hole[c] = 0;
        this.#held[c] = x;
      } else {
        const holeS = ++this.#hole[c] / this.#rateHz;
        if (holeS > holdS) this.#stale[c] = 1;
        const settle = Math.min(settleS, Math.max(settleShortestS, settlePerHole * holeS));
        const memory = this.resampler.taps + Math.ceil(settle * this.#rateHz);
        this.#distrust(c, source + memory);
      }
      this.#history[at + f] = this.#held[c];
      this.#untrusted[f] = this.#untrustedUntil[c];
    }
    return emitted;
  }

  #distrust(c: number, until: number): void {
    if (until > this.#untrustedUntil[c]) this.#untrustedUntil[c] = until;
  }

  /** Count a raw sample; true where its value may enter the filters. */
  #isReal(c: number, x: number, lost: boolean): boolean {
    const { tally } = this;
    if (!(Math.abs(x) < plausibleUv)) {
      if (lost) tally.missing[c]++;
      else tally.nan[c]++;
      return false;
    }
    if (Number.isNaN(this.#shift[c])) this.#shift[c] = x;
    const d = x - this.#shift[c];
    tally.real[c]++;
    tally.sum[c] += d;
    tally.squares[c] += d * d;
    if (Math.abs(x) < this.#channels[c].railUv) {
      this.#rail[c] = 0;
      return true;
    }
    tally.railed[c]++;
    if (++this.#rail[c] <= this.#railFrames) return true;
    this.#stale[c] = 1;
    return false;
  }

  /** Start a channel's filters as if `level` had always come in. */
  #restart(c: number, at: number, level: number): void {
    this.#history.fill(level, at - this.resampler.taps + 1, at);
    this.#highPass.restart(c, Math.fround(level));
    for (const bank of this.#notches.values()) bank.restart(c, 0);
    this.#lowPass.restart(c, 0);
    this.#stale[c] = 0;
  }

  /** Outputs `first .. due` of a channel into `output`. */
  #emit(c: number, output: StepOutput, first: number, due: number, settled: boolean): void {
    const count = due - first;
    if (count <= 0) return;
    const signal = this.#scratch;
    const offset = c * this.#capacity + this.#head - this.source;
    this.resampler.run(this.#history, offset, first, count, signal);
    this.#highPass.run(c, signal, count);
    this.tally.addLines(c, signal, first, count);
    for (const [hz, bank] of this.#notches) {
      if (this.mains === hz || this.mains === 'both') bank.run(c, signal, count);
    }
    this.#lowPass.run(c, signal, count);
    this.#write(c, output, first, count, settled);
  }

  #write(c: number, output: StepOutput, first: number, count: number, settled: boolean): void {
    const { data, valid } = output;
    const signal = this.#scratch;
    const at = c * output.samples + first - output.index;
    let absolute = this.tally.absolute[c];
    let power = this.tally.power[c];
    let real = this.tally.valid[c];
    for (let i = 0; i < count; i++) {
      if (!settled && !this.#isSettled(first + i)) continue;
      const x = Math.fround(signal[i]);
      data[at + i] = x;
      valid[at + i] = 1;
      absolute += Math.abs(x);
      power += x * x;
      real++;
    }
    this.tally.absolute[c] = absolute;
    this.tally.power[c] = power;
    this.tally.valid[c] = real;
  }

  #isSettled(n: number): boolean {
    const source = this.resampler.sourceOf(n);
    return source > this.#untrusted[Math.max(0, source - this.source)];
  }

  /** Move the filter's memory to the front of the buffer when the end is near. */
  #makeRoom(frames: number): void {
    if (this.#head + frames <= this.#capacity) return;
    const memory = this.resampler.taps;
    for (let at = 0; at < this.#history.length; at += this.#capacity) {
      this.#history.copyWithin(at, at + this.#head - memory, at + this.#head);
    }
    this.#head = memory;
  }
}
