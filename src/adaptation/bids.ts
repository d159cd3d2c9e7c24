/**
 * Labelled data as EEG-BIDS (Pernet et al. 2019): the trials of a session one after the other as a
 * BrainVision recording, with a "New Segment" marker where they were apart, and `events.tsv`. Any
 * toolbox reads it, `eegd prepare` among them.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { modelRateHz } from '../core/tasks.js';
import { publishFolder } from '../model/publish.js';
import { storeError } from './crc-lines.js';
import type { LabelledTrial, LabelStore } from './label-store.js';

const plain = (text: string) => text.replace(/[^A-Za-z0-9]/g, '');

/** Writes `sub-<subject>` into the data set `folder`, replacing it whole. Returns its files. */
export async function exportBids(
  store: LabelStore,
  folder: string,
  subject: string,
): Promise<string[]> {
  const name = `sub-${plain(subject)}`;
  const stem = `${name}_task-${plain(store.head.task)}`;
  const trials = store.trials;
  const samples = await multiplexed(store, trials);
  const files = {
    [`${stem}_eeg.vhdr`]: header(store, stem),
    [`${stem}_eeg.vmrk`]: markers(trials, stem),
    [`${stem}_eeg.eeg`]: samples,
    [`${stem}_eeg.json`]: sidecar(store, trials),
    [`${stem}_channels.tsv`]: channels(store),
    [`${stem}_events.tsv`]: events(trials),
  };
  await publishFolder(join(folder, name, 'eeg'), files);
  await describeSet(folder);
  return Object.keys(files).map((file) => join(folder, name, 'eeg', file));
}

/** IEEE_FLOAT_32, frame after frame; NaN where no real sample was received. */
async function multiplexed(
  store: LabelStore,
  trials: readonly LabelledTrial[],
): Promise<Uint8Array> {
  const width = store.head.channels.length;
  const frames = trials.reduce((sum, trial) => sum + trial.samples, 0);
  const out = new Float32Array(frames * width);
  let first = 0;
  for (const trial of trials) {
    const { data, valid } = await store.signal(trial);
    for (let c = 0; c < width; c++) {
      for (let i = 0; i < trial.samples; i++) {
        const from = c * trial.samples + i;
        out[(first + i) * width + c] = valid[from] === 1 ? (data[from] as number) : Number.NaN;
      }
    }
    first += trial.samples;
  }
  return new Uint8Array(out.buffer);
}

function header(store: LabelStore, stem: string): string {
  const names = store.head.channels.map((label, i) => {
    return `Ch${i + 1}=${label.replaceAll(',', '\\1')},,1,µV`;
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
    `SamplingInterval=${1e6 / modelRateHz}`,
    '[Binary Infos]',
    'BinaryFormat=IEEE_FLOAT_32',
    '[Channel Infos]',
    ...names,
    '',
  ].join('\r\n');
}

function markers(trials: readonly LabelledTrial[], stem: string): string {
  const lines: string[] = [];
  const mark = (type: string, text: string, at: number, points: number) =>
    lines.push(
      `Mk${lines.length + 1}=${type},${text.replaceAll(',', '\\1')},${at + 1},${points},0`,
    );
  let first = 0;
  for (const { label, samples } of trials) {
    mark('New Segment', '', first, 1);
    mark('Comment', label, first, samples);
    first += samples;
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

function events(trials: readonly LabelledTrial[]): string {
  const lines = ['onset\tduration\ttrial_type\tsample'];
  let first = 0;
  for (const { label, samples } of trials) {
    const seconds = (value: number) => (value / modelRateHz).toFixed(3);
    lines.push(`${seconds(first)}\t${seconds(samples)}\t${label}\t${first}`);
    first += samples;
  }
  return `${lines.join('\n')}\n`;
}

function channels(store: LabelStore): string {
  const lines = store.head.channels.map((label) => `${label}\tEEG\tuV\t${modelRateHz}`);
  return `${['name\ttype\tunits\tsampling_frequency', ...lines].join('\n')}\n`;
}

function sidecar(store: LabelStore, trials: readonly LabelledTrial[]): string {
  const frames = trials.reduce((sum, trial) => sum + trial.samples, 0);
  const text = {
    TaskName: plain(store.head.task),
    SamplingFrequency: modelRateHz,
    PowerLineFrequency: 'n/a',
    SoftwareFilters: { eegd: { description: 'causal high-pass, mains notch, low-pass; 200 Hz' } },
    EEGReference: 'n/a',
    RecordingDuration: frames / modelRateHz,
    RecordingType: 'discontinuous',
    EEGChannelCount: store.head.channels.length,
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
