/**
 * Forgetting: models that learned all tasks but the last are given the last one alone. With all
 * weights free the old tasks pay for it; a pack (src/model/growing.ts) brings experts of its own
 * and leaves every old weight as it was.
 */
import { Rng } from '../../core/rng.js';
import type { Tensor } from '../../graph/tensor.js';
import type { Architecture } from '../../model/architecture.js';
import { attachPack, grow, packTrains } from '../../model/growing.js';
import { architectureFields, type Recipe, type TrainingPlan } from '../recipe-schema.js';
import { transfer } from '../stages.js';
import { Supervised } from '../supervised.js';
import { all, judgeBoth, scoresOf, type TaskScore } from './scores.js';
import { denseArch, fromCheckpoint, learn, mixture, type VariantOptions } from './variants.js';

export const ways = {
  dense: 'dense, all weights free',
  moe: 'MoE, all weights free',
  pack: 'MoE, new experts and head only',
} as const;
export type Way = keyof typeof ways;

export interface ForgettingRun {
  readonly seed: number;
  readonly added: string;
  readonly steps: number;
  readonly found: readonly {
    readonly way: Way;
    /** Balanced accuracy of the old tasks before and after. */
    readonly old: Readonly<Record<string, { readonly before: number; readonly after: number }>>;
    /** Balanced accuracy of the added task. */
    readonly added: number;
  }[];
}

export interface ForgettingOptions extends VariantOptions {
  /** Steps of learning the added task. */
  readonly steps: number;
}

interface Model {
  readonly arch: Architecture;
  readonly weights: Map<string, Tensor>;
}

export async function forgettingRun(options: ForgettingOptions): Promise<ForgettingRun> {
  const { recipe, seed, steps } = options;
  const added = recipe.tasks[recipe.tasks.length - 1].name;
  const found: ForgettingRun['found'][number][] = [];
  for (const kind of ['dense', 'moe'] as const) {
    const { base, before } = await learnOld(options, kind);
    const free: Model = { arch: withLast(base.arch, recipe), weights: base.weights };
    found.push(await add(options, kind, free, before));
    if (kind === 'moe') found.push(await add(options, 'pack', packOf(base, options), before));
  }
  return { seed, added, steps, found };
}

type Scores = Readonly<Record<string, TaskScore>>;

/** All tasks but the last, for as many steps as the other variants. */
async function learnOld(
  options: ForgettingOptions,
  kind: 'dense' | 'moe',
): Promise<{ base: Model; before: Scores }> {
  const { plan, seed, materials, threads } = options;
  const recipe = { ...options.recipe, tasks: options.recipe.tasks.slice(0, -1) };
  const own = { ...options, recipe };
  const start =
    kind === 'moe' ? mixture(own, true) : { arch: denseArch(own), weights: options.weights };
  const objective = await Supervised.open({ recipe, plan, arch: start.arch, materials, threads });
  try {
    const { weights } = await learn(objective, options, `old-${kind}`, plan, () =>
      transfer(start.arch, start.weights, new Rng(seed), fromCheckpoint),
    );
    const judged = await judgeBoth((side, only) => objective.judge(weights, side, all, only));
    return { base: { arch: start.arch, weights: new Map(weights) }, before: scoresOf(judged) };
  } finally {
    await objective.close();
  }
}

function withLast(arch: Architecture, recipe: Recipe): Architecture {
  return { ...arch, tasks: architectureFields(recipe).tasks };
}

function packOf(base: Model, { recipe, seed }: ForgettingOptions): Model {
  const [task] = architectureFields(recipe).tasks.slice(-1);
  const blocks = base.arch.moe?.blocks ?? [];
  const pack = grow(base, { name: 'added', task, experts: 2, blocks }, new Rng(seed + 5));
  const grown = attachPack(base, pack);
  return { arch: grown.arch, weights: new Map(grown.weights) };
}

async function add(
  options: ForgettingOptions,
  way: Way,
  model: Model,
  before: Scores,
): Promise<ForgettingRun['found'][number]> {
  const { seed, steps, materials, threads } = options;
  const last = options.recipe.tasks.length - 1;
  const tasks = options.recipe.tasks.map((task, i) => ({
    ...task,
    rows: i === last ? (task.rows ?? 8) : 0,
  }));
  const recipe = { ...options.recipe, tasks };
  const plan: TrainingPlan = { ...options.plan, steps, validateEvery: steps, saveEvery: steps };
  const { arch } = model;
  const trains = way === 'pack' ? { trains: packTrains('added') } : {};
  const objective = await Supervised.open({ recipe, plan, arch, materials, threads, ...trains });
  try {
    const { weights } = await learn(objective, options, `added-${way}`, plan, () =>
      transfer(arch, model.weights, new Rng(seed + 6), () => true),
    );
    const scores = scoresOf(
      await judgeBoth((side, only) => objective.judge(weights, side, all, only)),
    );
    const names = Object.keys(before);
    const pair = (name: string) => ({
      before: before[name].balancedAccuracy,
      after: scores[name]?.balancedAccuracy ?? Number.NaN,
    });
    return {
      way,
      old: Object.fromEntries(names.map((name) => [name, pair(name)])),
      added: scores[tasks[last].name]?.balancedAccuracy ?? Number.NaN,
    };
  } finally {
    await objective.close();
  }
}
