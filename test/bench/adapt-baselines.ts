/**
 * What `bench:adapt` compares with, on the same trials: the base as it is, CSP + shrinkage LDA,
 * EEGNet from scratch, and fine-tuning of everything, whose forgetting is measured. None of them is
 * tuned on the trials that judge; each trains for a fixed number of epochs.
 */
import { cutPatches } from '../../src/adaptation/trial-latents.js';
import { Rng } from '../../src/core/rng.js';
import { modelRateHz, patchSamples } from '../../src/core/tasks.js';
import { AdamW } from '../../src/graph/adamw.js';
import { GradientSession } from '../../src/graph/gradient-session.js';
import type { Tensor } from '../../src/graph/tensor.js';
import { clipGlobalNorm } from '../../src/graph/training-arithmetic.js';
import { attachPack, grow, type Model } from '../../src/model/growing.js';
import { startWeights } from '../../src/model/parameters.js';
import { makeTargets, type TrainingBatch } from '../../src/model/training-batch.js';
import { TrainingSession } from '../../src/model/training-session.js';
import { cspFeatures, fitCsp } from '../../src/training/baselines/csp.js';
import {
  denseSize,
  dropoutMask,
  eegNetFrames,
  eegNetGraph,
  framesOf,
  kernelSamples,
} from '../../src/training/baselines/eegnet.js';
import { bandPassed } from '../../src/training/baselines/features.js';
import { fitLda, ldaScores } from '../../src/training/baselines/lda.js';
import type { RecordedSession, SessionTrial } from './adapt-sessions.js';

export interface Split {
  readonly session: RecordedSession;
  readonly train: readonly SessionTrial[];
  readonly test: readonly SessionTrial[];
}

interface Window {
  /** `[seconds, channels, 200]`, zeros where masked. */
  readonly patches: Float32Array;
  readonly mask: Float32Array;
  readonly label: number;
  readonly trial: number;
}

const windowS = 3;
/** The same shifts of a trial for everybody. */
const windowEnds = [600, 700, 800];
const argmax = (values: ArrayLike<number>) =>
  Array.from(values).indexOf(Math.max(...Array.from(values)));

function windowsOf({ session }: Split, trials: readonly SessionTrial[]): Window[] {
  const channels = session.channels.length;
  return trials.flatMap(({ label, signal }, trial) =>
    windowEnds.map((end) => {
      const patches = new Float32Array(windowS * channels * patchSamples);
      const mask = new Float32Array(windowS * channels);
      for (let s = 0; s < windowS; s++) {
        const at = s * channels;
        cutPatches(signal, end - (windowS - 1 - s) * modelRateHz, {
          patches: patches.subarray(at * patchSamples, (at + channels) * patchSamples),
          mask: mask.subarray(at, at + channels),
        });
      }
      return { patches, mask, label, trial };
    }),
  );
}

/** Right by the largest sum of what is said of a trial's windows. */
function correctOf(
  trials: readonly SessionTrial[],
  windows: readonly Window[],
  scores: readonly ArrayLike<number>[],
): number {
  return trials.filter(({ label }, i) => {
    const own = scores.filter((_, w) => windows[w]?.trial === i);
    const classes = own[0]?.length ?? 0;
    const sum = Array.from({ length: classes }, (_, k) =>
      own.reduce((total, one) => total + (one[k] as number), 0),
    );
    return argmax(sum) === label;
  }).length;
}

function logSoftmax(logits: ArrayLike<number>): number[] {
  const values = Array.from(logits);
  const most = Math.max(...values);
  const sum = values.reduce((total, value) => total + Math.exp(value - most), 0);
  return values.map((value) => value - most - Math.log(sum));
}

export function cspCorrect({ session, train, test }: Split): number {
  const channels = session.channels.length;
  const classes = session.task.classes.length;
  const cut = ({ signal }: SessionTrial) => {
    const samples = signal.data.length / channels;
    const scales = signal.scale.slice(-channels);
    const prepared = { channels, signal: () => signal.data, scales: () => scales };
    return bandPassed(prepared, samples, samples / modelRateHz);
  };
  const labels = train.map(({ label }) => label);
  const csp = fitCsp(train.map(cut), labels, classes, 3);
  const rows = train.map((trial) => cspFeatures(csp, cut(trial)));
  const lda = fitLda(rows, labels, classes);
  return test.filter((trial) => {
    return argmax(ldaScores(lda, cspFeatures(csp, cut(trial)))) === trial.label;
  }).length;
}

