/**
 * The experiment this project stands on, variant by variant: the same data, the same number of
 * steps, one thing changed at a time.
 */
import { Rng } from '../../core/rng.js';
import { elements, type Tensor } from '../../graph/tensor.js';
import type { Architecture } from '../../model/architecture.js';
import { parameterSpecs } from '../../model/serving.js';
import { upcycle } from '../../model/upcycle.js';
import { EegNetTask } from '../baselines/eegnet-task.js';
import { type LoopOptions, type LoopResult, type Objective, trainLoop } from '../loop.js';
import { meanOf } from '../metrics.js';
import {
  architectureFields,
  type Recipe,
  type TrainingPlan,
  type UpcyclePlan,
} from '../recipe-schema.js';
import { RunFolder } from '../run-folder.js';
import { transfer } from '../stages.js';
import { Supervised } from '../supervised.js';

import type { Material } from '../windows.js';
import {
  all,
  bestOf,
  type Found,
  judgeBoth,
  scoresOf,
  someWindow,
  type TaskScore,
  validationOf,
  windowTime,
} from './scores.js';

export const variants = {
  a: 'random initialisation, dense, all tasks',
  b: 'EEGNet, one a task',
  c: 'pretrained, dense, one model a task',
  d: 'pretrained, dense, all tasks',
  e: 'upcycled MoE without task-aware routing, all tasks',
  f: 'upcycled MoE with task-aware routing, all tasks',
} as const;
export type VariantName = keyof typeof variants;

export interface VariantRun {
  readonly variant: VariantName;
  readonly seed: number;
  readonly scores: Readonly<Record<string, TaskScore>>;
  /** Balanced accuracy of the chosen step on validation, which chose it. */
  readonly validation: Readonly<Record<string, number>>;
  readonly bestSteps: readonly number[];
  readonly parameters: number;
  /** Used for one token: the top k experts of each mixture. */
  readonly activeParameters: number;
  /** `[task]` of `[moeBlocks * experts]`; empty for dense ones. */
  readonly routing: Readonly<Record<string, readonly number[]>>;
  readonly seconds: number;
  readonly msPerStep: number;
  /** To predict one window from its samples, best of some runs, mean over the tasks. */
  readonly msPerWindow: number;
}

export interface VariantOptions {
  readonly recipe: Recipe;
  readonly plan: TrainingPlan;
  readonly upcycling: UpcyclePlan;
  /** Pretrained dense model. */
  readonly arch: Architecture;
  readonly weights: ReadonlyMap<string, Tensor>;
  readonly materials: readonly Material[];
  readonly seed: number;
  readonly folder: string;
  /** What all runs of this ablation share: recipe and start. */
  readonly facts: Readonly<Record<string, unknown>>;
  readonly threads: number;
  onProgress?(variant: string, step: number, loss: number): void;
}

export async function runVariant(name: VariantName, options: VariantOptions): Promise<VariantRun> {
  switch (name) {
    case 'a':
      return together(name, options, { arch: denseArch(options), weights: new Map() });
    case 'b':
      return apart(name, options, eegNet);
    case 'c':
      return apart(name, options, single);
    case 'd':
      return together(name, options, { arch: denseArch(options), weights: options.weights });
    case 'e':
      return together(name, options, mixture(options, false));
    case 'f':
      return together(name, options, mixture(options, true));
  }
}

export interface Start {
  readonly arch: Architecture;
  readonly weights: ReadonlyMap<string, Tensor>;
}

/** Heads and task rows are drawn anew for every variant alike. */
export const fromCheckpoint = (name: string): boolean =>
  !/^(heads\.|task\.(embedding|pool)$)/.test(name);

export function denseArch({ arch, recipe }: VariantOptions): Architecture {
  return { ...arch, moe: null, tasks: architectureFields(recipe).tasks };
}

export function mixture(options: VariantOptions, taskAware: boolean): Start {
  const { reinitialised, optimiser: _none, ...shape } = options.upcycling;
  const dense = denseArch(options);
  const rng = new Rng(options.seed + 17);
  const full = transfer(dense, options.weights, rng, fromCheckpoint);
  return upcycle(full, dense, { ...shape, taskAware, dropUpcycling: reinitialised }, rng);
}

async function together(
  variant: VariantName,
  options: VariantOptions,
  start: Start,
): Promise<VariantRun> {
  const { recipe, plan, seed, materials, threads } = options;
  const { arch } = start;
  const objective = await Supervised.open({ recipe, plan, arch, materials, threads });
  try {
    const result = await learn(objective, options, variant, plan, () =>
      transfer(arch, start.weights, new Rng(seed), fromCheckpoint),
    );
    const found = await judgeBoth((side, only) => objective.judge(result.weights, side, all, only));
    const judged = found.map((one) => one.judged);
    return {
      variant,
      seed,
      scores: scoresOf(found),
      validation: validationOf(result),
      bestSteps: [result.bestStep],
      ...sizes(arch),
      routing: Object.fromEntries(judged.map(({ task, routing }) => [task, routing])),
      seconds: result.seconds,
      msPerStep: (1000 * result.stepSeconds) / Math.max(1, result.steps),
      msPerWindow: await windowTime(options, arch, result.weights),
    };
  } finally {
    await objective.close();
  }
}

