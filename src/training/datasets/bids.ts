/**
 * EEG-BIDS (Pernet et al. 2019): sub-X/[ses-Y/]eeg/*_eeg.{edf,bdf,vhdr} with *_events.tsv and
 * *_channels.tsv beside it, or inherited from the folders above.
 */
import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { EegError } from '../../core/errors.js';
import type { ChannelKind } from '../../core/stream.js';
import {
  type ChannelNote,
  fileRef,
  type LabelledSpan,
  listFiles,
  noneFound,
  type RecordingRef,
  type ScanOptions,
} from './dataset.js';

export interface BidsOptions extends ScanOptions {
  /** Column of events.tsv that names the label. */
  readonly labelColumn?: string;
  /** Label of the whole recording where there is no events file. */
  readonly wholeLabel?: string;
}

/** Channel types of the standard that concern the signal path. */
const kinds: Readonly<Record<string, ChannelKind>> = {
  EEG: 'eeg',
  EOG: 'eog',
  HEOG: 'eog',
  VEOG: 'eog',
  EMG: 'emg',
  ECG: 'ecg',
  TRIG: 'trigger',
  MISC: 'misc',
};

export function scanBids(options: BidsOptions): RecordingRef[] {
  const files = listFiles(options.root, /(^|\/)sub-[^/]+\/.*_eeg\.(edf|bdf|vhdr)$/i);
  if (files.length === 0) throw noneFound(options, 'sub-*/eeg/*_eeg.edf, .bdf or .vhdr');
  return files.map((path) => {
    const stem = basename(path).replace(/_eeg\.[^.]+$/, '');
    const subject = /^sub-([^_]+)/.exec(stem)?.[1] ?? stem;
    const events = inherited(options.root, path, stem, 'events.tsv');
    const channels = inherited(options.root, path, stem, 'channels.tsv');
    const whole = options.wholeLabel;
    const spans =
      events !== undefined
        ? readEvents(events, options.labelColumn ?? 'trial_type')
        : whole === undefined
          ? []
          : [{ startS: 0, endS: Number.POSITIVE_INFINITY, label: whole }];
    return fileRef(options, path, {
      subject,
      run: stem.replace(/^sub-[^_]+_/, ''),
      spans,
      ...(channels === undefined ? {} : { channels: readChannels(channels) }),
    });
  });
}

/** The nearest sidecar whose entities are all the recording's (the inheritance principle). */
function inherited(root: string, path: string, stem: string, suffix: string): string | undefined {
  const entities = stem.split('_');
  const task = entities.find((part) => part.startsWith('task-'));
  const names = [`${stem}_${suffix}`];
  if (task !== undefined) names.push(`${entities[0]}_${task}_${suffix}`, `${task}_${suffix}`);
  names.push(suffix);
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    for (const name of names) if (existsSync(join(folder, name))) return join(folder, name);
    if (folder === root || folder === dirname(folder)) return undefined;
  }
}

export function readTable(path: string): Record<string, string>[] {
  const lines = readFileSync(path, 'utf8')
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/);
  const header = (lines[0] ?? '').split('\t').map((name) => name.trim());
  return lines
    .slice(1)
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const cells = line.split('\t');
      return Object.fromEntries(header.map((name, i) => [name, (cells[i] ?? '').trim()]));
    });
}

function readEvents(path: string, column: string): LabelledSpan[] {
  const rows = readTable(path);
  const spans: LabelledSpan[] = [];
  for (const [i, row] of rows.entries()) {
    const label = row[column] ?? row.value;
    if (label === undefined)
      throw new EegError('EEG_DATA_INVALID', `${path}: expected a column ${column}`);
    const startS = Number(row.onset);
    if (row.onset === undefined || row.onset === '' || Number.isNaN(startS))
      throw new EegError('EEG_DATA_INVALID', `${path}:${i + 2}: onset is no number of seconds`);
    const durationS = Number(row.duration);
    if (label === '' || label === 'n/a') continue;
    spans.push({ startS, endS: startS + (Number.isNaN(durationS) ? 0 : durationS), label });
  }
  return spans.sort((a, b) => a.startS - b.startS);
}

function readChannels(path: string): Map<string, ChannelNote> {
  return new Map(
    readTable(path).map((row) => {
      const kind = kinds[(row.type ?? '').toUpperCase()];
      const bad = row.status === 'bad';
      return [row.name, { ...(kind === undefined ? {} : { kind }), ...(bad ? { bad } : {}) }];
    }),
  );
}
