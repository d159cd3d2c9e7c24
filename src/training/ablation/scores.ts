/** What a variant is judged by: figures of each task, and the time of one window. */
import type { Architecture } from '../../model/architecture.js';
import type { Weights } from '../../model/parameters.js';
import { figuresOf, type Judged, judgedWindows } from '../judge.js';
import type { LoopResult } from '../loop.js';
import { meanOf } from '../metrics.js';
import { Predictor } from '../predictor.js';
import type { Recipe } from '../recipe-schema.js';
import type { Material, TaskWindow } from '../windows.js';

export interface TaskScore {
  /** Test, or validation where the task has no people left for a test. */
  readonly side: 'test' | 'validation';
  readonly windows: number;
  readonly balancedAccuracy: number;
  readonly kappa: number;
  readonly macroF1: number;
  readonly auroc: number;
  readonly confusion: readonly (readonly number[])[];
}

export const all = Number.POSITIVE_INFINITY;

export interface Found {
  readonly side: 'test' | 'validation';
  readonly judged: Judged;
}

/** Each task on its test side, or where it has none, on validation. */
export async function judgeBoth(
  judge: (side: 'test' | 'validation', only?: readonly string[]) => Promise<readonly Judged[]>,
): Promise<Found[]> {
  const test = await judge('test');
  const missing = test.filter(({ cases }) => cases.length === 0).map(({ task }) => task);
  const others = missing.length === 0 ? [] : await judge('validation', missing);
  return test.map((judged) => {
    const other = others.find(({ task }) => task === judged.task);
    return other === undefined ? { side: 'test', judged } : { side: 'validation', judged: other };
  });
}

export function scoresOf(found: readonly Found[]): Record<string, TaskScore> {
  return Object.fromEntries(
    found
      .filter(({ judged }) => judged.cases.length > 0)
      .map(({ side, judged: { task, classes, cases } }) => {
        const figures = figuresOf(cases, classes.length);
        const { windows, balancedAccuracy, kappa, macroF1, auroc, confusion } = figures;
        return [task, { side, windows, balancedAccuracy, kappa, macroF1, auroc, confusion }];
      }),
  );
}

export function validationOf({ best }: LoopResult): Record<string, number> {
  const ending = '.balancedAccuracy';
  return Object.fromEntries(
    Object.entries(best.figures)
      .filter(([name]) => name.endsWith(ending))
      .map(([name, value]) => [name.slice(0, -ending.length), value]),
  );
}

export interface TimeOptions {
  readonly recipe: Recipe;
  readonly materials: readonly Material[];
  readonly threads: number;
}

/** A window of the task from validation. */
export function someWindow(
  { recipe, materials }: TimeOptions,
  task: number,
): TaskWindow | undefined {
  const own = materials.filter(({ ref }) => ref.side === 'validation');
  const judged = judgedWindows(task, recipe.tasks[task], own, { limit: 1 });
  return judged.flatMap(({ windows }) => windows).at(-1);
}

/** The mean over tasks of one window's time, from its samples to its logits. */
export async function windowTime(
  { recipe, materials, threads }: TimeOptions,
  arch: Architecture,
  weights: Weights,
): Promise<number> {
  const predictor = await Predictor.open(arch, weights, threads);
  const times: number[] = [];
  for (const [i] of recipe.tasks.entries()) {
    const window = someWindow({ recipe, materials, threads }, i);
    if (window === undefined) continue;
    times.push(await bestOf(() => predictor.predict(window.material.prepared, i, [window])));
  }
  await predictor.close();
  return meanOf(times);
}

/** Milliseconds. The least of some runs: what the machine does beside is not the model's. */
export async function bestOf(run: () => Promise<unknown>): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 12; i++) {
    const started = performance.now();
    await run();
    best = Math.min(best, performance.now() - started);
  }
  return best;
}
