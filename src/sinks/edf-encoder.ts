/**
 * EDF+ and BDF+ (Kemp and Olivan 2003) of one stream, in data records of about a second. The header
 * says -1 records until `end`, as the format has it for a recording that goes on, so the file can be
 * read at any moment. Frames lost inside a record are written as a value outside the digital range
 * and annotated `BAD_gap`; over longer gaps the records jump, and the file becomes EDF+D.
 */
import type { Prediction, TaskEvent } from '../core/events.js';
import type { ChannelInfo, Chunk, Marker, StreamInfo } from '../core/stream.js';
import { bdfNoValue, edfEquipment, edfNoValue } from '../formats/edf.js';
import { formatTal } from '../formats/tal.js';
import { edfHeaderBytes, edfRange, type SignalRange } from './edf-range.js';
import type { RecordingEncoder, Write } from './encoder.js';

/** Bytes for annotations in a record; what does not fit goes to the next. */
const talBytes = 480;
const textBytesMax = 160;
/** Annotations that may wait: more are hours of them, and wrong. */
const pendingMax = 10_000;

export interface EdfOptions {
  readonly format: 'edf' | 'bdf';
  /** Wall clock of a stamp, ms since the epoch. */
  readonly wallMsOf: (stampS: number) => number;
  /** Half the range of EEG channels without a known one, uV: 3276.7 makes steps of 0.1 uV. */
  readonly halfRangeUv?: number;
}

export class EdfEncoder implements RecordingEncoder {
  readonly #info: StreamInfo;
  readonly #options: EdfOptions;
  readonly #perRecord: number;
  readonly #recordS: number;
  readonly #size: 2 | 3;
  /** The record that fills: `[perRecord, channels]`, NaN where nothing came. */
  readonly #frames: Float32Array;
  #ranges: readonly SignalRange[] | undefined;
  #filled = 0;
  #records = 0;
  #isDiscontinuous = false;
  /** Stream index of the record's first frame, and of the file's. */
  #recordIndex = 0;
  #firstIndex: number | undefined;
  #startWallMs = 0;
  #anchor = { index: 0, stampS: 0 };
  #early: Marker[] = [];
  #tals: Buffer[] = [];
  readonly #labels = new Map<string, string>();
  /** Values that lay outside the range and were written as its end. */
  clipped = 0;

  constructor(info: StreamInfo, options: EdfOptions) {
    this.#info = info;
    this.#options = options;
    this.#perRecord = Math.max(1, Math.round(info.rateHz));
    this.#recordS = this.#perRecord / info.rateHz;
    this.#size = options.format === 'edf' ? 2 : 3;
    this.#frames = new Float32Array(this.#perRecord * info.channels.length).fill(Number.NaN);
  }

  /** The header waits for the first record, whose values say where the ranges should lie. */
  begin(): Write[] {
    return [];
  }

