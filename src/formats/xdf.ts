/**
 * XDF files: all streams with synchronised, dejittered stamps (`readXdf`), and one numeric stream
 * as a `Recording` with every string stream's samples as its annotations (`openXdf`).
 */
import type { ChannelInfo } from '../core/stream.js';
import { type ByteFile, quoted } from './byte-file.js';
import { describeChannel, kindOfType } from './channel-kind.js';
import {
  type Annotation,
  checkRange,
  type OpenOptions,
  type Recording,
  type RecordingGap,
} from './recording.js';
import {
  readXdfChunks,
  type SampleSpan,
  valueBytes,
  type XdfFormat,
  type XdfStreamChunks,
} from './xdf-chunks.js';
import { gapsOf, gapsType } from './xdf-gaps.js';
import { dejitter, segments, synchronise } from './xdf-time.js';
import { at, textAt, type XmlElement } from './xml.js';

export interface XdfStream {
  readonly id: number;
  readonly name: string;
  readonly type: string;
  readonly format: XdfFormat;
  readonly rateHz: number;
  readonly header: XmlElement;
  readonly footer?: XmlElement;
  readonly channels: readonly ChannelInfo[];
  readonly samples: number;
  /** Recorder's clock, s. */
  readonly stamps: Float64Array;
  /** First samples of segments without breaks, for regular streams. */
  readonly starts: readonly number[];
  readonly gaps: readonly RecordingGap[];
  readonly texts: readonly (readonly string[])[];
  /** `[samples, channels]` of a numeric stream, scaled to each channel's unit. */
  read(start: number, samples: number): Float32Array;
}

export interface XdfFile {
  readonly header: XmlElement | undefined;
  readonly streams: readonly XdfStream[];
  readonly notes: readonly string[];
}

/** @throws EegError EEG_FILE_FORMAT. */
export function readXdf(file: ByteFile): XdfFile {
  const chunks = readXdfChunks(file);
  const gapTexts = chunks.streams.flatMap(({ type, format, texts }) =>
    type === gapsType && format === 'string' ? texts.map(([text = '']) => text) : [],
  );
  const streams = chunks.streams.map((stream) => prepare(file, stream, gapTexts));
  return { header: chunks.header, streams, notes: chunks.notes };
}

function prepare(file: ByteFile, chunks: XdfStreamChunks, gapTexts: readonly string[]): XdfStream {
  const { id, name, type, format, rateHz, header, texts } = chunks;
  const stamps = chunks.stamps;
  synchronise(stamps, chunks.offsets, rateHz);
  const gaps = gapsOf(id, stamps.length, gapTexts);
  const starts = rateHz > 0 ? segments(stamps, rateHz) : [];
  dejitter(stamps, starts, gaps);
  const described = describeChannels(chunks);
  const reader = new SpanReader(file, chunks, described.factors);
  return {
    id,
    name,
    type,
    format,
    rateHz,
    header,
    ...(chunks.footer === undefined ? {} : { footer: chunks.footer }),
    channels: described.channels,
    samples: stamps.length,
    stamps,
    starts,
    gaps: gapsFrom(stamps, starts, rateHz, gaps),
    texts,
    read: (start, samples) => reader.read(start, samples),
  };
}

/** Gaps the writer knew, and those that stamps show where it says nothing. */
function gapsFrom(
  stamps: Float64Array,
  starts: readonly number[],
  rateHz: number,
  known: readonly RecordingGap[],
): RecordingGap[] {
  const gaps = [...known];
  const frames = new Set(known.map(({ frame }) => frame));
  for (const frame of starts.slice(1)) {
    const step = (stamps[frame] as number) - (stamps[frame - 1] as number);
    const missing = Math.round(step * rateHz) - 1;
    if (missing > 0 && !frames.has(frame)) gaps.push({ frame, missing });
  }
  return gaps.sort((a, b) => a.frame - b.frame);
}

function describeChannels(chunks: XdfStreamChunks) {
  const list = at(chunks.header, 'desc/channels');
  const each = list?.children.filter(({ name }) => name === 'channel') ?? [];
  const channels: ChannelInfo[] = [];
  const factors: number[] = [];
  for (let c = 0; c < chunks.channelCount; c++) {
    const label = textAt(each[c], 'label') || `${c + 1}`;
    const unit = textAt(each[c], 'unit');
    const type = (textAt(each[c], 'type') || chunks.type).toLowerCase();
    const { channel, factor } = describeChannel(label, unit, kindOfType[type]);
    channels.push(channel);
    factors.push(factor);
  }
  return { channels, factors };
}

/** Numeric samples by position, through one span kept. */
class SpanReader {
  readonly #file: ByteFile;
  readonly #stream: XdfStreamChunks;
  readonly #factors: readonly number[];
  #span: SampleSpan | undefined;
  #values: Float32Array = new Float32Array(0);

  constructor(file: ByteFile, stream: XdfStreamChunks, factors: readonly number[]) {
    this.#file = file;
    this.#stream = stream;
    this.#factors = factors;
  }