/** Epochs over few windows, fewer over many: so many steps at most. */
const eegNetEpochs = 60;
const eegNetSteps = 500;

export async function eegNetCorrect(split: Split, seed: number): Promise<number> {
  const { session, train, test } = split;
  const shape = {
    ...{ channels: session.channels.length, windowS },
    classes: session.task.classes.length,
  };
  const rng = new Rng(seed);
  const training = await GradientSession.open(eegNetGraph(shape, true), { threads: 1 });
  const specs = training.trained.map(({ name, shape: size }) => {
    const inputs = size.length > 1 ? (size[size.length - 2] as number) : 0;
    return { name, shape: size, sd: inputs === 0 ? 0 : 1 / Math.sqrt(inputs) };
  });
  const weights = startWeights(specs, rng);
  const optimiser = new AdamW({ weightDecay: 0.01 });
  const feeds = (some: readonly Window[], dropout: Float32Array) => {
    const target = new Float32Array(some.length * shape.classes);
    for (const [r, { label }] of some.entries())
      target[r * shape.classes + label] = 1 / some.length;
    const size = [some.length, shape.channels, framesOf(shape), kernelSamples];
    return {
      frames: { shape: size, data: eegNetFrames(shape, some) },
      target: { shape: [some.length, shape.classes], data: target },
      dropout: { shape: [some.length, denseSize], data: dropout },
    };
  };
  const windows = windowsOf(split, train);
  const steps = Math.ceil(windows.length / 16);
  const epochs = Math.min(eegNetEpochs, Math.ceil(eegNetSteps / steps));
  for (let epoch = 0; epoch < epochs; epoch++) {
    const order = rng.shuffle([...windows]);
    for (let at = 0; at < order.length; at += 16) {
      const some = order.slice(at, at + 16);
      const mask = dropoutMask(some.length, () => rng.uniform());
      const { gradients } = await training.run(weights, feeds(some, mask));
      clipGlobalNorm(gradients, 1);
      optimiser.step(weights, gradients, () => 2e-3);
    }
  }
  await training.close();
  const forward = await GradientSession.open(eegNetGraph(shape, false), { threads: 1 });
  const judged = windowsOf(split, test);
  const ones = new Float32Array(judged.length * denseSize).fill(1);
  const { outputs } = await forward.run(weights, feeds(judged, ones));
  const logits = outputs.get('logits')?.data ?? new Float32Array(0);
  const scores = judged.map((_, i) =>
    logSoftmax(logits.slice(i * shape.classes, (i + 1) * shape.classes)),
  );
  await forward.close();
  return correctOf(test, judged, scores);
}

function batchOf(model: Model, split: Split, windows: readonly Window[], task: number) {
  const channels = split.session.channels.length;
  const rows = windows.length;
  const units = rows * windowS;
  const patches = new Float32Array(units * channels * patchSamples);
  const channelMask = new Float32Array(units * channels);
  const positions = new Float32Array(units * channels * 6);
  for (const [row, window] of windows.entries()) {
    patches.set(window.patches, row * window.patches.length);
    channelMask.set(window.mask, row * window.mask.length);
  }
  for (let u = 0; u < units; u++) positions.set(split.session.positions, u * channels * 6);
  const tasks = new Int32Array(rows).fill(task);
  const own = task === model.arch.tasks.length - 1;
  const batch: TrainingBatch = {
    ...{ rows, seconds: windowS, task: tasks, mask: new Float32Array(units).fill(1) },
    times: Float32Array.from({ length: units }, (_, i) => (i % windowS) - windowS + 1),
    target: makeTargets(
      model.arch,
      tasks,
      windows.map(({ label }) => (own ? label : 0)),
      0.1,
    ),
    rowWeight: new Float32Array(rows).fill(1 / rows),
    signal: {
      ...{ units, channels, patches, positions, channelMask, context: new Float32Array(0) },
      index: Int32Array.from({ length: units }, (_, i) => i),
    },
  };
  return batch;
}

