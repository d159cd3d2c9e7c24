/**
 * Labelled data as EEG-BIDS (Pernet et al. 2019): the trials of a session one after the other as a
 * BrainVision recording, with a "New Segment" marker where they were apart, and `events.tsv`. Raw,
 * as the amplifier sent them, each with the seconds before it, where all trials have that; else
 * conditioned. Any toolbox reads it, `eegd prepare` among them.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { modelRateHz } from '../core/tasks.js';
import { publishFolder } from '../model/publish.js';
import { storeError } from './crc-lines.js';
import type { LabelledTrial, LabelStore } from './label-store.js';
import type { TrialSignal } from './trial-signal.js';

const plain = (text: string) => text.replace(/[^A-Za-z0-9]/g, '');

interface Shape {
  readonly rateHz: number;
  readonly channels: readonly {
    readonly label: string;
    readonly kind: string;
    readonly unit: string;
  }[];
  readonly isRaw: boolean;
}

interface Segment {
  readonly label: string;
  readonly frames: number;
  /** Frames before the trial's begin. */
  readonly lead: number;
}

/** Writes `sub-<subject>` into the data set `folder`, replacing it whole. Returns its files. */
export async function exportBids(
  store: LabelStore,
  folder: string,
  subject: string,
): Promise<string[]> {
  const name = `sub-${plain(subject)}`;
  const stem = `${name}_task-${plain(store.head.task)}`;
  const { trials } = store;
  const shape = shapeOf(store, trials);
  const segments = trials.map(({ label, samples, raw }): Segment => {
    const own = shape.isRaw ? raw : undefined;
    return { label, frames: own?.frames ?? samples, lead: own?.lead ?? 0 };
  });
  const files = {
    [`${stem}_eeg.vhdr`]: header(shape, stem),
    [`${stem}_eeg.vmrk`]: markers(segments, stem),
    [`${stem}_eeg.eeg`]: await multiplexed(store, trials, shape),
    [`${stem}_eeg.json`]: sidecar(store, shape, segments),
    [`${stem}_channels.tsv`]: channels(shape),
    [`${stem}_events.tsv`]: events(segments, shape.rateHz),
  };
  await publishFolder(join(folder, name, 'eeg'), files);
  await describeSet(folder);
  return Object.keys(files).map((file) => join(folder, name, 'eeg', file));
}

function shapeOf({ head }: LabelStore, trials: readonly LabelledTrial[]): Shape {
  const { raw } = head;
  if (raw !== undefined && trials.every((trial) => trial.raw !== undefined))
    return { ...raw, isRaw: true };
  const conditioned = head.channels.map((label) => ({ label, kind: 'eeg', unit: 'uV' }));
  return { rateHz: modelRateHz, channels: conditioned, isRaw: false };
}

/** IEEE_FLOAT_32, frame after frame; NaN where no real sample was received. */
async function multiplexed(
  store: LabelStore,
  trials: readonly LabelledTrial[],
  { isRaw }: Shape,
): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for (const trial of trials) {
    const signal = await store.signal(trial);
    const frames = isRaw && signal.raw !== undefined ? signal.raw.data : byFrame(signal, trial);
    parts.push(new Uint8Array(frames.buffer, frames.byteOffset, frames.byteLength));
  }
  return Buffer.concat(parts);
}

function byFrame({ data, valid }: TrialSignal, { samples }: LabelledTrial): Float32Array {
  const width = data.length / samples;
  const out = new Float32Array(data.length);
  for (let c = 0; c < width; c++)
    for (let i = 0; i < samples; i++) {
      const from = c * samples + i;
      out[i * width + c] = valid[from] === 1 ? (data[from] as number) : Number.NaN;
    }
  return out;
}

