/**
 * Sleep-EDF Expanded (Kemp et al. 2000, PhysioNet sleep-edfx): SC4ssNE0-PSG.edf with
 * SC4ssNEC-Hypnogram.edf, ST7ssNJ0-PSG.edf with ST7ssNJP-Hypnogram.edf: ss person, N night.
 */
import { basename } from 'node:path';
import { EegError } from '../../core/errors.js';
import {
  durationS,
  fileRef,
  joinSpans,
  type LabelledSpan,
  listFiles,
  noneFound,
  type RecordingRef,
  type ScanOptions,
  withRecording,
} from './dataset.js';

export interface SleepEdfOptions extends ScanOptions {
  /** Wake kept before the first and after the last epoch of sleep, s; the field keeps 30 min. */
  readonly wakeAroundS?: number;
}

/** R&K stages 3 and 4 are N3 of the AASM. Movement and unscored time carry no label. */
const stages: Readonly<Record<string, string>> = {
  'Sleep stage W': 'W',
  'Sleep stage 1': 'N1',
  'Sleep stage 2': 'N2',
  'Sleep stage 3': 'N3',
  'Sleep stage 4': 'N3',
  'Sleep stage R': 'R',
};

export async function scanSleepEdf(options: SleepEdfOptions): Promise<RecordingRef[]> {
  const files = listFiles(options.root, /(SC4\d{3}|ST7\d{3})[A-Z0-9]*-(PSG|Hypnogram)\.edf$/);
  const scored = new Map<string, string>();
  for (const path of files)
    if (path.endsWith('-Hypnogram.edf')) scored.set(basename(path).slice(0, 6), path);
  const nights = files.filter((path) => path.endsWith('-PSG.edf'));
  if (nights.length === 0) throw noneFound(options, 'SC4*-PSG.edf or ST7*-PSG.edf');
  const refs: RecordingRef[] = [];
  for (const path of nights) {
    const name = basename(path).slice(0, 6);
    const hypnogram = scored.get(name);
    if (hypnogram === undefined)
      throw new EegError('EEG_DATA_INVALID', `${path}: no ${name}*-Hypnogram.edf beside it`);
    const endS = await withRecording(path, durationS);
    const spans = await readHypnogram(hypnogram, endS);
    refs.push(
      fileRef(options, path, {
        subject: name.slice(0, 5),
        run: `night${name[5]}`,
        spans: trimWake(spans, options.wakeAroundS ?? 1800),
      }),
    );
  }
  return refs;
}

/** Stage spans of a Hypnogram EDF+, cut at `endS` (hypnograms outlast their recordings). */
export async function readHypnogram(path: string, endS: number): Promise<LabelledSpan[]> {
  const spans = await withRecording(path, (recording) =>
    recording.annotations.flatMap((note): LabelledSpan[] => {
      const label = stages[note.text.trim()];
      const end = Math.min(note.onsetS + note.durationS, endS);
      if (label === undefined || end <= note.onsetS) return [];
      return [{ startS: note.onsetS, endS: end, label }];
    }),
  );
  return joinSpans(spans);
}

export function trimWake(spans: readonly LabelledSpan[], aroundS: number): LabelledSpan[] {
  const asleep = spans.filter((span) => span.label !== 'W');
  const from = (asleep[0]?.startS ?? 0) - aroundS;
  const to = (asleep.at(-1)?.endS ?? 0) + aroundS;
  return spans
    .map((span) => ({
      ...span,
      startS: Math.max(span.startS, from),
      endS: Math.min(span.endS, to),
    }))
    .filter((span) => span.endS > span.startS);
}