  chunk(stream: string, chunk: Chunk, stamps: Float64Array): Write[] {
    if (stream !== this.#info.id || chunk.frames === 0) return [];
    const stampS = stamps[0] as number;
    if (this.#firstIndex === undefined) {
      this.#firstIndex = this.#recordIndex = chunk.index;
      this.#startWallMs = Math.round(this.#options.wallMsOf(stampS));
    }
    this.#anchor = { index: chunk.index, stampS };
    for (const early of this.#early.splice(0)) this.#mark(early);
    const writes = this.#leap(chunk.index);
    const width = this.#info.channels.length;
    for (let done = 0; done < chunk.frames; ) {
      const count = Math.min(this.#perRecord - this.#filled, chunk.frames - done);
      const part = chunk.data.subarray(done * width, (done + count) * width);
      this.#frames.set(part, this.#filled * width);
      this.#filled += count;
      done += count;
      if (this.#filled === this.#perRecord) writes.push(...this.#record());
    }
    return writes;
  }

  /** Fills or ends the record before a gap. */
  #leap(index: number): Write[] {
    const missing = index - (this.#recordIndex + this.#filled);
    if (missing <= 0) return [];
    const onsetS = this.#onset(this.#recordIndex + this.#filled);
    this.#annotate(onsetS, missing / this.#info.rateHz, 'BAD_gap');
    if (this.#filled + missing < this.#perRecord) {
      this.#filled += missing;
      return [];
    }
    const writes: Write[] = [];
    const isJump = this.#filled === 0 || this.#recordIndex + this.#perRecord !== index;
    if (isJump && !this.#isDiscontinuous) {
      this.#isDiscontinuous = true;
      // A header that is still to come says so itself.
      const reserved = Buffer.from(this.#reserved().padEnd(44));
      if (this.#ranges !== undefined) writes.push({ bytes: reserved, at: 192 });
    }
    if (this.#filled > 0) writes.push(...this.#record());
    this.#recordIndex = index;
    return writes;
  }

  marker(stream: string, marker: Marker): Write[] {
    if (stream === this.#info.id) this.#mark(marker);
    return [];
  }

  /** Only where the label changes: an EDF+ file is read by people. */
  prediction({ stream, task, label, windowEndS, probabilities }: Prediction): Write[] {
    if (stream !== this.#info.id || this.#labels.get(task) === label) return [];
    this.#labels.set(task, label);
    const share = (probabilities[label] ?? 0).toFixed(2);
    this.#mark({ stampS: windowEndS, text: `${task}: ${label} (${share})` });
    return [];
  }

  event({ stream, stampS, task, label, phase }: TaskEvent): Write[] {
    return this.marker(stream, { stampS, text: `${task}: ${label} ${phase}` });
  }

  tick(): Write[] {
    return [];
  }

  /** The record that is under way, annotations that found no room, and the number of records. */
  end(): Write[] {
    const writes: Write[] = [];
    if (this.#filled > 0) writes.push(...this.#record());
    while (this.#tals.length > 0 && this.#records > 0) writes.push(...this.#record());
    if (this.#records === 0) return [];
    return [...writes, { bytes: Buffer.from(String(this.#records).padEnd(8)), at: 236 }];
  }

  #record(): Write[] {
    const { channels } = this.#info;
    const writes: Write[] = [];
    if (this.#ranges === undefined) {
      this.#ranges = channels.map((channel, c) => this.#range(channel, c));
      writes.push({ bytes: this.#header(this.#ranges) });
    }
    const body = Buffer.alloc(this.#perRecord * channels.length * this.#size + talBytes);
    let at = 0;
    for (const [c, range] of this.#ranges.entries()) {
      for (let i = 0; i < this.#perRecord; i++, at += this.#size) {
        const value = this.#frames[i * channels.length + c] as number;
        body.writeIntLE(this.#digital(value, range), at, this.#size);
      }
    }
    this.#writeTals(body, at);
    this.#frames.fill(Number.NaN);
    this.#filled = 0;
    this.#recordIndex += this.#perRecord;
    this.#records++;
    writes.push({ bytes: body });
    return writes;
  }

  #digital(value: number, { gain, offset, digitalMax }: SignalRange): number {
    if (Number.isNaN(value)) return this.#size === 2 ? edfNoValue : bdfNoValue;
    const digital = Math.round((value - offset) / gain);
    if (digital > digitalMax || digital < -digitalMax) {
      this.clipped++;
      return digital > 0 ? digitalMax : -digitalMax;
    }
    return digital;
  }

  #writeTals(body: Buffer, from: number): void {
    let at = from + formatTal(this.#onset(this.#recordIndex), undefined, ['']).copy(body, from);
    while (this.#tals.length > 0) {
      const tal = this.#tals[0] as Buffer;
      if (at + tal.length > body.length) return;
      at += tal.copy(body, at);
      this.#tals.shift();
    }
  }

  #range(channel: ChannelInfo, c: number): SignalRange {
    const width = this.#info.channels.length;
    const values: number[] = [];
    for (let i = 0; i < this.#perRecord; i++) {
      const value = this.#frames[i * width + c] as number;
      if (Number.isFinite(value)) values.push(value);
    }
    return edfRange(channel, values, this.#size, this.#options.halfRangeUv ?? 3276.7);
  }

  #reserved(): string {
    return `${this.#options.format.toUpperCase()}+${this.#isDiscontinuous ? 'D' : 'C'}`;
  }

  #header(ranges: readonly SignalRange[]): Buffer {
    return edfHeaderBytes({
      isBdf: this.#size === 3,
      reserved: this.#reserved(),
      startWallMs: this.#startWallMs,
      equipment: edfEquipment,
      recordS: this.#recordS,
      perRecord: this.#perRecord,
      talSamples: talBytes / this.#size,
      channels: this.#info.channels,
      ranges,
    });
  }

  #annotate(onsetS: number, durationS: number | undefined, text: string): void {
    const short = Buffer.from(text)
      .subarray(0, textBytesMax)
      .toString('utf8')
      .replace('\ufffd', '');
    this.#tals.push(formatTal(onsetS, durationS, [short]));
    if (this.#tals.length > pendingMax) this.#tals.shift();
  }

  /** The header's start counts whole seconds; the rest of the second is in every onset. */
  #onset(index: number): number {
    const part = (this.#startWallMs % 1000) / 1000;
    return part + (index - (this.#firstIndex ?? index)) / this.#info.rateHz;
  }

  /** What comes before the first frame waits for it: only then is its place known. */
  #mark(marker: Marker): void {
    const { stampS, durationS, text } = marker;
    if (this.#firstIndex === undefined) {
      if (this.#early.push(marker) > pendingMax) this.#early.shift();
      return;
    }
    this.#annotate(this.#onset(this.#anchor.index) + stampS - this.#anchor.stampS, durationS, text);
  }
}
