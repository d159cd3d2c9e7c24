/** All variants over all seeds; finished runs are kept, so that a killed ablation goes on. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { EegError } from '../../core/errors.js';
import { loadCheckpoint } from '../../model/checkpoint.js';
import { gather, setsOf } from '../material.js';
import { type LoadedRecipe, withSteps } from '../recipe.js';
import { RunFolder } from '../run-folder.js';
import { type ForgettingRun, forgettingRun } from './forgetting.js';
import { type AblationReport, ablationMarkdown } from './report.js';
import { ablationHtml, ablationPlots } from './report-plots.js';
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
  const { recipe } = withSteps(options.loaded, options.steps);
  const { training: plan, upcycle } = recipe;
  if (plan === undefined || recipe.tasks.length === 0)
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
  const materials = await gather(options.loaded, { store: options.store, sets: setsOf(recipe) });
  const facts = {
    recipe: createHash('sha256').update(JSON.stringify(recipe)).digest('hex'),
    from: dense.manifest.weights.sha256,
    forgetting: options.forgettingSteps,
  };
  await new RunFolder(options.out).open(facts);
  const common = {
    recipe,
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
  const frame = { steps: plan.steps, seeds, tasks, moe: { blocks, experts, topK } };
  for (const seed of seeds)
    for (const name of names) {
      const file = join(options.out, `${name}-${seed}.json`);
      options.onRun?.(await once(file, () => runVariant(name, { ...common, seed })));
      // After each run: what an hour has shown is there to be read before the last one ends.
      report(options.out, frame);
    }
  for (const seed of options.forgettingSteps > 0 && recipe.tasks.length > 1 ? seeds : []) {
    const one = { ...common, seed, steps: options.forgettingSteps };
    await once(join(options.out, `forgetting-${seed}.json`), () => forgettingRun(one));
  }
  return report(options.out, frame);
}

/** A run that is done is read, not done again. */
async function once<T>(file: string, run: () => Promise<T>): Promise<T> {
  const known = doneIn<T>(file);
  if (known !== undefined) return known;
  const result = await run();
  writeFileSync(`${file}.new`, JSON.stringify(result));
  renameSync(`${file}.new`, file);
  return result;
}

function doneIn<T>(file: string): T | undefined {
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as T) : undefined;
}

/** Of every run there is in the folder, whichever command made it. */
function report(out: string, frame: Omit<AblationReport, 'runs' | 'forgetting'>): AblationReport {
  const { seeds } = frame;
  const names = Object.keys(variants) as VariantName[];
  const runs = seeds.flatMap((seed) =>
    names.flatMap((name) => doneIn<VariantRun>(join(out, `${name}-${seed}.json`)) ?? []),
  );
  const forgetting = seeds.flatMap(
    (seed) => doneIn<ForgettingRun>(join(out, `forgetting-${seed}.json`)) ?? [],
  );
  const found: AblationReport = { ...frame, runs, forgetting };
  writeFileSync(join(out, 'report.json'), `${JSON.stringify(found, null, 1)}\n`);
  writeFileSync(join(out, 'report.md'), ablationMarkdown(found));
  const plots = ablationPlots(found, join(out, 'runs'));
  writeFileSync(join(out, 'report.html'), ablationHtml(found, plots));
  mkdirSync(join(out, 'plots'), { recursive: true });
  for (const { name, svg } of plots) writeFileSync(join(out, 'plots', `${name}.svg`), svg);
  return found;
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
