/** Recorded sessions for `bench:adapt`: their trials through the live path, in recorded order. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cutTrial } from '../../src/adaptation/cut-trial.js';
import type { TrialSignal } from '../../src/adaptation/trial-signal.js';
import { packageRoot } from '../../src/core/paths.js';
import type { ChannelInfo } from '../../src/core/stream.js';
import type { TaskSpec } from '../../src/core/tasks.js';
import { openRecording } from '../../src/formats/recording.js';
import { conditionRecording, type SignalPath } from '../../src/signal/path.js';

const data = process.env.EEGD_DATA ?? join(packageRoot(), '..', 'shared', 'data');
export const dataFolder = data;

export interface SessionTrial {
  readonly label: number;
  readonly signal: TrialSignal;
}

export interface RecordedSession {
  readonly name: string;
  readonly person: string;
  readonly task: TaskSpec;
  /** Classes of the base's motor imagery that stand for the task's. */
  readonly baseClasses: readonly string[];
  readonly channels: readonly string[];
  /** `[channels, 6]`. */
  readonly positions: Float32Array;
  readonly trials: readonly SessionTrial[];
}

interface Cue {
  readonly label: number;
  readonly startS: number;
}

const windowS = 3;
const trialS = 4;
const motor = ['FC3', 'FCz', 'FC4', 'C5', 'C3', 'C1', 'Cz', 'C2', 'C4', 'C6', 'CP3', 'CP4'];
const plain = (label: string) => label.replace(/\./g, '').toLowerCase();

function taskOf(name: string, classes: readonly string[]): TaskSpec {
  return {
    ...{ name, classes, windowS, hopS: 0.5, contextWindows: 0 },
    ...{ minValid: 0.75, temperature: 1, smoothing: 1 },
  };
}

/** The chosen channels of a recording (all EEG where none are named), conditioned. */
async function condition(path: string, wanted?: readonly string[]) {
  const recording = await openRecording(path);
  const places = (wanted ?? recording.channels.map(({ label }) => label)).map((name) =>
    recording.channels.findIndex(({ label }) => plain(label) === plain(name)),
  );
  const channels = places.map((at): ChannelInfo => {
    const channel = recording.channels[at] as ChannelInfo;
    return { ...channel, label: channel.label.replace(/\./g, '') };
  });
  const { frames, rateHz } = recording;
  const width = recording.channels.length;
  const all = recording.read(0, frames);
  const chosen = new Float32Array(frames * channels.length);
  for (let i = 0; i < frames; i++)
    for (const [c, at] of places.entries())
      chosen[i * channels.length + c] = all[i * width + at] as number;
  const { annotations } = recording;
  recording.close();
  const info = { id: 'bench', name: 'bench', driver: 'bench', rateHz, channels };
  const stamps = Float64Array.from({ length: frames }, (_, i) => i / rateHz);
  const chunk = { index: 0, frames, data: chosen, stamps, arrivalS: frames / rateHz };
  const signalPath = conditionRecording(
    info,
    [
      { kind: 'info', info },
      { kind: 'chunk', chunk },
    ],
    { referencesKept: Number.POSITIVE_INFINITY },
  );
  return { path: signalPath, annotations };
}

function trialsOf(path: SignalPath, cues: readonly Cue[]): SessionTrial[] {
  const source = {
    id: 'bench',
    channels: path.channels.map(({ label }) => label),
    positions: path.electrodes,
    firstSample: path.ring.firstIndex,
    nextSample: path.ring.nextIndex,
    stampS: (index: number) => path.stampS(index),
    copy: (start: number, end: number) => path.ring.copy(start, end),
    scaleAt: (channel: number, end: number) => path.ring.scaleAt(channel, end),
    reference: (index: number) => path.covariance.at(index),
    rawChannels: path.info.channels,
    rawRateHz: path.info.rateHz,
  };
  return cues.flatMap(({ label, startS }) => {
    const cut = cutTrial(source, { startS, durationS: trialS });
    return cut === undefined ? [] : [{ label, signal: cut.signal }];
  });
}

