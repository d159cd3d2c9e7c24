/**
 * What a checkpoint is worth on hardware other than its training data's: fewer electrodes, another
 * gain, another reference, other rates, mains. Changes of the signal are made before the live path,
 * changes of the montage after it.
 */
import { Rng } from '../core/rng.js';
import { patchSamples } from '../core/tasks.js';
import type { Recording } from '../formats/recording.js';
import { memoryRecording } from './datasets/memory-recording.js';
import { type EvaluateOptions, type Evaluation, evaluate } from './evaluate.js';
import type { Changes } from './predictor.js';
import { prepareRecording } from './prepare.js';
import { PreparedRecording } from './prepared.js';
import type { PlacedRecording } from './recipe.js';
import type { Material } from './windows.js';

/** Mains as it gets into a headset's cables, uV. */
const mainsUv = 20;

export const montageChanges: Readonly<Record<string, Changes>> = {
  'half of the channels': { alter: (_, __, mask) => keepSome(mask, Math.ceil(mask.length / 2)) },
  'two channels': { alter: (_, __, mask) => keepSome(mask, 2) },
  'one channel': { alter: (_, __, mask) => keepSome(mask, 1) },
  'gain jumps to half': { alter: (patches) => scale(patches, 0.5) },
  'gain jumps to double': { alter: (patches) => scale(patches, 2) },
  'bipolar, each channel against the next': { alter: bipolar },
};

export const signalChanges: Readonly<Record<string, (recording: Recording) => Recording>> = {
  '250 Hz': (recording) => atRate(recording, 250),
  '256 Hz': (recording) => atRate(recording, 256),
  '500 Hz': (recording) => atRate(recording, 500),
  '50 Hz mains of 20 uV': withMains,
};

export interface RobustnessOptions extends EvaluateOptions {
  readonly store: string;
  onChange?(name: string): void;
}

/** Evaluations without alarms, by the name of the change. */
export async function robustness(options: RobustnessOptions): Promise<Record<string, Evaluation>> {
  const out: Record<string, Evaluation> = {};
  for (const [name, changes] of Object.entries(montageChanges)) {
    options.onChange?.(name);
    out[name] = await evaluate({ ...options, changes, alarms: false });
  }
  const judged = judgedSets(options);
  const own = options.materials.filter(
    ({ ref }) => ref.side === options.side && judged.has(ref.set),
  );
  for (const [name, change] of Object.entries(signalChanges)) {
    options.onChange?.(name);
    const materials: Material[] = [];
    for (const { ref } of own) materials.push(await changed(ref, name, change, options));
    out[name] = await evaluate({ ...options, materials, alarms: false });
  }
  return out;
}

/** What is only learned from is not altered: no figure would show it. */
function judgedSets({ recipe, tasks }: RobustnessOptions): Set<string> {
  const wanted = recipe.tasks.filter(({ name }) => tasks?.includes(name) !== false);
  const sources = wanted.flatMap((task) => task.sources.filter(({ judged }) => judged));
  return new Set(sources.map(({ set }) => set));
}

async function changed(
  ref: PlacedRecording,
  name: string,
  change: (recording: Recording) => Recording,
  { recipe, store }: RobustnessOptions,
): Promise<Material> {
  const { path: _path, ...rest } = ref;
  const altered = {
    ...rest,
    // Under the path, two folders of data stay apart.
    recipe: `${ref.path ?? ref.recipe ?? ref.id} in ${ref.set}, ${name}`,
    open: async () => change(await ref.open()),
  };
  const { channels } = recipe.sets[ref.set];
  const { key } = await prepareRecording(altered, { folder: store, channels });
  return { ref: altered, prepared: new PreparedRecording(store, key) };
}

/** The same electrodes every second: a seeded order, the first ones stay. */
function keepSome(mask: Float32Array, count: number): void {
  const order = new Rng(1).shuffle(Array.from({ length: mask.length }, (_, c) => c));
  for (const c of order.slice(count)) mask[c] = 0;
}

function scale(patches: Float32Array, factor: number): void {
  for (let i = 0; i < patches.length; i++) patches[i] *= factor;
}

function bipolar(patches: Float32Array, positions: Float32Array, mask: Float32Array): void {
  for (let c = 0; c + 1 < mask.length; c++) {
    if (mask[c] === 0 || mask[c + 1] === 0) {
      mask[c] = 0;
      continue;
    }
    const [at, next] = [c * patchSamples, (c + 1) * patchSamples];
    for (let i = 0; i < patchSamples; i++) patches[at + i] -= patches[next + i];
    positions.copyWithin(c * 6 + 3, (c + 1) * 6, (c + 1) * 6 + 3);
  }
  if (mask.length > 1) mask[mask.length - 1] = 0;
}

/** Straight lines between samples: what is above the old Nyquist rate the live path removes. */
function atRate(recording: Recording, rateHz: number): Recording {
  const { signals, labels } = allOf(recording);
  const step = recording.rateHz / rateHz;
  const frames = Math.floor((recording.frames - 1) / step);
  const slow = signals.map((x) =>
    Float32Array.from({ length: frames }, (_, i) => {
      const at = Math.floor(i * step);
      return x[at] + (x[at + 1] - x[at]) * (i * step - at);
    }),
  );
  return memoryRecording(recording.name, rateHz, labels, slow);
}

function withMains(recording: Recording): Recording {
  const { signals, labels } = allOf(recording);
  const turn = (2 * Math.PI * 50) / recording.rateHz;
  const noisy = signals.map((x, c) =>
    x.map((value, i) => value + mainsUv * Math.sin(turn * i + c)),
  );
  return memoryRecording(recording.name, recording.rateHz, labels, noisy);
}

function allOf(recording: Recording): { signals: Float32Array[]; labels: string[] } {
  const width = recording.channels.length;
  const data = recording.read(0, recording.frames);
  recording.close();
  const eeg = recording.channels.flatMap((channel, c) => (channel.kind === 'eeg' ? [c] : []));
  const signals = eeg.map((c) =>
    Float32Array.from({ length: recording.frames }, (_, i) => data[i * width + c]),
  );
  return { signals, labels: eeg.map((c) => recording.channels[c].label) };
}
