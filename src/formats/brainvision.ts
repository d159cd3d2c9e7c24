/**
 * BrainVision recordings (Brain Products, "BrainVision Core Data Format 1.0"): a header (.vhdr) and
 * markers (.vmrk) as INI text, and binary samples (.eeg, .dat) as INT_16, INT_32 or IEEE_FLOAT_32,
 * multiplexed or vectorised.
 */
import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { ChannelInfo } from '../core/stream.js';
import { ByteFile, quoted } from './byte-file.js';
import { describeChannel } from './channel-kind.js';
import { type Annotation, checkRange, type Recording, type RecordingGap } from './recording.js';

const headerBytesMax = 16 * 1024 * 1024;
const sampleBytes = { INT_16: 2, INT_32: 4, IEEE_FLOAT_32: 4 } as const;
type SampleFormat = keyof typeof sampleBytes;

type Ini = Map<string, Map<string, string>>;

interface Layout {
  readonly format: SampleFormat;
  readonly isVectorised: boolean;
  readonly channels: readonly ChannelInfo[];
  readonly factors: readonly number[];
  readonly rateHz: number;
  readonly frames: number;
}

export function openBrainVision(file: ByteFile): Recording {
  const ini = readIni(file);
  const header = (section: string, key: string): string => ini.get(section)?.get(key) ?? '';
  const channels = readChannels(file, ini);
  const intervalUs = Number(header('common infos', 'samplinginterval') || NaN);
  if (!(intervalUs > 0 && intervalUs < 1e12)) {
    const came = quoted(header('common infos', 'samplinginterval'));
    throw file.fault('SamplingInterval', 'more than 0 us', came);
  }
  const samples = beside(file, header('common infos', 'datafile'), 'DataFile');
  try {
    const layout = readLayout(file, ini, samples, channels, 1e6 / intervalUs);
    const markers = readMarkers(file, header('common infos', 'markerfile'), layout.rateHz);
    file.close();
    return {
      name: file.name,
      format: 'brainvision',
      rateHz: layout.rateHz,
      channels: channels.list,
      frames: layout.frames,
      ...markers,
      read(startFrame, frames) {
        checkRange(startFrame, frames, layout.frames);
        return readFrames(samples, layout, startFrame, frames);
      },
      close: () => samples.close(),
    };
  } catch (error) {
    samples.close();
    throw error;
  }
}

function readLayout(
  file: ByteFile,
  ini: Ini,
  samples: ByteFile,
  channels: { list: ChannelInfo[]; factors: number[] },
  rateHz: number,
): Layout {
  const pick = (
    section: string,
    key: string,
    allowed: readonly string[],
    other: string,
  ): string => {
    const value = (ini.get(section)?.get(key.toLowerCase()) || other).toUpperCase();
    if (!allowed.includes(value)) throw file.fault(key, allowed.join(' or '), quoted(value));
    return value;
  };
  pick('common infos', 'DataFormat', ['BINARY'], 'BINARY');
  const orientations = ['MULTIPLEXED', 'VECTORIZED'];
  const orientation = pick('common infos', 'DataOrientation', orientations, 'MULTIPLEXED');
  pick('common infos', 'DataType', ['TIMEDOMAIN'], 'TIMEDOMAIN');
  const formats = Object.keys(sampleBytes);
  const format = pick('binary infos', 'BinaryFormat', formats, 'INT_16') as SampleFormat;
  const frameBytes = channels.list.length * sampleBytes[format];
  const frames = samples.bytes / frameBytes;
  if (!Number.isInteger(frames)) {
    const expected = `a multiple of ${frameBytes} bytes (${channels.list.length} channels)`;
    throw samples.fault('length', expected, `${samples.bytes} bytes`);
  }
  const isVectorised = orientation === 'VECTORIZED';
  return {
    format,
    isVectorised,
    channels: channels.list,
    factors: channels.factors,
    rateHz,
    frames,
  };
}

function readChannels(file: ByteFile, ini: Ini) {
  const text = ini.get('common infos')?.get('numberofchannels') ?? '';
  const count = Number(text || NaN);
  if (!Number.isInteger(count) || count < 1 || count > 4096) {
    throw file.fault('NumberOfChannels', 'a whole number from 1 to 4096', quoted(text));
  }
  const list: ChannelInfo[] = [];
  const factors: number[] = [];
  for (let c = 1; c <= count; c++) {
    const entry = ini.get('channel infos')?.get(`ch${c}`);
    if (entry === undefined) throw file.fault(`Ch${c}`, 'a channel', 'no such line');
    const [label = '', , resolution = '', unit = ''] = entry.split(',').map(unescapeComma);
    const scale = resolution === '' ? 1 : Number(resolution);
    if (!(Math.abs(scale) > 0 && Math.abs(scale) < 1e12)) {
      throw file.fault(`resolution of Ch${c}`, 'a number other than 0', quoted(resolution));
    }
    // The format's unit where none is given is the microvolt.
    const { channel, factor } = describeChannel(label, unit === '' ? 'uV' : unit);
    list.push(channel);
    factors.push(scale * factor);
  }
  return { list, factors };
}

