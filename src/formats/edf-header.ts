/**
 * The header of EDF, EDF+, BDF and BDF+ files (Kemp et al. 1992, Kemp and Olivan 2003; BioSemi's
 * 24-bit variant): 256 bytes of ASCII fields, then 256 bytes a signal, field by field.
 */
import { type ByteFile, quoted } from './byte-file.js';

export interface EdfSignal {
  readonly label: string;
  readonly unit: string;
  readonly physicalMin: number;
  readonly physicalMax: number;
  readonly digitalMin: number;
  readonly digitalMax: number;
  readonly prefilter: string;
  readonly samplesPerRecord: number;
  /** Byte offset of its samples in a data record. */
  readonly offset: number;
  readonly isAnnotations: boolean;
}

export interface EdfHeader {
  readonly bytes: number;
  readonly patient: string;
  readonly recording: string;
  /** `EDF+C`, `EDF+D`, `BDF+C`, `24BIT`, ... */
  readonly reserved: string;
  readonly startWallMs?: number;
  /** As the header says: -1 while it is being recorded. */
  readonly records: number;
  readonly recordS: number;
  readonly recordBytes: number;
  readonly bytesPerSample: 2 | 3;
  readonly signals: readonly EdfSignal[];
}

const signalsMax = 4096;

export function readEdfHeader(file: ByteFile, bytesPerSample: 2 | 3): EdfHeader {
  const fixed = file.read(0, 256, 'header').toString('latin1');
  const field = (from: number, length: number): string => fixed.slice(from, from + length).trim();
  const count = integer(file, 'number of signals', field(252, 4), 0, signalsMax);
  const bytes = integer(file, 'header bytes', field(184, 8), 256, 256 * (signalsMax + 1));
  if (bytes !== 256 * (count + 1)) {
    throw file.fault('header bytes', `${256 * (count + 1)} for ${count} signals`, `${bytes}`);
  }
  const recordS = number(file, 'duration of a data record', field(244, 8));
  if (!(recordS >= 0)) {
    throw file.fault('duration of a data record', 'at least 0 s', `${recordS} s`);
  }
  const records = integer(file, 'number of data records', field(236, 8), -1, 99_999_999);
  const columns = file.read(256, count * 256, 'signal headers').toString('latin1');
  const signals = readSignals(file, columns, count, bytesPerSample);
  const last = signals.at(-1);
  const recordBytes = last === undefined ? 0 : last.offset + last.samplesPerRecord * bytesPerSample;
  const startWallMs = startTime(field(168, 8), field(176, 8), field(88, 80));
  return {
    bytes,
    patient: field(8, 80),
    recording: field(88, 80),
    reserved: field(192, 44),
    ...(startWallMs === undefined ? {} : { startWallMs }),
    records,
    recordS,
    recordBytes,
    bytesPerSample,
    signals,
  };
}

function readSignals(
  file: ByteFile,
  columns: string,
  count: number,
  bytesPerSample: number,
): EdfSignal[] {
  const bits = bytesPerSample * 8;
  const limit = 2 ** (bits - 1);
  const signals: EdfSignal[] = [];
  let offset = 0;
  for (let i = 0; i < count; i++) {
    const text = (before: number, width: number): string =>
      columns.slice(before * count + i * width, before * count + (i + 1) * width).trim();
    const label = text(0, 16);
    const of = (what: string): string => `${what} of signal ${i + 1} (${quoted(label)})`;
    const isAnnotations = label === 'EDF Annotations' || label === 'BDF Annotations';
    const samplesPerRecord = integer(file, of('samples in a record'), text(216, 8), 0, 1e8);
    const range = isAnnotations
      ? { physicalMin: -1, physicalMax: 1, digitalMin: -limit, digitalMax: limit - 1 }
      : {
          physicalMin: number(file, of('physical minimum'), text(104, 8)),
          physicalMax: number(file, of('physical maximum'), text(112, 8)),
          digitalMin: integer(file, of('digital minimum'), text(120, 8), -limit, limit - 1),
          digitalMax: integer(file, of('digital maximum'), text(128, 8), -limit, limit - 1),
        };
    if (range.digitalMax <= range.digitalMin) {
      const came = `${range.digitalMax}`;
      throw file.fault(of('digital maximum'), `above the minimum ${range.digitalMin}`, came);
    }
    if (range.physicalMax === range.physicalMin) {
      const expected = `other than the minimum ${range.physicalMin}`;
      throw file.fault(of('physical maximum'), expected, `${range.physicalMax}`);
    }
    const unit = text(96, 8);
    const prefilter = text(136, 80);
    signals.push({ label, unit, ...range, prefilter, samplesPerRecord, offset, isAnnotations });
    offset += samplesPerRecord * bytesPerSample;
  }
  return signals;
}

function number(file: ByteFile, what: string, text: string): number {
  // Some writers leave a decimal comma.
  const value = /^[-+]?[\d.,]+(e[-+]?\d+)?$/i.test(text) ? Number(text.replace(',', '.')) : NaN;
  if (!Number.isFinite(value)) throw file.fault(what, 'a number', quoted(text));
  return value;
}

function integer(file: ByteFile, what: string, text: string, min: number, max: number): number {
  const value = number(file, what, text);
  if (!Number.isInteger(value) || value < min || value > max) {
    throw file.fault(what, `a whole number from ${min} to ${max}`, quoted(text));
  }
  return value;
}

/** `dd.mm.yy` with 85 as the turn of the century; EDF+ has the full year in the recording field. */
function startTime(date: string, time: string, recording: string): number | undefined {
  const d = /^(\d\d)\D(\d\d)\D(\d\d)$/.exec(date);
  const t = /^(\d\d)\D(\d\d)\D(\d\d)$/.exec(time);
  if (d === null || t === null) return undefined;
  const [day, month, short] = d.slice(1).map(Number) as [number, number, number];
  const plus = /^Startdate \d\d-[A-Z]{3}-(\d{4})\b/i.exec(recording);
  const plausible = plus !== null && Number(plus[1]) % 100 === short;
  const year = plausible ? Number(plus[1]) : short >= 85 ? 1900 + short : 2000 + short;
  const [hours, minutes, seconds] = t.slice(1).map(Number) as [number, number, number];
  const at = new Date(Date.UTC(year, month - 1, day, hours, minutes, seconds));
  const isReal = at.getUTCMonth() === month - 1 && at.getUTCDate() === day && hours < 24;
  return isReal ? at.getTime() : undefined;
}
