/**
 * Folders of XDF files whose marker stream names what happens (LabRecorder). A marker lasts for a
 * fixed time or until the next one. The person is the `sub-X` of the path, else the first folder.
 */
import { basename, relative, sep } from 'node:path';
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

export interface XdfOptions extends ScanOptions {
  /** Length of a marker's span, s; absent = until the next marker. */
  readonly markerS?: number;
}

export async function scanXdf(options: XdfOptions): Promise<RecordingRef[]> {
  const files = listFiles(options.root, /\.xdf$/i);
  if (files.length === 0) throw noneFound(options, '*.xdf');
  const refs: RecordingRef[] = [];
  for (const path of files) {
    const spans = await withRecording(path, (recording): LabelledSpan[] => {
      const endS = durationS(recording);
      const marks = recording.annotations.filter((note) => note.onsetS < endS);
      return marks.map((note, i) => {
        const untilS = marks[i + 1]?.onsetS ?? endS;
        const lengthS = options.markerS ?? (note.durationS || untilS - note.onsetS);
        return {
          startS: note.onsetS,
          endS: Math.min(note.onsetS + lengthS, endS),
          label: note.text,
        };
      });
    });
    const parts = relative(options.root, path).split(sep);
    const named = /sub-([^_/\\]+)/.exec(parts.join('/'))?.[1];
    const subject = named ?? (parts.length > 1 ? parts[0] : basename(path, '.xdf'));
    refs.push(fileRef(options, path, { subject, run: basename(path, '.xdf'), spans }));
  }
  return refs;
}
