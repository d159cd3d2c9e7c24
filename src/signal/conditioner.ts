/**
 * Raw frames in, 200 Hz microvolts out: resampling (anti-alias FIR), high-pass, mains notches,
 * low-pass, for all channels, causally. Works in steps that never cross a grid tick, so nothing
 * it emits depends on how frames were cut into chunks.
 */
import { gridSamples, modelRateHz } from '../core/tasks.js';
import { butterworth, FilterBank, groupDelayS, notch } from './filters.js';
import { Intake, type RawChannel } from './intake.js';
import { Resampler } from './resampler.js';
import type { Channels, Outputs, Rows } from './rows.js';
import { lineHz, mainsLines, recordLength, sums, Tally } from './tally.js';

export const highPassHz = 0.4;
/** -3 dB point of the fourth-order low-pass; 0.4 of the source's rate where that is lower. */
export const lowPassHz = 45;
const notchQuality = 30;

/** The notches at work; `undecided` = both, and the lines' background is watched too. */
export type Mains = 50 | 60 | 'none' | 'undecided';

const slabValues = 4096;

/** Outputs of one step; `data` and `valid` are `[channels, samples]`. */
export interface StepOutput {
  readonly index: number;
  readonly samples: number;
  readonly data: Float32Array;
  readonly valid: Uint8Array;
}

export class Conditioner {
  /** Next output, counted from the stream's first sample. */
  next = 0;
  readonly resampler: Resampler;
  /** Delay of the 10 Hz component through FIR, high-pass and low-pass. */
  readonly groupDelayS: number;
  /** Changed at a grid tick only. */
  tally: Tally;
  /** Changed at a grid tick only. */
  mains: Mains;

  readonly #count: number;
  readonly #intake: Intake;
  readonly #highPass: FilterBank;
  readonly #notch50: FilterBank;
  readonly #notch60: FilterBank;
  readonly #lowPass: FilterBank;
  readonly #scratch: Rows;
  /** What outputs are cut from: a block is small, and an array of its own would cost more. */
  #dataSlab = new Float32Array(slabValues);
  #validSlab = new Uint8Array(slabValues);
  #slabUsed = 0;
  #output: StepOutput;
  /** First output of the channel at hand that is still to be made. */
  #pending = 0;

  constructor(rateHz: number, stride: number, channels: readonly RawChannel[], mains: Mains) {
    const count = channels.length;
    this.#count = count;
    this.mains = mains;
    this.tally = new Tally(count);
    this.resampler = new Resampler(rateHz);
    this.#intake = new Intake(rateHz, stride, channels, this.resampler);
    const high = butterworth('high', 2, highPassHz, modelRateHz);
    const low = butterworth('low', 4, Math.min(lowPassHz, 0.4 * rateHz), modelRateHz);
    this.#highPass = new FilterBank(high, count);
    this.#notch50 = new FilterBank(notch(50, notchQuality, modelRateHz), count);
    this.#notch60 = new FilterBank(notch(60, notchQuality, modelRateHz), count);
    this.#lowPass = new FilterBank(low, count);
    const recursiveS = groupDelayS(high, 10, modelRateHz) + groupDelayS(low, 10, modelRateHz);
    this.groupDelayS = this.resampler.delayS + recursiveS;
    this.#scratch = { data: new Float64Array(count * gridSamples), width: gridSamples };
    this.#output = this.#emptyOutput(0);
  }

  /** Next source sample, counted from the stream's first one. */
  get source(): number {
    return this.#intake.source;
  }

  /** Outputs wait that the frames already taken have made due. */
  get waiting(): boolean {
    return this.resampler.firstAfter(this.source) > this.next;
  }

