/**
 * Motor imagery layouts: PhysioNet EEGMMIDB (Schalk et al. 2004; SnnnRnn.edf, T0/T1/T2 named by
 * the run) and BCI Competition IV 2a and 2b (Tangermann et al. 2012; GDF events).
 */
import { basename } from 'node:path';
import type { Annotation } from '../../formats/recording.js';
import {
  durationS,
  fileRef,
  type LabelledSpan,
  listFiles,
  noneFound,
  type RecordingRef,
  type ScanOptions,
  withRecording,
} from './dataset.js';

/** What T1 and T2 mean in a run, by PhysioNet's description; 1 and 2 are eyes open and closed. */
export function eegmmidbLabel(run: number, code: string): string | undefined {
  if (run === 1) return 'eyes_open';
  if (run === 2) return 'eyes_closed';
  if (run < 1 || run > 14) return undefined;
  if (code === 'T0') return 'rest';
  const how = run % 2 === 1 ? 'executed' : 'imagined';
  const fists = [3, 4, 7, 8, 11, 12].includes(run);
  if (code === 'T1') return `${fists ? 'left_fist' : 'both_fists'}_${how}`;
  if (code === 'T2') return `${fists ? 'right_fist' : 'both_feet'}_${how}`;
  return undefined;
}

export async function scanEegmmidb(options: ScanOptions): Promise<RecordingRef[]> {
  const files = listFiles(options.root, /S\d{3}R\d{2}\.edf$/);
  if (files.length === 0) throw noneFound(options, 'SnnnRnn.edf');
  const refs: RecordingRef[] = [];
  for (const path of files) {
    const name = basename(path, '.edf');
    const run = Number(name.slice(5));
    const { annotations, endS } = await withRecording(path, (recording) => ({
      annotations: recording.annotations,
      endS: durationS(recording),
    }));
    const spans = annotations.flatMap((note): LabelledSpan[] => {
      const label = eegmmidbLabel(run, note.text.trim());
      const end = Math.min(note.onsetS + note.durationS, endS);
      return label === undefined || end <= note.onsetS
        ? []
        : [{ startS: note.onsetS, endS: end, label }];
    });
    refs.push(fileRef(options, path, { subject: name.slice(0, 4), run: name.slice(4), spans }));
  }
  return refs;
}

/** Event codes of the competition's description; the cue opens 4 s of imagery. */
const cues: Readonly<Record<number, string>> = {
  769: 'left_hand',
  770: 'right_hand',
  771: 'feet',
  772: 'tongue',
};
const eyesOpen = 276;
const eyesClosed = 277;
const rejected = 1023;
const imageryS = 4;

export async function scanBciIv(options: ScanOptions): Promise<RecordingRef[]> {
  const files = listFiles(options.root, /[AB]\d{2}\d{0,2}[TE]\.gdf$/);
  if (files.length === 0) throw noneFound(options, 'A0nT.gdf or B0nnT.gdf');
  const refs: RecordingRef[] = [];
  for (const path of files) {
    const name = basename(path, '.gdf');
    const { annotations, endS } = await withRecording(path, (recording) => ({
      annotations: recording.annotations,
      endS: durationS(recording),
    }));
    const spans = bciIvSpans(annotations, endS);
    refs.push(fileRef(options, path, { subject: name.slice(0, 3), run: name.slice(3), spans }));
  }
  return refs;
}

/** Trials marked as artefacts by the experts are left out, as the competition did. */
export function bciIvSpans(annotations: readonly Annotation[], endS: number): LabelledSpan[] {
  const coded = annotations.map((note) => ({ ...note, code: Number(/\d+/.exec(note.text)?.[0]) }));
  const refused = coded.filter((note) => note.code === rejected).map((note) => note.onsetS);
  return coded.flatMap((note): LabelledSpan[] => {
    const { onsetS: startS, durationS } = note;
    if (note.code === eyesOpen) return [{ startS, endS: startS + durationS, label: 'eyes_open' }];
    if (note.code === eyesClosed)
      return [{ startS, endS: startS + durationS, label: 'eyes_closed' }];
    const label = cues[note.code];
    // The rejection stands at the trial's start, 2 s (2a) or 3 s (2b) before the cue.
    const bad = refused.some((onset) => startS - onset >= 0 && startS - onset <= 3.5);
    if (label === undefined || bad || startS + imageryS > endS) return [];
    return [{ startS, endS: startS + imageryS, label }];
  });
}
