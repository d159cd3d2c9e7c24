/**
 * A step: the conditioned signal of one stream since the step before (whole 0.25 s ticks), and the
 * windows that end in it. Each sample travels once; a worker keeps the last minute of every stream
 * it serves, and reads the steps it does not have again from the JetStream stream.
 *
 * Samples are int16 in units of the channel's peak in the step / 32767 (the error is below 1/65534
 * of the peak); -32768 = not valid. Times are wall clock seconds: machines share no other clock.
 */
import { gridS, gridSamples } from '../core/tasks.js';
import type { Reference } from '../signal/alignment.js';
import { isAddress, isPerson, type StreamAddress } from './names.js';
import {
  BadMessage,
  lengthAt,
  messageKinds,
  type Reader,
  readHead,
  requireEnd,
  Writer,
  writeHead,
} from './wire.js';

export interface StepWindow {
  readonly task: string;
  readonly seq: number;
  /** On the grid, in this step or before. */
  readonly endSample: number;
}

/** What the read-out of a person's pack needs besides the signal. */
export interface PersonSignal {
  /** Of the channels. */
  readonly labels: readonly string[];
  /** Known at the step's end; undefined in a stream's first seconds. */
  readonly reference: Reference | undefined;
}

export interface Step extends StreamAddress {
  /** Which life of the stream: wall clock ms of its start. Samples and windows count from there. */
  readonly epoch: number;
  /** Whose expert pack to use; empty = nobody's. */
  readonly person: string;
  /** There where there is a person. */
  readonly own?: PersonSignal;
  /** Names of the tasks to serve; empty = all. */
  readonly only: readonly string[];
  readonly startSample: number;
  /** Where the step sent before this one ended: who does not hold it reads it again. */
  readonly previousEnd: number;
  readonly ticks: number;
  readonly channels: number;
  /** Wall clock seconds of the last tick's end, and of its arrival at the edge. */
  readonly stampWallS: number;
  readonly arrivalWallS: number;
  /** `[channels, 6]`, see `TrunkBatch.positions`. */
  readonly positions: Float32Array;
  /** `[ticks, channels]`: running scale in uV after the tick, 0 = not usable. */
  readonly scales: Float32Array;
  /** `[channels, 50 * ticks]`, uV; 0 where not valid. */
  readonly data: Float32Array;
  readonly valid: Uint8Array;
  readonly windows: readonly StepWindow[];
}

/** Ten seconds. */
export const stepTicksMax = 40;
export const channelsMax = 256;
const windowsMax = 255;
/** Of up to four bytes each. */
const labelCharactersMax = 63;
const fullScale = 32767;
const notValid = -32768;
/** Names, header and windows of a step at most. */
const otherBytesMax = 64 + 5 * 256 + windowsMax * 80;

export function stepBytesMax(channels: number, ticks: number): number {
  const own = 16 + channels * (1 + 4 * labelCharactersMax) + 4 * triangle(channels);
  return otherBytesMax + own + channels * (12 + 4 + ticks * (4 + 2 * gridSamples));
}

/** Values of a symmetric matrix. */
const triangle = (channels: number) => (channels * (channels + 1)) / 2;

export function endSampleOf(step: Pick<Step, 'startSample' | 'ticks'>): number {
  return step.startSample + step.ticks * gridSamples;
}

/** Wall clock seconds of a window's end. */
export function windowStampWallS(step: Step, { endSample }: StepWindow): number {
  return step.stampWallS - ((endSampleOf(step) - endSample) / gridSamples) * gridS;
}

export function encodeStep(step: Step): Uint8Array {
  const { channels, ticks } = step;
  const writer = writeHead(new Writer(stepBytesMax(channels, ticks)), messageKinds.step);
  writer.f64(step.epoch).f64(step.startSample).f64(step.previousEnd);
  writer.f64(step.stampWallS).f64(step.arrivalWallS);
  writer.u16(ticks).u16(channels);
  writer.text(step.site).text(step.edge).text(step.stream).text(step.person);
  writer.text(step.only.join(','));
  if (step.person !== '') writePerson(writer, step);
  for (const value of step.positions) writer.i16(Math.round(clamp(value) * fullScale));
  for (const value of step.scales) writer.f32(value);
  const samples = ticks * gridSamples;
  for (let c = 0; c < channels; c++) writeChannel(writer, step, c * samples, samples);
  writer.u8(step.windows.length);
  for (const { task, seq, endSample } of step.windows) writer.text(task).u32(seq).f64(endSample);
  return writer.finish(lengthAt);
}

function writePerson(writer: Writer, { channels, own }: Step): void {
  for (let c = 0; c < channels; c++)
    writer.text([...(own?.labels[c] ?? '')].slice(0, labelCharactersMax).join(''));
  const { from, covariance } = own?.reference ?? {};
  writer.u8(covariance === undefined ? 0 : 1);
  if (from === undefined || covariance === undefined) return;
  writer.f64(from);
  for (let a = 0; a < channels; a++)
    for (let b = 0; b <= a; b++) writer.f32(covariance[a * channels + b] as number);
}