  /** Frames the next step takes at most: as far as the tick's last output, 0 if outputs wait. */
  get room(): number {
    if (this.waiting) return 0;
    const { framesMax } = this.#intake;
    return Math.min(framesMax, this.resampler.sourceOf(this.#tickEnd - 1) + 1 - this.source);
  }

  get #tickEnd(): number {
    return (Math.floor(this.next / gridSamples) + 1) * gridSamples;
  }

  /** Take `frames <= room` frames of `data` from frame `from` on; null = these were lost. */
  step(data: Float32Array | null, from: number, frames: number): StepOutput {
    const intake = this.#intake;
    intake.makeRoom(frames);
    const due = this.#due(frames);
    const output = this.#emptyOutput(due - this.next);
    this.#output = output;
    for (let c = 0; c < this.#count; ) {
      this.#pending = this.next;
      const to = intake.take(c, data, [from, frames], this.tally, this.#restart);
      this.#emit({ from: c, to }, due);
      c = to;
    }
    intake.advance(frames);
    this.next = due;
    return output;
  }

  /** As `step(null, ...)` for a hole too long to bridge: no filter runs, all start afresh. */
  skip(frames: number): StepOutput {
    const due = this.#due(frames);
    const output = this.#emptyOutput(due - this.next);
    for (let c = 0; c < this.#count; c++) {
      this.tally.sums[c * recordLength + sums.missing] += frames;
    }
    this.#intake.jump(this.source + frames);
    this.next = due;
    return output;
  }

  /** From one tick's beginning to another's, `next`, without outputs: a hole beyond any buffer. */
  leap(next: number): void {
    this.next = next;
    this.#intake.jump(this.resampler.sourceOf(next));
  }

  #due(frames: number): number {
    return Math.min(this.resampler.firstAfter(this.source + frames), this.#tickEnd);
  }

  #emptyOutput(samples: number): StepOutput {
    const size = this.#count * samples;
    if (this.#slabUsed + size > this.#dataSlab.length) {
      this.#dataSlab = new Float32Array(Math.max(slabValues, size));
      this.#validSlab = new Uint8Array(this.#dataSlab.length);
      this.#slabUsed = 0;
    }
    const from = this.#slabUsed;
    this.#slabUsed += size;
    const data = this.#dataSlab.subarray(from, from + size);
    const valid = this.#validSlab.subarray(from, from + size);
    return { index: this.next, samples, data, valid };
  }

  /** What was due before is made first; then the filters start from `level`. */
  readonly #restart = (c: number, source: number, level: number): void => {
    this.#emit({ from: c, to: c + 1 }, this.resampler.firstAfter(source));
    this.#highPass.restart(c, level);
    this.#notch50.restart(c, 0);
    this.#notch60.restart(c, 0);
    this.#lowPass.restart(c, 0);
  };

  /** Make the outputs up to `due` of channels just taken. */
  #emit(channels: Channels, due: number): void {
    const outputs: Outputs = [this.#pending, due - this.#pending];
    const [first, count] = outputs;
    if (count <= 0) return;
    const signal = this.#scratch;
    const { mains } = this;
    this.resampler.run(this.#intake, channels, outputs, signal);
    this.#highPass.run(channels, signal, count);
    const lines = mains === 'undecided' ? lineHz.length : mainsLines;
    this.tally.addLines(channels, signal, outputs, lines);
    if (mains === 50 || mains === 'undecided') this.#notch50.run(channels, signal, count);
    if (mains === 60 || mains === 'undecided') this.#notch60.run(channels, signal, count);
    this.#lowPass.run(channels, signal, count);
    for (let c = channels.from; c < channels.to; c++) this.#write(c, first, count);
    this.#pending = due;
  }

  #write(c: number, first: number, count: number): void {
    const { data, valid, samples, index } = this.#output;
    const signal = this.#scratch;
    const row = c * signal.width;
    const at = c * samples + first - index;
    const record = c * recordLength;
    const table = this.tally.sums;
    const isSettled = this.#intake.isSettled(c);
    let absolute = table[record + sums.absolute];
    let power = table[record + sums.power];
    let real = 0;
    for (let i = 0; i < count; i++) {
      if (!isSettled && !this.#intake.isTrusted(c, this.resampler.sourceOf(first + i))) continue;
      const x = Math.fround(signal.data[row + i]);
      data[at + i] = x;
      valid[at + i] = 1;
      absolute += Math.abs(x);
      power += x * x;
      real++;
    }
    table[record + sums.absolute] = absolute;
    table[record + sums.power] = power;
    table[record + sums.valid] += real;
  }
}
