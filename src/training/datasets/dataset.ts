/**
 * What every layout reader yields: recordings with their person and labelled spans. A reader looks
 * at names and annotations; samples are read later, once, by `prepare`.
 */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { EegError } from '../../core/errors.js';
import type { ChannelKind } from '../../core/stream.js';
import { openRecording, type Recording } from '../../formats/recording.js';

export interface LabelledSpan {
  /** Seconds after the recording's first frame. */
  readonly startS: number;
  readonly endS: number;
  readonly label: string;
}

export interface ChannelNote {
  readonly kind?: ChannelKind;
  readonly bad?: boolean;
}

export interface RecordingRef {
  /** Name of the set in the recipe. */
  readonly set: string;
  /** Unique in the set, stable over machines: the path below the set's folder, or a name. */
  readonly id: string;
  readonly subject: string;
  /** Session or run of the person, where the layout tells. */
  readonly run: string;
  readonly spans: readonly LabelledSpan[];
  /** The file behind it; absent for a generated recording. */
  readonly path?: string;
  /** What changes the samples beside the file: seeds and parameters of a generated one. */
  readonly recipe?: string;
  /** Take this part of the file only, as a stream of its own. */
  readonly range?: { readonly startS: number; readonly endS: number };
  /** What a sidecar file says about channels, by label. */
  readonly channels?: ReadonlyMap<string, ChannelNote>;
  open(): Promise<Recording>;
}

export interface ScanOptions {
  readonly set: string;
  readonly root: string;
}

/** A reference to a file; `facts` come from the layout. */
export function fileRef(
  options: ScanOptions,
  path: string,
  facts: Pick<RecordingRef, 'subject' | 'run' | 'spans'> & {
    channels?: ReadonlyMap<string, ChannelNote>;
  },
): RecordingRef {
  const id = relative(options.root, path).split(sep).join('/');
  return { set: options.set, id, path, open: () => openRecording(path), ...facts };
}

/** All files below `root` whose name matches, sorted. @throws EEG_FILE_NOT_FOUND. */
export function listFiles(root: string, pattern: RegExp): string[] {
  if (!existsSync(root) || !statSync(root).isDirectory())
    throw new EegError('EEG_FILE_NOT_FOUND', `expected a folder of recordings at ${root}`);
  const names = readdirSync(root, { recursive: true, encoding: 'utf8' });
  const found = names.filter((name) => pattern.test(name.split(sep).join('/'))).sort();
  return found.map((name) => join(root, name));
}

export function noneFound(options: ScanOptions, wanted: string): EegError {
  return new EegError('EEG_DATA_INVALID', `set ${options.set}: no ${wanted} under ${options.root}`);
}

/** Annotations and sizes are read, then the file is closed. */
export async function withRecording<T>(
  path: string,
  use: (recording: Recording) => T | Promise<T>,
): Promise<T> {
  const recording = await openRecording(path);
  try {
    return await use(recording);
  } finally {
    recording.close();
  }
}

export function durationS(recording: Recording): number {
  const missing = recording.gaps.reduce((sum, gap) => sum + gap.missing, 0);
  return (recording.frames + missing) / recording.rateHz;
}

/** What the spans leave free of `[0, endS]`, at least `leastS` long each, under one label. */
export function fillBetween(
  spans: readonly LabelledSpan[],
  endS: number,
  label: string,
  leastS = 1,
): LabelledSpan[] {
  const out: LabelledSpan[] = [...spans];
  let from = 0;
  for (const span of [...spans].sort((a, b) => a.startS - b.startS)) {
    if (span.startS - from >= leastS) out.push({ startS: from, endS: span.startS, label });
    from = Math.max(from, span.endS);
  }
  if (endS - from >= leastS) out.push({ startS: from, endS, label });
  return out.sort((a, b) => a.startS - b.startS);
}

/** Neighbours of one label become one span: a night has thirty of them instead of a thousand. */
export function joinSpans(spans: readonly LabelledSpan[], slackS = 1e-3): LabelledSpan[] {
  const out: LabelledSpan[] = [];
  for (const span of spans) {
    const last = out.at(-1);
    if (last?.label === span.label && Math.abs(span.startS - last.endS) <= slackS)
      out[out.length - 1] = { ...last, endS: span.endS };
    else out.push(span);
  }
  return out;
}
