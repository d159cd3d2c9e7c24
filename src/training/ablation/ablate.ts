/** All variants over all seeds; finished runs are kept, so that a killed ablation goes on. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { EegError } from '../../core/errors.js';
import { loadCheckpoint } from '../../model/checkpoint.js';
import { gather, setsOf } from '../material.js';
import type { LoadedRecipe } from '../recipe.js';
import { RunFolder } from '../run-folder.js';
import { type ForgettingRun, forgettingRun } from './forgetting.js';
import { type AblationReport, ablationHtml, ablationMarkdown } from './report.js';
import { runVariant, type VariantName, type VariantRun, variants } from './variants.js';

export interface AblateOptions {
  readonly loaded: LoadedRecipe;
  readonly out: string;
  readonly store: string;
  readonly threads: number;
  /** Pretrained dense checkpoint. */
  readonly from: string;
  readonly seeds: number;
  /** Instead of the recipe's. */
  readonly steps?: number | undefined;
  readonly only?: readonly string[] | undefined;
  /** Steps of learning a task that is added later; 0 = not measured. */
  readonly forgettingSteps: number;
  onProgress?(variant: string, step: number, loss: number): void;
  onRun?(run: VariantRun): void;
}

export async function ablate(options: AblateOptions): Promise<AblationReport> {
  const { recipe } = options.loaded;
  const { training, upcycle } = recipe;
  if (training === undefined || recipe.tasks.length === 0)
    throw new EegError('EEG_CONFIG_INVALID', `${recipe.name}: expected tasks and training`);
  const names = variantNames(options.only);
  const dense = await loadCheckpoint(options.from);
  if (dense.arch.moe !== null)
    throw new EegError('EEG_MODEL_INVALID', `${dense.id} is a mixture; expected a dense one`);
  const last = dense.arch.taskBlocks - 1;
  const upcycling = upcycle ?? {
    blocks: last > 0 ? [last - 1, last] : [last],
    experts: 8,
    topK: 2,
    taskAware: true,
    reinitialised: 0,
  };
  const steps = options.steps ?? training.steps;
  const plan = {
    ...training,
    steps,
    warmupSteps: Math.min(training.warmupSteps, Math.ceil(steps / 5)),
    validateEvery: Math.min(training.validateEvery, Math.max(1, Math.floor(steps / 4))),
  };
  const materials = await gather(options.loaded, { store: options.store, sets: setsOf(recipe) });
  const own = { ...recipe, training: plan };
  const facts = {
    recipe: createHash('sha256').update(JSON.stringify(own)).digest('hex'),
    from: dense.manifest.weights.sha256,
    forgetting: options.forgettingSteps,
  };
  await new RunFolder(options.out).open(facts);
  const common = {
    recipe: own,
    plan,
    upcycling,
    arch: dense.arch,
    weights: dense.weights,
    materials,
    folder: join(options.out, 'runs'),
    facts,
    threads: options.threads,
    ...(options.onProgress === undefined ? {} : { onProgress: options.onProgress }),
  };
  const seeds = Array.from({ length: options.seeds }, (_, i) => recipe.seed + i);
  const tasks = recipe.tasks.map(({ name, classes }) => ({ name, classes }));
  const { blocks, experts, topK } = upcycling;
  const runs: VariantRun[] = [];
  const forgetting: ForgettingRun[] = [];
  const moe = { blocks, experts, topK };
  const report: AblationReport = { steps, seeds, tasks, moe, runs, forgetting };
  for (const seed of seeds)
    for (const name of names) {
      const file = join(options.out, `${name}-${seed}.json`);
      const run = await once(file, () => runVariant(name, { ...common, seed }));
      runs.push(run);
      options.onRun?.(run);
      // After each run: what an hour has shown is there to be read before the last one ends.
      writeReport(options.out, report);
    }
  for (const seed of options.forgettingSteps > 0 && recipe.tasks.length > 1 ? seeds : []) {
    const file = join(options.out, `forgetting-${seed}.json`);
    const one = { ...common, seed, steps: options.forgettingSteps };
    forgetting.push(await once(file, () => forgettingRun(one)));
    writeReport(options.out, report);
  }
  return report;
}

/** A run that is done is read, not done again. */
async function once<T>(file: string, run: () => Promise<T>): Promise<T> {
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')) as T;
  const result = await run();
  writeFileSync(`${file}.new`, JSON.stringify(result));
  renameSync(`${file}.new`, file);
  return result;
}

function writeReport(out: string, report: AblationReport): void {
  writeFileSync(join(out, 'report.json'), `${JSON.stringify(report, null, 1)}\n`);
  writeFileSync(join(out, 'report.md'), ablationMarkdown(report));
  writeFileSync(join(out, 'report.html'), ablationHtml(report, join(out, 'runs')));
}

function variantNames(only: readonly string[] | undefined): VariantName[] {
  const all = Object.keys(variants) as VariantName[];
  if (only === undefined) return all;
  const unknown = only.filter((name) => !all.some((known) => known === name));
  if (unknown.length > 0)
    throw new EegError(
      'EEG_USAGE',
      `no variant ${unknown.join(', ')}; there are ${all.join(', ')}`,
    );
  return all.filter((name) => only.includes(name));
}
