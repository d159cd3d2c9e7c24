/**
 * CHB-MIT Scalp EEG Database (Shoeb 2009, PhysioNet chbmit): chbNN/*.edf with chbNN-summary.txt,
 * and *.edf.seizures in WFDB's annotation format where the summary is silent.
 */
import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { EegError } from '../../core/errors.js';
import {
  durationS,
  fileRef,
  fillBetween,
  type LabelledSpan,
  listFiles,
  noneFound,
  type RecordingRef,
  type ScanOptions,
  withRecording,
} from './dataset.js';

/** chb21 is the person of chb01, recorded a year and a half later (PhysioNet's description). */
const samePerson: Readonly<Record<string, string>> = { chb21: 'chb01' };

export async function scanChbMit(options: ScanOptions): Promise<RecordingRef[]> {
  const files = listFiles(options.root, /chb\d\d[^/]*\.edf$/i);
  if (files.length === 0) throw noneFound(options, 'chb*/chb*.edf');
  const summaries = new Map<string, Map<string, LabelledSpan[]>>();
  const refs: RecordingRef[] = [];
  for (const path of files) {
    const folder = dirname(path);
    const folderName = /chb\d\d/i.exec(basename(path))?.[0].toLowerCase() ?? 'chb';
    const summaryPath = join(folder, `${folderName}-summary.txt`);
    let summary = summaries.get(summaryPath);
    if (summary === undefined) {
      const text = existsSync(summaryPath) ? readFileSync(summaryPath, 'utf8') : '';
      summary = parseSummary(text);
      summaries.set(summaryPath, summary);
    }
    const { endS, rateHz } = await withRecording(path, (recording) => ({
      endS: durationS(recording),
      rateHz: recording.rateHz,
    }));
    const beside = `${path}.seizures`;
    const seizures =
      summary.get(basename(path)) ??
      (existsSync(beside) ? parseSeizures(readFileSync(beside), rateHz, beside) : []);
    refs.push(
      fileRef(options, path, {
        subject: samePerson[folderName] ?? folderName,
        run: basename(path, '.edf'),
        spans: fillBetween(seizures, endS, 'background'),
      }),
    );
  }
  return refs;
}

/** `File Name: chb01_03.edf`, then `Seizure [n ]Start|End Time: 2996 seconds`. */
export function parseSummary(text: string): Map<string, LabelledSpan[]> {
  const found = new Map<string, LabelledSpan[]>();
  let spans: LabelledSpan[] = [];
  let startS = Number.NaN;
  for (const line of text.split(/\r?\n/)) {
    const file = /^File Name:\s*(\S+)/i.exec(line);
    if (file !== null) {
      spans = [];
      found.set(file[1], spans);
    }
    const time = /^Seizure\s*\d*\s*(Start|End) Time:\s*(\d+)\s*seconds/i.exec(line);
    if (time === null) continue;
    if (time[1].toLowerCase() === 'start') startS = Number(time[2]);
    else spans.push({ startS, endS: Number(time[2]), label: 'seizure' });
  }
  return found;
}

/**
 * WFDB annotations (annot(5)): little-endian words of 6 bits type and 10 bits interval; 32 `[`
 * and 33 `]` bound a seizure, 59 carries a long interval, 63 a string.
 */
export function parseSeizures(bytes: Buffer, rateHz: number, name: string): LabelledSpan[] {
  const spans: LabelledSpan[] = [];
  let sample = 0;
  let startS: number | undefined;
  for (let at = 0; at + 1 < bytes.length; ) {
    const word = bytes.readUInt16LE(at);
    const type = word >> 10;
    const interval = word & 0x3ff;
    at += 2;
    if (word === 0) break;
    if (type === 59) {
      if (at + 4 > bytes.length)
        throw new EegError('EEG_FILE_FORMAT', `${name}: ends inside an annotation`);
      // A PDP-11 long: the high word comes first.
      sample += bytes.readInt16LE(at) * 65536 + bytes.readUInt16LE(at + 2);
      at += 4;
    } else if (type === 63) at += interval + (interval % 2);
    else if (type < 60) {
      sample += interval;
      if (type === 32) startS = sample / rateHz;
      if (type === 33 && startS !== undefined) {
        spans.push({ startS, endS: sample / rateHz, label: 'seizure' });
        startS = undefined;
      }
    }
  }
  return spans;
}