function readMarkers(file: ByteFile, name: string, rateHz: number) {
  const annotations: Annotation[] = [];
  const gaps: RecordingGap[] = [];
  const notes: string[] = [];
  if (name === '') return { annotations, gaps, notes };
  const path = pathBeside(file, name);
  if (!existsSync(path)) {
    notes.push(`the marker file ${quoted(name)} is not there`);
    return { annotations, gaps, notes };
  }
  const markerFile = ByteFile.open(path);
  let startWallMs: number | undefined;
  try {
    const entries = readIni(markerFile).get('marker infos') ?? new Map<string, string>();
    for (const [key, entry] of entries) {
      const [type = '', text = '', position = '', size = '', , date = ''] = entry
        .split(',')
        .map(unescapeComma);
      const sample = Number(position || NaN);
      if (!Number.isInteger(sample) || sample < 0) {
        throw markerFile.fault(`position of ${key}`, 'a whole number', quoted(position));
      }
      if (type === 'New Segment') startWallMs ??= markerDate(date);
      const onsetS = Math.max(0, sample - 1) / rateHz;
      const durationS = Math.max(0, Number(size) || 0) / rateHz;
      annotations.push({ onsetS, durationS, text: `${type}/${text}` });
    }
  } finally {
    markerFile.close();
  }
  const breaks = annotations.filter(({ onsetS, text }) => onsetS > 0 && text === 'New Segment/');
  if (breaks.length > 0) notes.push(`${breaks.length} breaks; time is that of the samples`);
  annotations.sort((a, b) => a.onsetS - b.onsetS);
  return { annotations, gaps, notes, ...(startWallMs === undefined ? {} : { startWallMs }) };
}

/** `YYYYMMDDhhmmss` and microseconds. */
function markerDate(text: string): number | undefined {
  const m = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d{6})/.exec(text);
  if (m === null || Number(m[1]) === 0) return undefined;
  const [year, month, day, hours, minutes, seconds, us] = m.slice(1).map(Number) as number[];
  const whole = Date.UTC(
    year as number,
    (month as number) - 1,
    day as number,
    hours as number,
    minutes as number,
    seconds as number,
  );
  return whole + (us as number) / 1000;
}

function readFrames(file: ByteFile, layout: Layout, start: number, frames: number): Float32Array {
  const { format, factors, isVectorised, frames: total } = layout;
  const size = sampleBytes[format];
  const width = factors.length;
  const out = new Float32Array(frames * width);
  const value = (bytes: Buffer, at: number): number =>
    format === 'INT_16'
      ? bytes.readInt16LE(at)
      : format === 'INT_32'
        ? bytes.readInt32LE(at)
        : bytes.readFloatLE(at);
  if (isVectorised) {
    for (let c = 0; c < width; c++) {
      const bytes = file.read((c * total + start) * size, frames * size, 'samples');
      for (let i = 0; i < frames; i++) {
        out[i * width + c] = value(bytes, i * size) * (factors[c] as number);
      }
    }
    return out;
  }
  const bytes = file.read(start * width * size, frames * width * size, 'samples');
  for (let i = 0; i < out.length; i++)
    out[i] = value(bytes, i * size) * (factors[i % width] as number);
  return out;
}

/** Sections and keys in lower case; UTF-8, or Latin-1 where the text is no UTF-8. */
function readIni(file: ByteFile): Ini {
  if (file.bytes > headerBytesMax) {
    throw file.fault('length', `at most ${headerBytesMax} bytes of text`, `${file.bytes} bytes`);
  }
  const bytes = file.read(0, file.bytes, 'header');
  const utf8 = bytes.toString('utf8');
  const text = utf8.includes('\ufffd') ? bytes.toString('latin1') : utf8;
  const sections: Ini = new Map();
  let section = new Map<string, string>();
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith(';')) continue;
    const title = /^\[(.+)\]\s*$/.exec(line)?.[1];
    if (title !== undefined) {
      section = new Map();
      sections.set(title.toLowerCase(), section);
      continue;
    }
    const equals = line.indexOf('=');
    if (equals > 0) {
      section.set(line.slice(0, equals).trim().toLowerCase(), line.slice(equals + 1).trim());
    }
  }
  return sections;
}

function unescapeComma(text: string): string {
  return text.replace(/\\1/g, ',').trim();
}

/** Files of a recording stand in one folder: only the name counts, `$b` is the header's own. */
function pathBeside(file: ByteFile, name: string): string {
  const own = file.name.replace(/\.[^.]*$/, '');
  const plain = basename(name.replace(/\$b/g, own).replace(/\\/g, '/'));
  return join(dirname(file.path), plain);
}

function beside(file: ByteFile, name: string, field: string): ByteFile {
  const path = name === '' ? '' : pathBeside(file, name);
  if (path === '' || !existsSync(path)) {
    throw file.fault(field, 'a file in the same folder', name === '' ? 'nothing' : quoted(name));
  }
  return ByteFile.open(path);
}
