/**
 * GDF 1.x and 2.x (Schloegl, "GDF - A general dataformat for biosignals", arXiv cs/0608052): fixed
 * header of 256 bytes, 256 bytes a channel field by field, data records, event table. Events become
 * annotations whose text is the event code in decimal (`769` = cue left, ...).
 */
import { type ByteFile, quoted } from './byte-file.js';
import { chooseRate, describeChannel } from './channel-kind.js';
import { type Annotation, checkRange, type OpenOptions, type Recording } from './recording.js';
import { type Column, RecordReader } from './records.js';

interface SampleType {
  /** Bytes. */
  readonly size: number;
  readonly decode: (bytes: Buffer, at: number) => number;
  /** The value that the competition data have where nothing was recorded; NaN = none. */
  readonly noValue: number;
}

const none = Number.NaN;
const sampleTypes: Readonly<Record<number, SampleType>> = {
  1: { size: 1, decode: (b, at) => b.readInt8(at), noValue: none },
  2: { size: 1, decode: (b, at) => b.readUInt8(at), noValue: none },
  3: { size: 2, decode: (b, at) => b.readInt16LE(at), noValue: -32_768 },
  4: { size: 2, decode: (b, at) => b.readUInt16LE(at), noValue: none },
  5: { size: 4, decode: (b, at) => b.readInt32LE(at), noValue: none },
  6: { size: 4, decode: (b, at) => b.readUInt32LE(at), noValue: none },
  7: { size: 8, decode: (b, at) => Number(b.readBigInt64LE(at)), noValue: none },
  8: { size: 8, decode: (b, at) => Number(b.readBigUInt64LE(at)), noValue: none },
  16: { size: 4, decode: (b, at) => b.readFloatLE(at), noValue: none },
  17: { size: 8, decode: (b, at) => b.readDoubleLE(at), noValue: none },
  // 24-bit integers, type 255 + bits.
  279: { size: 3, decode: (b, at) => b.readIntLE(at, 3), noValue: none },
  535: { size: 3, decode: (b, at) => b.readUIntLE(at, 3), noValue: none },
};

/** Units of ISO 11073-10101 (code 4256 = volt, the low bits the decimal factor). */
const unitOfCode: Readonly<Record<number, string>> = {
  4256: 'V',
  4274: 'mV',
  4275: 'uV',
  4276: 'nV',
  512: '',
  0: '',
};

interface GdfSignal {
  readonly label: string;
  readonly unit: string;
  readonly physical: readonly [number, number];
  readonly digital: readonly [number, number];
  readonly samplesPerRecord: number;
  readonly type: SampleType;
  readonly offset: number;
}

interface GdfHeader {
  readonly version: number;
  readonly bytes: number;
  readonly startWallMs?: number;
  readonly records: number;
  readonly recordS: number;
  readonly recordBytes: number;
  readonly signals: readonly GdfSignal[];
}

export function openGdf(file: ByteFile, options: OpenOptions): Recording {
  const header = readHeader(file);
  const notes: string[] = [];
  const records = countRecords(file, header, options, notes);
  const kept = chooseSignals(header, notes);
  if (!(kept.rateHz > 0)) {
    throw file.fault('samples in a record', 'at least 1', '0: a rate of zero');
  }
  const { perRecord } = kept;
  const frames = records * perRecord;
  if (frames === 0) throw file.empty(`${records} data records`);
  const reader = new RecordReader(file, header.bytes, header.recordBytes, kept.columns, perRecord);
  return {
    name: file.name,
    format: 'gdf',
    rateHz: kept.rateHz,
    channels: kept.channels,
    frames,
    ...(header.startWallMs === undefined ? {} : { startWallMs: header.startWallMs }),
    annotations: readEvents(file, header, records, kept.rateHz, notes),
    gaps: [],
    notes,
    read(startFrame, count) {
      checkRange(startFrame, count, frames);
      return reader.read(startFrame, count);
    },
    close: () => file.close(),
  };
}