function header({ rateHz, channels: all }: Shape, stem: string): string {
  const names = all.map(({ label, unit }, i) => {
    return `Ch${i + 1}=${label.replaceAll(',', '\\1')},,1,${unit === 'uV' ? 'µV' : unit}`;
  });
  return [
    'Brain Vision Data Exchange Header File Version 1.0',
    '[Common Infos]',
    'Codepage=UTF-8',
    `DataFile=${stem}_eeg.eeg`,
    `MarkerFile=${stem}_eeg.vmrk`,
    'DataFormat=BINARY',
    'DataOrientation=MULTIPLEXED',
    `NumberOfChannels=${names.length}`,
    `SamplingInterval=${1e6 / rateHz}`,
    '[Binary Infos]',
    'BinaryFormat=IEEE_FLOAT_32',
    '[Channel Infos]',
    ...names,
    '',
  ].join('\r\n');
}

function markers(segments: readonly Segment[], stem: string): string {
  const lines: string[] = [];
  const mark = (type: string, text: string, at: number, points: number) =>
    lines.push(
      `Mk${lines.length + 1}=${type},${text.replaceAll(',', '\\1')},${at + 1},${points},0`,
    );
  let first = 0;
  for (const { label, frames, lead } of segments) {
    mark('New Segment', '', first, 1);
    mark('Comment', label, first + lead, frames - lead);
    first += frames;
  }
  return [
    'Brain Vision Data Exchange Marker File, Version 1.0',
    '[Common Infos]',
    'Codepage=UTF-8',
    `DataFile=${stem}_eeg.eeg`,
    '[Marker Infos]',
    ...lines,
    '',
  ].join('\r\n');
}

function events(segments: readonly Segment[], rateHz: number): string {
  const lines = ['onset\tduration\ttrial_type\tsample'];
  const seconds = (frames: number) => (frames / rateHz).toFixed(3);
  let first = 0;
  for (const { label, frames, lead } of segments) {
    const at = first + lead;
    lines.push(`${seconds(at)}\t${seconds(frames - lead)}\t${label}\t${at}`);
    first += frames;
  }
  return `${lines.join('\n')}\n`;
}

/** BIDS' names of channel types; what it has no name for is MISC. */
const types: Readonly<Record<string, string>> = {
  ...{ eeg: 'EEG', eog: 'EOG', emg: 'EMG', ecg: 'ECG', trigger: 'TRIG' },
};

function channels({ channels: all, rateHz }: Shape): string {
  const lines = all.map(
    ({ label, kind, unit }) => `${label}\t${types[kind] ?? 'MISC'}\t${unit || 'n/a'}\t${rateHz}`,
  );
  return `${['name\ttype\tunits\tsampling_frequency', ...lines].join('\n')}\n`;
}

function sidecar(
  store: LabelStore,
  { rateHz, isRaw, channels: all }: Shape,
  segments: readonly Segment[],
): string {
  const frames = segments.reduce((sum, segment) => sum + segment.frames, 0);
  const filters = { eegd: { description: 'causal high-pass, mains notch, low-pass; 200 Hz' } };
  const text = {
    TaskName: plain(store.head.task),
    SamplingFrequency: rateHz,
    PowerLineFrequency: 'n/a',
    SoftwareFilters: isRaw ? 'n/a' : filters,
    EEGReference: 'n/a',
    RecordingDuration: frames / rateHz,
    RecordingType: 'discontinuous',
    EEGChannelCount: all.filter(({ kind }) => kind === 'eeg').length,
  };
  return `${JSON.stringify(text, null, 2)}\n`;
}

async function describeSet(folder: string): Promise<void> {
  const path = join(folder, 'dataset_description.json');
  if (await readFile(path).catch(() => undefined)) return;
  const text = { Name: 'Labelled with eegd', BIDSVersion: '1.9.0', DatasetType: 'raw' };
  await writeFile(path, `${JSON.stringify(text, null, 2)}\n`).catch((cause: unknown) => {
    throw storeError(`cannot write ${path}`, cause);
  });
}