  read(start: number, samples: number): Float32Array {
    const width = this.#stream.channelCount;
    const out = new Float32Array(samples * width);
    for (let done = 0; done < samples; ) {
      const sample = start + done;
      const span = this.#find(sample);
      if (span !== this.#span) {
        this.#values = this.#decode(span);
        this.#span = span;
      }
      const from = sample - span.first;
      const count = Math.min(span.count - from, samples - done);
      out.set(this.#values.subarray(from * width, (from + count) * width), done * width);
      done += count;
    }
    return out;
  }

  #find(sample: number): SampleSpan {
    const { spans } = this.#stream;
    let low = 0;
    let high = spans.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((spans[middle] as SampleSpan).first <= sample) low = middle;
      else high = middle - 1;
    }
    return spans[low] as SampleSpan;
  }

  #decode(span: SampleSpan): Float32Array {
    const { channelCount, format } = this.#stream;
    const bytes = this.#file.read(span.at, span.bytes, `samples of stream ${this.#stream.id}`);
    const out = new Float32Array(span.count * channelCount);
    const size = valueBytes[format as keyof typeof valueBytes];
    let position = 0;
    for (let i = 0; i < span.count; i++) {
      position += 1 + (bytes[position] as number);
      for (let c = 0; c < channelCount; c++, position += size) {
        out[i * channelCount + c] =
          readValue(bytes, position, format) * (this.#factors[c] as number);
      }
    }
    return out;
  }
}

function readValue(bytes: Buffer, position: number, format: XdfFormat): number {
  switch (format) {
    case 'float32':
      return bytes.readFloatLE(position);
    case 'double64':
      return bytes.readDoubleLE(position);
    case 'int8':
      return bytes.readInt8(position);
    case 'int16':
      return bytes.readInt16LE(position);
    case 'int32':
      return bytes.readInt32LE(position);
    case 'int64':
      return Number(bytes.readBigInt64LE(position));
    case 'string':
      return Number.NaN;
  }
}

export function openXdf(file: ByteFile, options: OpenOptions): Recording {
  const xdf = readXdf(file);
  const stream = chooseStream(file, xdf, options.stream);
  const { rateHz, stamps, samples } = stream;
  const startS = stamps[0] as number;
  const startWallMs = Date.parse(textAt(xdf.header, 'datetime'));
  const others = xdf.streams
    .filter((other) => other !== stream && other.format !== 'string' && other.samples > 0)
    .map(({ name, type }) => `stream ${quoted(name)} (${type}) is left out`);
  return {
    name: file.name,
    format: 'xdf',
    rateHz,
    channels: stream.channels,
    frames: samples,
    ...(Number.isNaN(startWallMs) ? {} : { startWallMs }),
    annotations: annotationsOf(xdf, startS),
    gaps: stream.gaps,
    notes: [...xdf.notes, ...others],
    read(startFrame, frames) {
      checkRange(startFrame, frames, samples);
      return stream.read(startFrame, frames);
    },
    stamps(startFrame, frames) {
      checkRange(startFrame, frames, samples);
      return stamps.slice(startFrame, startFrame + frames);
    },
    close: () => file.close(),
  };
}

function chooseStream(file: ByteFile, xdf: XdfFile, wanted: string | undefined): XdfStream {
  const list = xdf.streams.map(
    ({ name, type, format, rateHz, samples }) =>
      `${quoted(name)} (${type}, ${format}, ${rateHz} Hz, ${samples} samples)`,
  );
  const came = list.length === 0 ? 'no streams' : list.slice(0, 8).join(', ');
  const usable = xdf.streams.filter(
    ({ format, rateHz, samples, channels }) =>
      format !== 'string' && rateHz > 0 && samples > 0 && channels.length > 0,
  );
  if (wanted !== undefined) {
    const named = usable.find(({ id, name }) => name === wanted || String(id) === wanted);
    if (named !== undefined) return named;
    throw file.fault('stream', `a regular numeric stream ${quoted(wanted)}`, came);
  }
  const weight = (s: XdfStream): number =>
    (s.type.toLowerCase() === 'eeg' ? 2 ** 40 : 0) + s.samples;
  const best = usable.sort((a, b) => weight(b) - weight(a))[0];
  if (best !== undefined) return best;
  if (xdf.streams.every(({ samples }) => samples === 0)) throw file.empty(came);
  throw file.fault('streams', 'a numeric stream of a regular rate', came);
}

function annotationsOf(xdf: XdfFile, startS: number): Annotation[] {
  const annotations: Annotation[] = [];
  for (const { format, type, texts, stamps } of xdf.streams) {
    if (format !== 'string' || type === gapsType) continue;
    for (const [i, row] of texts.entries()) {
      const text = row.filter((part) => part !== '').join(', ');
      if (text !== '') {
        annotations.push({ onsetS: (stamps[i] as number) - startS, durationS: 0, text });
      }
    }
  }
  return annotations.sort((a, b) => a.onsetS - b.onsetS);
}