function readHeader(file: ByteFile): GdfHeader {
  const fixed = file.read(0, 256, 'header');
  const versionText = fixed.toString('latin1', 4, 8).trim();
  const version = Number(versionText);
  if (!(version >= 1 && version < 4)) {
    throw file.fault('version', 'GDF 1.x to 3.x', quoted(versionText));
  }
  const isFirst = version < 1.9;
  const count = isFirst ? fixed.readUInt32LE(252) : fixed.readUInt16LE(252);
  if (count < 1 || count > 4096) throw file.fault('number of channels', '1 to 4096', `${count}`);
  const least = 256 * (count + 1);
  const bytes = isFirst ? Number(fixed.readBigInt64LE(184)) : fixed.readUInt16LE(184) * 256;
  if (bytes < least || bytes > file.bytes) {
    throw file.fault('header bytes', `${least} or more, within the file`, `${bytes}`);
  }
  const records = Number(fixed.readBigInt64LE(236));
  if (records < -1) throw file.fault('number of data records', '-1 or more', `${records}`);
  const recordS = fixed.readUInt32LE(244) / fixed.readUInt32LE(248);
  if (!(recordS > 0 && recordS < Infinity)) {
    throw file.fault('duration of a data record', 'more than 0 s', `${recordS} s`);
  }
  const columns = file.read(256, 256 * count, 'channel headers');
  const signals = isFirst ? readSignals1(file, columns, count) : readSignals2(file, columns, count);
  const last = signals.at(-1) as GdfSignal;
  const startWallMs = isFirst
    ? textTime(fixed.toString('latin1', 168, 184))
    : dayTime(fixed.readBigUInt64LE(168));
  return {
    version,
    bytes,
    ...(startWallMs === undefined ? {} : { startWallMs }),
    records,
    recordS,
    recordBytes: last.offset + last.samplesPerRecord * last.type.size,
    signals,
  };
}

/** Reads the fields of GDF 1.x: limits of 64-bit integers, units as text. */
function readSignals1(file: ByteFile, columns: Buffer, count: number): GdfSignal[] {
  const signals: GdfSignal[] = [];
  for (let i = 0; i < count; i++) {
    const text = (before: number, width: number): string =>
      textField(columns, count, i, before, width);
    const at = (before: number, width: number): number => before * count + i * width;
    push(file, signals, {
      label: text(0, 16),
      unit: text(96, 8),
      physical: [columns.readDoubleLE(at(104, 8)), columns.readDoubleLE(at(112, 8))],
      digital: [
        Number(columns.readBigInt64LE(at(120, 8))),
        Number(columns.readBigInt64LE(at(128, 8))),
      ],
      samplesPerRecord: columns.readUInt32LE(at(216, 4)),
      typeCode: columns.readUInt32LE(at(220, 4)),
    });
  }
  return signals;
}

function readSignals2(file: ByteFile, columns: Buffer, count: number): GdfSignal[] {
  const signals: GdfSignal[] = [];
  for (let i = 0; i < count; i++) {
    const text = (before: number, width: number): string =>
      textField(columns, count, i, before, width);
    const at = (before: number, width: number): number => before * count + i * width;
    const code = columns.readUInt16LE(at(102, 2));
    push(file, signals, {
      label: text(0, 16),
      unit: unitOfCode[code] || text(96, 6) || (code === 0 || code === 512 ? '' : `code ${code}`),
      physical: [columns.readDoubleLE(at(104, 8)), columns.readDoubleLE(at(112, 8))],
      digital: [columns.readDoubleLE(at(120, 8)), columns.readDoubleLE(at(128, 8))],
      samplesPerRecord: columns.readUInt32LE(at(216, 4)),
      typeCode: columns.readUInt32LE(at(220, 4)),
    });
  }
  return signals;
}

function textField(columns: Buffer, count: number, i: number, before: number, width: number) {
  const from = before * count + i * width;
  return (columns.toString('latin1', from, from + width).split('\u0000')[0] ?? '').trim();
}

function push(
  file: ByteFile,
  signals: GdfSignal[],
  read: Omit<GdfSignal, 'type' | 'offset'> & { typeCode: number },
): void {
  const { typeCode, ...fields } = read;
  const of = (what: string): string =>
    `${what} of channel ${signals.length + 1} (${quoted(read.label)})`;
  const type = sampleTypes[typeCode];
  if (type === undefined) throw file.fault(of('data type'), 'a number type', `${typeCode}`);
  for (const [what, [low, high]] of [
    ['physical range', fields.physical],
    ['digital range', fields.digital],
  ] as const) {
    const isRange = Number.isFinite(low) && Number.isFinite(high) && high !== low;
    if (!isRange) throw file.fault(of(what), 'two different numbers', `${low} to ${high}`);
  }
  const last = signals.at(-1);
  const offset = last === undefined ? 0 : last.offset + last.samplesPerRecord * last.type.size;
  signals.push({ ...fields, type, offset });
}