interface One {
  readonly found: Found;
  readonly msPerWindow: number;
  readonly parameters: number;
  readonly result: LoopResult;
}

/** One model a task; the parameters of all of them count. */
async function apart(
  variant: VariantName,
  options: VariantOptions,
  learnOne: (options: VariantOptions, task: number, variant: VariantName) => Promise<One>,
): Promise<VariantRun> {
  const found: One[] = [];
  for (const [task] of options.recipe.tasks.entries())
    found.push(await learnOne(options, task, variant));
  const seconds = found.reduce((total, { result }) => total + result.seconds, 0);
  const stepSeconds = found.reduce((total, { result }) => total + result.stepSeconds, 0);
  const steps = found.reduce((total, { result }) => total + result.steps, 0);
  return {
    variant,
    seed: options.seed,
    scores: scoresOf(found.map((one) => one.found)),
    validation: Object.assign({}, ...found.map(({ result }) => validationOf(result))),
    bestSteps: found.map(({ result }) => result.bestStep),
    parameters: found.reduce((total, { parameters }) => total + parameters, 0),
    activeParameters: Math.max(...found.map(({ parameters }) => parameters)),
    routing: {},
    seconds,
    msPerStep: (1000 * stepSeconds) / Math.max(1, steps),
    msPerWindow: meanOf(found.map((one) => one.msPerWindow)),
  };
}

async function single(options: VariantOptions, task: number, variant: VariantName): Promise<One> {
  const { recipe, plan, seed, materials, threads } = options;
  const own = { ...recipe, tasks: [recipe.tasks[task]] };
  const arch = { ...denseArch(options), tasks: architectureFields(own).tasks };
  const objective = await Supervised.open({ recipe: own, plan, arch, materials, threads });
  try {
    const name = `${variant}-${own.tasks[0].name}`;
    const result = await learn(objective, options, name, plan, () =>
      transfer(arch, options.weights, new Rng(seed), fromCheckpoint),
    );
    const [found] = await judgeBoth((side, only) =>
      objective.judge(result.weights, side, all, only),
    );
    const msPerWindow = await windowTime({ ...options, recipe: own }, arch, result.weights);
    return { found, parameters: sizes(arch).parameters, result, msPerWindow };
  } finally {
    await objective.close();
  }
}

async function eegNet(options: VariantOptions, task: number, variant: VariantName): Promise<One> {
  const { recipe, plan, seed, materials, threads } = options;
  const spec = recipe.tasks[task];
  const rows = spec.rows ?? Math.max(2, Math.round(plan.rows / recipe.tasks.length));
  const objective = await EegNetTask.open({ recipe, task, rows, materials, threads });
  try {
    const name = `${variant}-${spec.name}`;
    const faster = { ...plan, learningRate: Math.max(plan.learningRate, 1e-3) };
    const result = await learn(objective, options, name, faster, () =>
      objective.start(new Rng(seed)),
    );
    const judge = async (side: 'test' | 'validation') => [
      await objective.judge(result.weights, side),
    ];
    const [found] = await judgeBoth(judge);
    const window = someWindow(options, task);
    const msPerWindow =
      window === undefined
        ? Number.NaN
        : await bestOf(() => objective.predict(result.weights, [window]));
    return { found, parameters: objective.parameters, result, msPerWindow };
  } finally {
    await objective.close();
  }
}

export function learn(
  objective: Objective,
  options: Pick<VariantOptions, 'seed' | 'folder' | 'facts' | 'onProgress'>,
  name: string,
  plan: TrainingPlan,
  start: LoopOptions['start'],
): Promise<LoopResult> {
  const { seed, folder } = options;
  return trainLoop(objective, {
    plan,
    seed,
    folder: new RunFolder(`${folder}/${name}-${seed}`),
    facts: { ...options.facts, variant: name, seed, steps: plan.steps },
    start,
    onProgress: ({ step, loss }) => options.onProgress?.(`${name}-${seed}`, step, loss),
  });
}

function sizes(arch: Architecture): { parameters: number; activeParameters: number } {
  let parameters = 0;
  let active = 0;
  for (const { name, shape } of parameterSpecs(arch)) {
    const size = elements(shape);
    parameters += size;
    const share = arch.moe !== null && name.includes('.experts.');
    active += share ? (size * (arch.moe?.topK ?? 1)) / (arch.moe?.experts ?? 1) : size;
  }
  return { parameters, activeParameters: Math.round(active) };
}
