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
import { figuresOf, type Judged } from '../judge.js';
import { type LoopOptions, type LoopResult, type Objective, trainLoop } from '../loop.js';
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

export const variants = {
  a: 'random initialisation, dense, all tasks',
  b: 'EEGNet, one a task',
  c: 'pretrained, dense, one model a task',
  d: 'pretrained, dense, all tasks',
  e: 'upcycled MoE without task-aware routing, all tasks',
  f: 'upcycled MoE with task-aware routing, all tasks',
} as const;
export type VariantName = keyof typeof variants;

export interface TaskScore {
  readonly balancedAccuracy: number;
  readonly kappa: number;
  readonly macroF1: number;
  readonly auroc: number;
  readonly confusion: readonly (readonly number[])[];
}

export interface VariantRun {
  readonly variant: VariantName;
  readonly seed: number;
  readonly scores: Readonly<Record<string, TaskScore>>;
  readonly parameters: number;
  /** Used for one token: the top k experts of each mixture. */
  readonly activeParameters: number;
  /** `[task]` of `[moeBlocks * experts]`; empty for dense ones. */
  readonly routing: Readonly<Record<string, readonly number[]>>;
  readonly seconds: number;
  readonly msPerStep: number;
  /** Balanced accuracy of the other tasks before and after the last task was learned alone. */
  readonly forgetting?: Readonly<
    Record<string, { readonly before: number; readonly after: number }>
  >;
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
  readonly threads: number;
  /** Steps of learning the last task alone, at the end of d and f; 0 = not measured. */
  readonly forgettingSteps: number;
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

interface Start {
  readonly arch: Architecture;
  readonly weights: ReadonlyMap<string, Tensor>;
}

/** Heads and task rows are drawn anew for every variant alike. */
const fromCheckpoint = (name: string): boolean => !/^(heads\.|task\.(embedding|pool)$)/.test(name);

function denseArch({ arch, recipe }: VariantOptions): Architecture {
  return { ...arch, moe: null, tasks: architectureFields(recipe).tasks };
}

function mixture(options: VariantOptions, taskAware: boolean): Start {
  const { reinitialised, ...shape } = options.upcycling;
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
  const { recipe, plan, seed } = options;
  const objective = await open(options, recipe, start.arch);
  try {
    const result = await learn(objective, options, variant, plan, () =>
      transfer(start.arch, start.weights, new Rng(seed), fromCheckpoint),
    );
    const judged = await objective.judge(result.weights, 'test');
    const forgetting =
      (variant === 'd' || variant === 'f') && options.forgettingSteps > 0
        ? await forget(options, variant, start.arch, result, judged)
        : undefined;
    return {
      variant,
      seed,
      scores: scoresOf(judged),
      ...sizes(start.arch),
      routing: Object.fromEntries(judged.map(({ task, routing }) => [task, routing])),
      seconds: result.seconds,
      msPerStep: (1000 * result.seconds) / Math.max(1, result.steps),
      ...(forgetting === undefined ? {} : { forgetting }),
    };
  } finally {
    await objective.close();
  }
}

function open(options: VariantOptions, recipe: Recipe, arch: Architecture): Promise<Supervised> {
  const { plan, materials, threads } = options;
  return Supervised.open({ recipe, plan, arch, materials, threads });
}

/** The last task alone, all weights free: what does it cost the others? */
async function forget(
  options: VariantOptions,
  variant: VariantName,
  arch: Architecture,
  result: LoopResult,
  before: readonly Judged[],
): Promise<VariantRun['forgetting']> {
  const { recipe, forgettingSteps } = options;
  const last = recipe.tasks.length - 1;
  const tasks = recipe.tasks.map((task, i) => ({
    ...task,
    rows: i === last ? (task.rows ?? 8) : 0,
  }));
  const alone = { ...recipe, tasks };
  const plan = { ...options.plan, steps: forgettingSteps, validateEvery: forgettingSteps };
  const objective = await open({ ...options, plan }, alone, arch);
  try {
    const after = await learn(objective, options, `${variant}-forgetting`, plan, () =>
      transfer(arch, result.weights, new Rng(1), () => true),
    );
    const judged = await objective.judge(after.weights, 'test');
    const names = recipe.tasks.slice(0, last).map((task) => task.name);
    return Object.fromEntries(
      names.flatMap((name) => {
        const [old, now] = [scoresOf(before)[name], scoresOf(judged)[name]];
        if (old === undefined || now === undefined) return [];
        return [[name, { before: old.balancedAccuracy, after: now.balancedAccuracy }]];
      }),
    );
  } finally {
    await objective.close();
  }
}

interface One {
  readonly judged: Judged;
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
  const steps = found.reduce((total, { result }) => total + result.steps, 0);
  return {
    variant,
    seed: options.seed,
    scores: scoresOf(found.map(({ judged }) => judged)),
    parameters: found.reduce((total, { parameters }) => total + parameters, 0),
    activeParameters: Math.max(...found.map(({ parameters }) => parameters)),
    routing: {},
    seconds,
    msPerStep: (1000 * seconds) / Math.max(1, steps),
  };
}

async function single(options: VariantOptions, task: number, variant: VariantName): Promise<One> {
  const { recipe, plan, seed } = options;
  const own = { ...recipe, tasks: [recipe.tasks[task]] };
  const arch = { ...denseArch(options), tasks: architectureFields(own).tasks };
  const objective = await open(options, own, arch);
  try {
    const name = `${variant}-${own.tasks[0].name}`;
    const result = await learn(objective, options, name, plan, () =>
      transfer(arch, options.weights, new Rng(seed), fromCheckpoint),
    );
    const [judged] = await objective.judge(result.weights, 'test');
    return { judged, parameters: sizes(arch).parameters, result };
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
    const judged = await objective.judge(result.weights, 'test');
    return { judged, parameters: objective.parameters, result };
  } finally {
    await objective.close();
  }
}

function learn(
  objective: Objective,
  options: VariantOptions,
  name: string,
  plan: TrainingPlan,
  start: LoopOptions['start'],
): Promise<LoopResult> {
  const { seed, folder } = options;
  return trainLoop(objective, {
    plan,
    seed,
    folder: new RunFolder(`${folder}/${name}-${seed}`),
    facts: { variant: name, seed, steps: plan.steps },
    start,
    onProgress: ({ step, loss }) => options.onProgress?.(`${name}-${seed}`, step, loss),
  });
}

function scoresOf(judged: readonly Judged[]): Record<string, TaskScore> {
  return Object.fromEntries(
    judged
      .filter(({ cases }) => cases.length > 0)
      .map(({ task, classes, cases }) => {
        const { balancedAccuracy, kappa, macroF1, auroc, confusion } = figuresOf(
          cases,
          classes.length,
        );
        return [task, { balancedAccuracy, kappa, macroF1, auroc, confusion }];
      }),
  );
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