function readPerson(reader: Reader, channels: number): PersonSignal {
  const labels = Array.from({ length: channels }, () => reader.text());
  if (reader.u8() === 0) return { labels, reference: undefined };
  const from = reader.f64();
  const values = reader.f32s(triangle(channels));
  if (!Number.isFinite(from) || !values.every(Number.isFinite))
    throw new BadMessage('invalid', 'expected a finite covariance');
  const covariance = new Float32Array(channels * channels);
  for (let a = 0, i = 0; a < channels; a++)
    for (let b = 0; b <= a; b++, i++) {
      covariance[a * channels + b] = values[i] as number;
      covariance[b * channels + a] = values[i] as number;
    }
  return { labels, reference: { from, covariance } };
}

function writeChannel(writer: Writer, { data, valid }: Step, from: number, samples: number): void {
  let peak = 0;
  for (let i = from; i < from + samples; i++)
    if (valid[i] === 1) peak = Math.max(peak, Math.abs(data[i] as number));
  const unit = Math.fround(peak / fullScale);
  writer.f32(unit);
  for (let i = from; i < from + samples; i++) {
    const value = unit === 0 ? 0 : Math.round((data[i] as number) / unit);
    writer.i16(valid[i] === 1 ? Math.min(fullScale, Math.max(-fullScale, value)) : notValid);
  }
}

/** Throws `BadMessage`. `address` is what the subject says: a message of another stream is refused. */
export function decodeStep(bytes: Uint8Array, address?: StreamAddress): Step {
  const reader = readHead(bytes, messageKinds.step, stepBytesMax(channelsMax, stepTicksMax));
  const [epoch, startSample, previousEnd] = [reader.f64(), reader.f64(), reader.f64()];
  const [stampWallS, arrivalWallS] = [reader.f64(), reader.f64()];
  const [ticks, channels] = [reader.u16(), reader.u16()];
  const [site, edge, stream, person] = [reader.text(), reader.text(), reader.text(), reader.text()];
  const only = reader.text();
  requireSize(ticks, channels, startSample);
  requireFinite(epoch, previousEnd, stampWallS, arrivalWallS);
  requireNames({ site, edge, stream }, person, address);
  const own = person === '' ? undefined : readPerson(reader, channels);
  const positions = new Float32Array(6 * channels);
  reader.i16s(6 * channels, (value, i) => {
    positions[i] = value / fullScale;
  });
  const scales = reader.f32s(ticks * channels);
  if (!scales.every((scale) => scale >= 0 && Number.isFinite(scale)))
    throw new BadMessage('invalid', 'expected scales of 0 or more');
  const signal = readSignal(reader, channels, ticks * gridSamples);
  const windows = readWindows(reader, startSample + ticks * gridSamples);
  requireEnd(reader);
  return {
    ...{ site, edge, stream, person, epoch, startSample, previousEnd },
    ...{ ticks, channels, stampWallS, arrivalWallS, positions, scales, windows, ...signal },
    only: only === '' ? [] : only.split(','),
    ...(own === undefined ? {} : { own }),
  };
}

function readSignal(reader: Reader, channels: number, samples: number) {
  const data = new Float32Array(channels * samples);
  const valid = new Uint8Array(channels * samples);
  for (let c = 0; c < channels; c++) {
    const unit = reader.f32();
    if (!(unit >= 0 && Number.isFinite(unit))) throw new BadMessage('invalid', `unit ${unit}`);
    const at = c * samples;
    reader.i16s(samples, (value, i) => {
      if (value === notValid) return;
      data[at + i] = value * unit;
      valid[at + i] = 1;
    });
  }
  return { data, valid };
}

function readWindows(reader: Reader, end: number): StepWindow[] {
  return Array.from({ length: reader.u8() }, () => {
    const window = { task: reader.text(), seq: reader.u32(), endSample: reader.f64() };
    const { endSample } = window;
    if (!(endSample >= 0 && endSample <= end && endSample % gridSamples === 0))
      throw new BadMessage('invalid', `expected a window on the grid, got ${endSample}`);
    return window;
  });
}

function requireSize(ticks: number, channels: number, startSample: number): void {
  const fits = ticks >= 1 && ticks <= stepTicksMax && channels >= 1 && channels <= channelsMax;
  const placed =
    Number.isSafeInteger(startSample) && startSample >= 0 && startSample % gridSamples === 0;
  if (fits && placed) return;
  throw new BadMessage('invalid', `${ticks} ticks of ${channels} channels from ${startSample}`);
}

function requireFinite(...values: readonly number[]): void {
  if (!values.every(Number.isFinite)) throw new BadMessage('invalid', 'expected finite times');
}

function requireNames(got: StreamAddress, person: string, expected?: StreamAddress): void {
  if (!isAddress(got) || (person !== '' && !isPerson(person)))
    throw new BadMessage('invalid', 'expected names of a-z, 0-9 and -');
  if (expected === undefined) return;
  const same =
    got.site === expected.site && got.edge === expected.edge && got.stream === expected.stream;
  if (!same)
    throw new BadMessage(
      'site',
      `expected ${expected.site}/${expected.edge}/${expected.stream} by the subject, ` +
        `got ${got.site}/${got.edge}/${got.stream}`,
    );
}

function clamp(value: number): number {
  return Math.min(1, Math.max(-1, value));
}
