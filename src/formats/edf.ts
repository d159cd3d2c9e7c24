/**
 * EDF, EDF+ (continuous and discontinuous), BDF and BDF+ as a `Recording`. Samples are read by
 * position, record by record: memory does not grow with the file.
 */
import type { ByteFile } from './byte-file.js';
import { chooseRate, describeChannel } from './channel-kind.js';
import { type EdfHeader, readEdfHeader } from './edf-header.js';
import {
  type Annotation,
  checkRange,
  type OpenOptions,
  type Recording,
  type RecordingGap,
} from './recording.js';
import { type Column, RecordBlocks, RecordReader } from './records.js';
import { parseTals } from './tal.js';

/** Written by eegd where a channel had no value; outside the digital range it declares. */
export const edfNoValue = -32768;
export const bdfNoValue = -8388608;
/** Stands in the recording field of files of ours, the only ones whose `NoValue` means NaN. */
export const edfEquipment = 'eegd';

export function openEdf(file: ByteFile, format: 'edf' | 'bdf', options: OpenOptions): Recording {
  const header = readEdfHeader(file, format === 'edf' ? 2 : 3);
  const notes: string[] = [];
  const records = countRecords(file, header, options, notes);
  const kept = chooseSignals(file, header, notes);
  const { perRecord } = kept;
  const timeline = readTimeline(file, header, records, perRecord, notes);
  const frames = records * perRecord;
  if (frames === 0 && timeline.annotations.length === 0) {
    throw file.empty(`${records} data records of ${header.signals.length} signals`);
  }
  const reader = new RecordReader(file, header.bytes, header.recordBytes, kept.columns, perRecord);
  const startWallMs =
    header.startWallMs === undefined ? undefined : header.startWallMs + timeline.startS * 1000;
  return {
    name: file.name,
    format,
    rateHz: kept.rateHz,
    channels: kept.channels,
    frames,
    ...(startWallMs === undefined ? {} : { startWallMs }),
    annotations: timeline.annotations,
    gaps: timeline.gaps,
    notes,
    read(startFrame, count) {
      checkRange(startFrame, count, frames);
      return reader.read(startFrame, count);
    },
    close: () => file.close(),
  };
}

function countRecords(
  file: ByteFile,
  header: EdfHeader,
  options: OpenOptions,
  notes: string[],
): number {
  const { recordBytes } = header;
  if (recordBytes === 0) throw file.empty(`records of 0 bytes (${header.signals.length} signals)`);
  const present = Math.floor((file.bytes - header.bytes) / recordBytes);
  if (header.records === -1) {
    notes.push(`the recording was not closed; it holds ${present} whole data records`);
    return present;
  }
  if (header.records === present) return present;
  if (options.lengthFromSize === true) {
    notes.push(`the header says ${header.records} data records; the file holds ${present}`);
    return present;
  }
  const came = `a file that holds ${present} of ${recordBytes} bytes`;
  throw file.fault('number of data records', `${header.records} as the header says`, came);
}

function chooseSignals(file: ByteFile, header: EdfHeader, notes: string[]) {
  const data = header.signals.filter((signal) => !signal.isAnnotations);
  if (data.length > 0 && !(header.recordS > 0)) {
    throw file.fault('duration of a data record', 'more than 0 s', `${header.recordS} s`);
  }
  const described = data.map((signal) => ({
    signal,
    rateHz: signal.samplesPerRecord / header.recordS,
    ...describeChannel(signal.label, signal.unit),
  }));
  const rateHz = chooseRate(
    described.map(({ channel, rateHz: rate }) => ({ kind: channel.kind, rateHz: rate })),
  );
  if (data.length > 0 && !(rateHz > 0)) {
    throw file.fault('samples in a record', 'at least 1', '0 for most signals: a rate of zero');
  }
  const columns: Column[] = [];
  const size = header.bytesPerSample;
  const decode =
    size === 2
      ? (bytes: Buffer, at: number): number => bytes.readInt16LE(at)
      : (bytes: Buffer, at: number): number => bytes.readIntLE(at, 3);
  const isOurs = header.recording.split(' ').includes(edfEquipment);
  const noValue = isOurs ? (size === 2 ? edfNoValue : bdfNoValue) : Number.NaN;
  const channels = [];
  for (const { signal, channel, factor, rateHz: rate } of described) {
    if (rate !== rateHz) {
      notes.push(`${signal.label} (${rate} Hz) is left out: the recording is read at ${rateHz} Hz`);
      continue;
    }
    const span = signal.digitalMax - signal.digitalMin;
    const gain = ((signal.physicalMax - signal.physicalMin) / span) * factor;
    const offset = signal.physicalMin * factor - signal.digitalMin * gain;
    const most = Math.max(Math.abs(signal.physicalMax), Math.abs(signal.physicalMin)) * factor;
    columns.push({ at: signal.offset, size, decode, gain, offset, noValue });
    channels.push({ ...channel, fullScale: most });
  }
  const perRecord = Math.round(rateHz * header.recordS);
  return { rateHz, columns, channels, perRecord };
}

/** Annotations, and for discontinuous files where records do not follow each other. */
function readTimeline(
  file: ByteFile,
  header: EdfHeader,
  records: number,
  perRecord: number,
  notes: string[],
): { startS: number; annotations: Annotation[]; gaps: RecordingGap[] } {
  const lists = header.signals.filter((signal) => signal.isAnnotations);
  const isDiscontinuous = /^[EB]DF\+D/.test(header.reserved);
  const annotations: Annotation[] = [];
  const gaps: RecordingGap[] = [];
  let startS = 0;
  let expectedS = 0;
  let damaged = 0;
  const blocks = new RecordBlocks(file, header.bytes, header.recordBytes);
  for (let record = 0; record < records && lists.length > 0; record++) {
    for (const [order, list] of lists.entries()) {
      const bytes = list.samplesPerRecord * header.bytesPerSample;
      const tals = parseTals(blocks.slice(record, list.offset, bytes));
      if (tals === undefined) damaged++;
      for (const annotation of tals?.annotations ?? []) annotations.push(annotation);
      if (order > 0) continue;
      const onsetS = tals?.recordOnsetS;
      if (record === 0) startS = expectedS = onsetS ?? 0;
      if (isDiscontinuous && onsetS !== undefined && perRecord > 0) {
        const missing = Math.round(((onsetS - expectedS) / header.recordS) * perRecord);
        if (missing < 0) {
          const came = `${onsetS} s`;
          throw file.fault(`onset of record ${record + 1}`, `at least ${expectedS} s`, came);
        }
        if (missing > 0) gaps.push({ frame: record * perRecord, missing });
        expectedS = onsetS;
      }
      expectedS += header.recordS;
    }
  }
  if (damaged > 0) notes.push(`${damaged} annotation lists are damaged and left out`);
  const shifted = annotations.map((a) => ({ ...a, onsetS: a.onsetS - startS }));
  return { startS, annotations: shifted.sort((a, b) => a.onsetS - b.onsetS), gaps };
}
