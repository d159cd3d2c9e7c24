/** Samples of protocol 1.10 to bytes; the mirror of `decoder.ts`. */
import { LslError } from './errors.js';
import {
  patternOffsets,
  patternStampS,
  patternValue,
  type SampleFormat,
  valueBytes,
} from './formats.js';

export type SampleValues = ArrayLike<number> | ArrayLike<bigint> | ArrayLike<string>;

export interface EncoderShape {
  readonly format: SampleFormat;
  readonly channels: number;
}

export interface FrameRange {
  readonly from: number;
  readonly to: number;
}

/**
 * `stamps[k]` is the stamp of frame `k`; NaN = let the receiver deduce it from the one before.
 */
export function encodeSamples(
  shape: EncoderShape,
  data: SampleValues,
  stamps: ArrayLike<number>,
  frames: FrameRange,
  littleEndian: boolean,
): Buffer {
  const { channels, format } = shape;
  const texts = format === 'string' ? textsOf(data, frames, channels) : undefined;
  const out = Buffer.allocUnsafe(sizeOf(shape, stamps, frames, texts));
  const view = new DataView(out.buffer, out.byteOffset, out.byteLength);
  let at = 0;
  for (let frame = frames.from; frame < frames.to; frame++) {
    const stamp = stamps[frame] ?? Number.NaN;
    if (Number.isNaN(stamp)) view.setUint8(at++, 1);
    else {
      view.setUint8(at, 2);
      view.setFloat64(at + 1, stamp, littleEndian);
      at += 9;
    }
    if (texts !== undefined) {
      const first = (frame - frames.from) * channels;
      for (let k = 0; k < channels; k++)
        at = writeText(out, view, at, texts[first + k] ?? empty, littleEndian);
    } else {
      writeNumbers(format, view, at, data, frame * channels, channels, littleEndian);
      at += channels * valueBytes[format];
    }
  }
  return out;
}

const empty = Buffer.alloc(0);

function textsOf(data: SampleValues, frames: FrameRange, channels: number): Buffer[] {
  const texts: Buffer[] = [];
  for (let i = frames.from * channels; i < frames.to * channels; i++)
    texts.push(Buffer.from(String(data[i] ?? ''), 'utf8'));
  return texts;
}

function sizeOf(
  shape: EncoderShape,
  stamps: ArrayLike<number>,
  frames: FrameRange,
  texts: readonly Buffer[] | undefined,
): number {
  let size = 0;
  for (let frame = frames.from; frame < frames.to; frame++)
    size += Number.isNaN(stamps[frame] ?? Number.NaN) ? 1 : 9;
  if (texts === undefined)
    return size + (frames.to - frames.from) * shape.channels * valueBytes[shape.format];
  for (const text of texts) size += 1 + lengthBytes(text.byteLength) + text.byteLength;
  return size;
}

/** As liblsl chooses: one byte up to 255, else four. */
function lengthBytes(length: number): number {
  return length <= 255 ? 1 : 4;
}

function writeText(
  out: Buffer,
  view: DataView,
  start: number,
  text: Buffer,
  littleEndian: boolean,
): number {
  const bytes = lengthBytes(text.byteLength);
  view.setUint8(start, bytes);
  if (bytes === 1) view.setUint8(start + 1, text.byteLength);
  else view.setUint32(start + 1, text.byteLength, littleEndian);
  out.set(text, start + 1 + bytes);
  return start + 1 + bytes + text.byteLength;
}

function writeNumbers(
  format: SampleFormat,
  view: DataView,
  at: number,
  data: SampleValues,
  from: number,
  channels: number,
  little: boolean,
): void {
  const numbers = data as ArrayLike<number>;
  switch (format) {
    case 'float32':
      for (let k = 0; k < channels; k++)
        view.setFloat32(at + 4 * k, numbers[from + k] ?? Number.NaN, little);
      return;
    case 'double64':
      for (let k = 0; k < channels; k++)
        view.setFloat64(at + 8 * k, numbers[from + k] ?? Number.NaN, little);
      return;
    case 'int32':
      for (let k = 0; k < channels; k++) view.setInt32(at + 4 * k, numbers[from + k] ?? 0, little);
      return;
    case 'int16':
      for (let k = 0; k < channels; k++) view.setInt16(at + 2 * k, numbers[from + k] ?? 0, little);
      return;
    case 'int8':
      for (let k = 0; k < channels; k++) view.setInt8(at + k, numbers[from + k] ?? 0);
      return;
    default:
      for (let k = 0; k < channels; k++)
        view.setBigInt64(at + 8 * k, BigInt(data[from + k] ?? 0), little);
  }
}

/** The two samples that open every feed. */
export function encodePattern(shape: EncoderShape, littleEndian: boolean): Buffer {
  const values = patternOffsets.flatMap((offset) =>
    Array.from({ length: shape.channels }, (_, k) => patternValue(shape.format, k, offset)),
  );
  const stamps = [patternStampS, patternStampS];
  const range = { from: 0, to: 2 };
  return encodeSamples(shape, values as unknown as SampleValues, stamps, range, littleEndian);
}

/** Throws `LslError` (`protocol`) where the two opening samples are not the agreed ones. */
export function checkPattern(shape: EncoderShape, data: SampleValues): void {
  for (const [frame, offset] of patternOffsets.entries()) {
    for (let k = 0; k < shape.channels; k++) {
      const expected = patternValue(shape.format, k, offset);
      const got = data[frame * shape.channels + k];
      if (got !== expected)
        throw new LslError(
          'protocol',
          `expected ${expected} in channel ${k} of the test pattern, got ${String(got)}`,
        );
    }
  }
}