interface Eegmmidb {
  readonly name: string;
  readonly classes: readonly string[];
  readonly baseClasses: readonly string[];
  /** Runs, and what T1 and T2 stand for in each. */
  readonly runs: readonly (readonly [run: string, first: number])[];
}

const twoClasses = (name: string, classes: readonly string[], runs: readonly string[]) => ({
  ...{ name, classes, baseClasses: classes },
  runs: runs.map((run) => [run, 0] as const),
});
const fists = ['left', 'right'];
const limbs = ['fists', 'feet'];

/** The first two hold executed and imagined runs in turn, those after them one kind each. */
export const sessionsOfS001: readonly Eegmmidb[] = [
  twoClasses('left or right fist', fists, ['03', '04', '07', '08', '11']),
  twoClasses('fists or feet', limbs, ['05', '06', '09', '10', '13']),
  twoClasses('left or right fist, executed', fists, ['03', '07', '11']),
  twoClasses('fists or feet, executed', limbs, ['05', '09', '13']),
  twoClasses('left or right fist, imagined', fists, ['04', '08']),
  twoClasses('fists or feet, imagined', limbs, ['06', '10']),
  {
    name: 'left, right, fists or feet',
    classes: ['left', 'right', 'fists', 'feet'],
    baseClasses: ['left', 'right', 'fists', 'feet'],
    runs: ['03', '04', '05', '06', '07', '08', '09', '10', '11', '13'].map(
      (run) => [run, ['05', '06', '09', '10', '13'].includes(run) ? 2 : 0] as const,
    ),
  },
];

export async function eegmmidbSession(spec: Eegmmidb): Promise<RecordedSession | undefined> {
  const folder = join(data, 'eegmmidb', 'S001');
  if (!existsSync(folder)) return undefined;
  const trials: SessionTrial[] = [];
  let first: SignalPath | undefined;
  for (const [run, base] of spec.runs) {
    const { path, annotations } = await condition(join(folder, `S001R${run}.edf`), motor);
    first ??= path;
    const cues = annotations.flatMap(({ text, onsetS }) => {
      const label = ['T1', 'T2'].indexOf(text.trim());
      return label < 0 ? [] : [{ label: base + label, startS: onsetS }];
    });
    trials.push(...trialsOf(path, cues));
  }
  if (first === undefined) return undefined;
  return {
    ...{ name: spec.name, person: 'S001', task: taskOf('taught', spec.classes), trials },
    ...{ baseClasses: spec.baseClasses, positions: first.electrodes },
    channels: first.channels.map(({ label }) => label),
  };
}

/**
 * Right hand or rest, ten trials each of ten people: too few to learn a person from, so that the
 * trials of the others come first and a person's own last.
 */
export async function openBciSessions(): Promise<RecordedSession[]> {
  const folder = join(data, 'mi-openbci');
  const people = existsSync(folder) ? readdirSync(folder).filter((name) => /^sub-/.test(name)) : [];
  const sessions: RecordedSession[] = [];
  const classes = ['right_hand', 'rest'];
  for (const person of people.sort()) {
    const stem = join(folder, person, 'eeg', `${person}_task-imagery`);
    const rows = readFileSync(`${stem}_events.tsv`, 'utf8').trim().split('\n').slice(1);
    const cues = rows.map((row) => {
      const [onset, , label = ''] = row.split('\t');
      return { startS: Number(onset), label: classes.indexOf(label) };
    });
    const { path } = await condition(`${stem}_eeg.edf`);
    sessions.push({
      ...{ name: 'right hand or rest', person, task: taskOf('taught', classes) },
      ...{ baseClasses: ['right', 'rest'], positions: path.electrodes },
      channels: path.channels.map(({ label }) => label),
      trials: trialsOf(path, cues),
    });
  }
  return sessions.map((own) => {
    const others = sessions.filter(({ person }) => person !== own.person);
    return { ...own, trials: [...others.flatMap(({ trials }) => trials), ...own.trials] };
  });
}