/** Logits of a task's classes for windows, by a session over the whole model. */
async function logitsOf(
  session: TrainingSession,
  { arch, weights }: Model,
  split: Split,
  windows: readonly Window[],
  task: number,
): Promise<Float32Array[]> {
  const before = arch.tasks.slice(0, task).reduce((sum, { classes }) => sum + classes.length, 0);
  const size = arch.tasks[task]?.classes.length ?? 0;
  const out: Float32Array[] = [];
  for (let at = 0; at < windows.length; at += 16) {
    const some = windows.slice(at, at + 16);
    const { logits } = await session.evaluate(
      weights,
      batchOf({ arch, weights }, split, some, task),
    );
    const width = logits.length / some.length;
    for (let r = 0; r < some.length; r++)
      out.push(logits.slice(r * width + before, r * width + before + size));
  }
  return out;
}

/** The base's own motor imagery, of the classes that are asked for. */
export async function unadaptedCorrect(base: Model, split: Split): Promise<number> {
  const task = base.arch.tasks.findIndex(({ name }) => name === 'motor_imagery');
  const classes = base.arch.tasks[task]?.classes ?? [];
  const columns = split.session.baseClasses.map((name) => classes.indexOf(name));
  const session = await TrainingSession.open(base.arch, { trunk: true, trains: none, threads: 1 });
  const windows = windowsOf(split, split.test);
  const logits = await logitsOf(session, base, split, windows, task);
  await session.close();
  const scores = logits.map((row) => logSoftmax(columns.map((column) => row[column] as number)));
  return correctOf(split.test, windows, scores);
}

const none = (name: string) => name === 'task.embedding';
const tuneEpochs = 12;

/**
 * Everything trained on the new task alone. `flips`: share of windows of which an old task of the
 * base says something else than before.
 */
export async function fineTunedCorrect(
  base: Model,
  split: Split,
  seed: number,
): Promise<{ correct: number; flips: number; changedTasks: number }> {
  const { session: recorded, train, test } = split;
  const rng = new Rng(seed);
  const grown = attachPack(base, grow(base, { name: 'all', task: recorded.task, experts: 1 }, rng));
  const weights = new Map<string, Tensor>(
    [...grown.weights].map(([name, { shape, data }]) => [name, { shape, data: data.slice() }]),
  );
  const model: Model = { arch: grown.arch, weights };
  const task = grown.arch.tasks.length - 1;
  const training = await TrainingSession.open(grown.arch, { trunk: true, threads: 1 });
  const judged = windowsOf(split, test);
  const old = [...base.arch.tasks.keys()];
  const answers = async (of: Model) => {
    const said: number[][] = [];
    for (const t of old)
      said.push((await logitsOf(training, of, split, judged.slice(0, 48), t)).map(argmax));
    return said;
  };
  const before = await answers({ arch: grown.arch, weights: grown.weights });
  const optimiser = new AdamW({ weightDecay: 0.05 });
  const windows = windowsOf(split, train);
  for (let epoch = 0; epoch < tuneEpochs; epoch++) {
    const order = rng.shuffle([...windows]);
    for (let at = 0; at < order.length; at += 16) {
      const batch = batchOf(model, split, order.slice(at, at + 16), task);
      const { gradients } = await training.step(weights, batch);
      clipGlobalNorm(gradients, 1);
      optimiser.step(weights, gradients, (name) => (name.includes('.head.') ? 3e-3 : 5e-4));
    }
  }
  const logits = await logitsOf(training, model, split, judged, task);
  const correct = correctOf(test, judged, logits.map(logSoftmax));
  const after = await answers(model);
  await training.close();
  const changed = before.flatMap((row, t) => row.map((said, i) => said !== after[t]?.[i]));
  const flips = changed.filter(Boolean).length / Math.max(1, changed.length);
  const changedTasks = before.filter((row, t) => row.some((said, i) => said !== after[t]?.[i]));
  return { correct, flips, changedTasks: changedTasks.length };
}