function countRecords(file: ByteFile, header: GdfHeader, options: OpenOptions, notes: string[]) {
  if (header.recordBytes === 0) throw file.empty('records of 0 bytes');
  const present = Math.floor((file.bytes - header.bytes) / header.recordBytes);
  if (header.records === -1) {
    notes.push(`the recording was not closed; it holds ${present} whole data records`);
    return present;
  }
  if (header.records <= present) return header.records;
  if (options.lengthFromSize === true) {
    notes.push(`the header says ${header.records} data records; the file holds ${present}`);
    return present;
  }
  const came = `a file that holds ${present} of ${header.recordBytes} bytes`;
  throw file.fault('number of data records', `${header.records} as the header says`, came);
}

function chooseSignals(header: GdfHeader, notes: string[]) {
  const described = header.signals.map((signal) => ({
    signal,
    rateHz: signal.samplesPerRecord / header.recordS,
    ...describeChannel(signal.label, signal.unit),
  }));
  const rateHz = chooseRate(
    described.map(({ channel, rateHz: rate }) => ({ kind: channel.kind, rateHz: rate })),
  );
  const columns: Column[] = [];
  const channels = [];
  for (const { signal, channel, factor, rateHz: rate } of described) {
    if (rate !== rateHz) {
      notes.push(`${signal.label} (${rate} Hz) is left out: the recording is read at ${rateHz} Hz`);
      continue;
    }
    const [low, high] = signal.physical;
    const [digitalLow, digitalHigh] = signal.digital;
    const gain = ((high - low) / (digitalHigh - digitalLow)) * factor;
    const offset = low * factor - digitalLow * gain;
    const fullScale = Math.max(Math.abs(low), Math.abs(high)) * factor;
    columns.push({ at: signal.offset, ...signal.type, gain, offset });
    channels.push({ ...channel, fullScale });
  }
  return { rateHz, columns, channels, perRecord: Math.round(rateHz * header.recordS) };
}

/** The event table after the records: positions (from 1), codes and, in mode 3, durations. */
function readEvents(
  file: ByteFile,
  header: GdfHeader,
  records: number,
  rateHz: number,
  notes: string[],
): Annotation[] {
  const start = header.bytes + records * header.recordBytes;
  if (file.bytes - start < 8) return [];
  const head = file.read(start, 8, 'event table');
  const mode = head[0];
  const three = head.readUIntLE(1, 3);
  const isFirst = header.version < 1.94;
  const count = isFirst ? head.readUInt32LE(4) : three;
  const stated = isFirst ? three : head.readFloatLE(4);
  if (mode !== 1 && mode !== 3) {
    throw file.fault('mode of the event table', '1 or 3', `${mode}`);
  }
  const bytes = count * (mode === 3 ? 12 : 6);
  if (start + 8 + bytes > file.bytes) {
    const left = file.bytes - start - 8;
    throw file.fault('event table', `${count} events (${bytes} bytes)`, `${left} bytes`);
  }
  const eventHz = stated > 0 && Number.isFinite(stated) ? stated : rateHz;
  if (eventHz !== rateHz) notes.push(`events are counted at ${eventHz} Hz`);
  const table = file.read(start + 8, bytes, 'event table');
  const annotations: Annotation[] = [];
  for (let i = 0; i < count; i++) {
    const position = table.readUInt32LE(i * 4);
    const text = String(table.readUInt16LE(count * 4 + i * 2));
    const length = mode === 3 ? table.readUInt32LE(count * 8 + i * 4) : 0;
    const onsetS = Math.max(0, position - 1) / eventHz;
    annotations.push({ onsetS, durationS: length / eventHz, text });
  }
  return annotations.sort((a, b) => a.onsetS - b.onsetS);
}

/** `YYYYMMDDhhmmsscc`. */
function textTime(text: string): number | undefined {
  const m = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?/.exec(text);
  if (m === null) return undefined;
  const [year, month, day, hours, minutes, seconds] = m.slice(1, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  return Date.UTC(year, month - 1, day, hours, minutes, seconds) + Number(m[7] ?? 0) * 10;
}

/** Days since 1 January of year 0, in 2^-32 of a day. */
function dayTime(value: bigint): number | undefined {
  if (value === 0n) return undefined;
  const days = Number(value) / 2 ** 32;
  const epochDays = 719_529;
  const ms = (days - epochDays) * 86_400_000;
  return Math.abs(ms) < 8.64e15 ? Math.round(ms * 1000) / 1000 : undefined;
}
