/** All variants over all seeds; finished runs are kept, so that a killed ablation goes on. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { EegError } from '../../core/errors.js';
import { loadCheckpoint } from '../../model/checkpoint.js';
import { gather, setsOf } from '../material.js';
import type { LoadedRecipe } from '../recipe.js';
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
  mkdirSync(options.out, { recursive: true });
  const runs: VariantRun[] = [];
  const seeds = Array.from({ length: options.seeds }, (_, i) => recipe.seed + i);
  for (const seed of seeds)
    for (const name of names) {
      const done = join(options.out, `${name}-${seed}.json`);
      const run = existsSync(done)
        ? (JSON.parse(readFileSync(done, 'utf8')) as VariantRun)
        : await runVariant(name, {
            recipe: { ...recipe, training: plan },
            plan,
            upcycling,
            arch: dense.arch,
            weights: dense.weights,
            materials,
            seed,
            folder: join(options.out, 'runs'),
            threads: options.threads,
            forgettingSteps: options.forgettingSteps,
            ...(options.onProgress === undefined ? {} : { onProgress: options.onProgress }),
          });
      writeFileSync(done, JSON.stringify(run));
      runs.push(run);
      options.onRun?.(run);
    }
  const tasks = recipe.tasks.map(({ name, classes }) => ({ name, classes }));
  const { blocks, experts } = upcycling;
  const report = { steps, seeds, tasks, moe: { blocks, experts }, runs };
  writeFileSync(join(options.out, 'report.json'), `${JSON.stringify(report, null, 1)}\n`);
  writeFileSync(join(options.out, 'report.md'), ablationMarkdown(report));
  writeFileSync(join(options.out, 'report.html'), ablationHtml(report, join(options.out, 'runs')));
  return report;
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
