/**
 * Classical controls on the same prepared windows and the same split: what a checkpoint must beat.
 * Each returns cases with scores for logits, so that all figures are computed by the same code.
 */
import type { Case } from '../judge.js';
import type { RecipeTask } from '../recipe-schema.js';
import type { Side } from '../split.js';
import { evaluationWindows, type Material, type TaskWindow } from '../windows.js';
import { cspFeatures, fitCsp } from './csp.js';
import { bandPassed, bandPowers, channelList, channelMean } from './features.js';
import { fitLda, ldaScores } from './lda.js';

export type ControlName = 'majority' | 'band-power-lda' | 'csp-lda';

export interface ControlOptions {
  readonly spec: RecipeTask;
  readonly task: number;
  readonly materials: readonly Material[];
  readonly side: Side;
  /** Set that is judged; all judged sets of the task are learned from. */
  readonly set: string;
}

interface Row {
  readonly window: TaskWindow;
  readonly features: Float64Array;
}

export function runControl(name: ControlName, options: ControlOptions): Case[] {
  switch (name) {
    case 'majority':
      return majority(options);
    case 'band-power-lda':
      return bandPowerLda(options);
    case 'csp-lda':
      return cspLda(options);
  }
}

/** Sources to learn from: with the judged set's channels where features depend on the montage. */
function windowsOf(options: ControlOptions, side: Side, sets: readonly string[]): TaskWindow[][] {
  const { spec, task, materials } = options;
  return spec.sources
    .filter((source) => source.judged && sets.includes(source.set))
    .flatMap((source) =>
      materials
        .filter(({ ref }) => ref.side === side && ref.set === source.set)
        .map((material) => evaluationWindows(material, task, spec, source)),
    );
}

const allSets = (options: ControlOptions): string[] => options.spec.sources.map(({ set }) => set);

function caseOf(window: TaskWindow, scores: ArrayLike<number>): Case {
  const { ref } = window.material;
  return {
    set: ref.set,
    subject: ref.subject,
    recording: ref.id,
    label: window.label,
    logits: Float32Array.from(scores),
    endSample: window.endSample,
  };
}

function majority(options: ControlOptions): Case[] {
  const classes = options.spec.classes.length;
  const counts = new Array<number>(classes).fill(0);
  for (const window of windowsOf(options, 'train', allSets(options)).flat()) counts[window.label]++;
  const scores = counts.map((count) => Math.log(count + 1));
  return windowsOf(options, options.side, [options.set])
    .flat()
    .map((window) => caseOf(window, scores));
}

/**
 * One channel set each: all electrodes where every recording has the same, else their mean. With
 * context (sleep): the two windows before, and the change against the mean of all windows so far.
 */
function bandPowerLda(options: ControlOptions): Case[] {
  const { spec } = options;
  const test = windowsOf(options, options.side, [options.set]);
  const training = windowsOf(options, 'train', allSets(options));
  const labels = new Set(
    [...training, ...test].flat().map(({ material }) => material.prepared.header.channels.join()),
  );
  const each = labels.size === 1;
  const rows = (groups: TaskWindow[][]): Row[] =>
    groups.flatMap((windows) => featuresInOrder(windows, spec, each));
  const learned = rows(training);
  const model = fitLda(
    learned.map((row) => row.features),
    learned.map((row) => row.window.label),
    spec.classes.length,
  );
  return rows(test).map(({ window, features }) => caseOf(window, ldaScores(model, features)));
}

function featuresInOrder(windows: readonly TaskWindow[], spec: RecipeTask, each: boolean): Row[] {
  const out: Row[] = [];
  const past: Float64Array[] = [];
  let sum: Float64Array | undefined;
  for (const window of windows) {
    const powers = bandPowers(window.material.prepared, window.endSample, spec.windowS);
    const now = each ? channelList(powers) : channelMean(powers);
    if (now === undefined) continue;
    past.push(now);
    sum = sum === undefined ? now.slice() : sum.map((value, i) => value + now[i]);
    if (spec.contextWindows === 0) {
      out.push({ window, features: now });
      continue;
    }
    const soFar = sum.map((value) => value / past.length);
    const back = (n: number): Float64Array => past[Math.max(0, past.length - 1 - n)];
    const features = [now, back(1), back(2)].flatMap((one) =>
      Array.from(one, (value, i) => value - soFar[i]),
    );
    out.push({ window, features: Float64Array.from([...features, ...now]) });
  }
  return out;
}

/** Within the judged set alone: patterns belong to its electrodes. */
function cspLda(options: ControlOptions): Case[] {
  const { spec } = options;
  const cut = (window: TaskWindow) =>
    bandPassed(window.material.prepared, window.endSample, spec.windowS);
  const training = windowsOf(options, 'train', [options.set]).flat();
  const trials = training.map(cut);
  const present = [...new Set(training.map((window) => window.label))].sort((a, b) => a - b);
  const labels = training.map((window) => present.indexOf(window.label));
  const csp = fitCsp(trials, labels, present.length);
  const model = fitLda(
    trials.map((trial) => cspFeatures(csp, trial)),
    labels,
    present.length,
  );
  return windowsOf(options, options.side, [options.set])
    .flat()
    .map((window) => {
      const own = ldaScores(model, cspFeatures(csp, cut(window)));
      const scores = new Float32Array(spec.classes.length).fill(-1e3);
      for (const [i, k] of present.entries()) scores[k] = own[i];
      return caseOf(window, scores);
    });
}
