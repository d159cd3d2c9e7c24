/**
 * Leave one group out (a run, a person, some people): each group in turn is judged by a model that
 * learned from the others for a fixed number of steps, and by the controls on the same folds.
 * Nothing is chosen on the way, so no part is needed for choosing.
 */
import { Rng } from '../core/rng.js';
import { AdamW } from '../graph/adamw.js';
import type { Tensor } from '../graph/tensor.js';
import { clipGlobalNorm, learningRate, WeightAverage } from '../graph/training-arithmetic.js';
import type { Architecture } from '../model/architecture.js';
import type { Checkpoint } from '../model/checkpoint.js';
import type { Weights } from '../model/parameters.js';
import { fromCheckpoint } from './ablation/variants.js';
import { runControl } from './baselines/controls.js';
import { EegNetTask } from './baselines/eegnet-task.js';
import { controlsOf } from './control-reports.js';
import { type Case, type Figures, figuresOf } from './judge.js';
import type { Objective } from './loop.js';
import {
  addedShape,
  architectureFields,
  type FoldPlan,
  type Recipe,
  type TrainingPlan,
} from './recipe-schema.js';
import { matches } from './split.js';
import { transfer } from './stages.js';
import { Supervised } from './supervised.js';
import type { Material } from './windows.js';

export interface FoldReport {
  readonly task: string;
  readonly set: string;
  /** `model`, `eegnet` or a control. */
  readonly by: string;
  /** Over the cases of all folds. */
  readonly pooled: Figures;
  readonly folds: readonly Figures[];
}

export interface FoldOptions {
  readonly recipe: Recipe;
  readonly plan: TrainingPlan;
  /** Pretrained without labels; its mixture, if it has one, is learned from as it stands. */
  readonly checkpoint: Checkpoint;
  readonly materials: readonly Material[];
  readonly threads: number;
  readonly tasks?: readonly string[] | undefined;
  onFold?(name: string): void;
}

export async function crossValidate(options: FoldOptions): Promise<FoldReport[]> {
  const out: FoldReport[] = [];
  for (const fold of options.recipe.folds)
    if (options.tasks?.includes(fold.task) !== false) out.push(...(await runFolds(options, fold)));
  return out;
}

async function runFolds(options: FoldOptions, fold: FoldPlan): Promise<FoldReport[]> {
  const recipe = onlyTask(options.recipe, fold);
  const [spec] = recipe.tasks;
  const plan = { ...options.plan, steps: fold.steps };
  const found = new Map<string, Case[][]>();
  const keep = (by: string, cases: Case[]): void => {
    found.set(by, [...(found.get(by) ?? []), cases]);
  };
  for (const [i, group] of fold.groups.entries()) {
    const materials = sidesOf(options.materials, fold, group);
    const seed = recipe.seed + i;
    const note = (by: string): void => options.onFold?.(`${fold.task} ${group.join()} ${by}`);
    note('model');
    keep('model', await model(options, { recipe, plan, materials, seed }));
    note('eegnet');
    keep('eegnet', await eegNet(options, { recipe, plan, materials, seed }));
    for (const name of controlsOf(fold.task)) {
      note(name);
      keep(name, runControl(name, { spec, task: 0, materials, side: 'test', set: fold.set }));
    }
  }
  const size = spec.classes.length;
  return [...found].map(([by, cases]) => ({
    task: fold.task,
    set: fold.set,
    by,
    pooled: figuresOf(cases.flat(), size),
    folds: cases.map((some) => figuresOf(some, size)),
  }));
}

/** The recipe with the fold's task and set alone. */
function onlyTask(recipe: Recipe, fold: FoldPlan): Recipe {
  const tasks = recipe.tasks
    .filter(({ name }) => name === fold.task)
    .map((task) => ({ ...task, sources: task.sources.filter(({ set }) => set === fold.set) }));
  return { ...recipe, tasks };
}

/** Recordings of the group are the test, those of all others are learned from. */
function sidesOf(materials: readonly Material[], fold: FoldPlan, group: string[]): Material[] {
  return materials
    .filter(({ ref }) => ref.set === fold.set)
    .map(({ ref, prepared }): Material => {
      const out = matches(group, ref.id) || matches(group, ref.subject);
      return { prepared, ref: { ...ref, side: out ? 'test' : 'train' } };
    });
}

interface OneFold {
  readonly recipe: Recipe;
  readonly plan: TrainingPlan;
  readonly materials: readonly Material[];
  readonly seed: number;
}

async function model(options: FoldOptions, fold: OneFold): Promise<Case[]> {
  const { checkpoint, threads } = options;
  const { tasks } = architectureFields(fold.recipe);
  const arch: Architecture = { ...checkpoint.arch, ...addedShape(fold.recipe), tasks };
  const objective = await Supervised.open({ ...fold, arch, threads });
  try {
    const start = transfer(arch, checkpoint.weights, new Rng(fold.seed), fromCheckpoint);
    const weights = await learn(objective, fold, start);
    return (await objective.judge(weights, 'test', Number.POSITIVE_INFINITY))[0].cases.slice();
  } finally {
    await objective.close();
  }
}

async function eegNet({ threads }: FoldOptions, fold: OneFold): Promise<Case[]> {
  const rows = fold.recipe.tasks[0].rows ?? fold.plan.rows;
  const objective = await EegNetTask.open({ ...fold, task: 0, rows, threads });
  try {
    const weights = await learn(objective, fold, objective.start(new Rng(fold.seed)));
    return (await objective.judge(weights, 'test')).cases.slice();
  } finally {
    await objective.close();
  }
}

/** All steps of the plan; the averaged weights after the last one. */
async function learn(
  objective: Objective,
  { plan, seed }: OneFold,
  weights: Map<string, Tensor>,
): Promise<Weights> {
  const rng = new Rng(seed);
  const optimiser = new AdamW({ weightDecay: plan.weightDecay });
  const average = plan.ema > 0 ? new WeightAverage(weights, plan.ema) : undefined;
  const { learningRate: peak, warmupSteps, steps: totalSteps } = plan;
  const schedule = { peak, floor: peak * plan.finalShare, warmupSteps, totalSteps };
  for (let step = 0; step < totalSteps; step++) {
    const { gradients } = await objective.step(weights, rng);
    clipGlobalNorm(gradients, plan.clipNorm);
    optimiser.step(weights, gradients, learningRate(schedule, step));
    average?.update(weights);
  }
  return average?.weights ?? weights;
}
