/** `eegd ablate RECIPE`: does the mixture of experts earn its place? Six variants, some seeds. */
import type { Command } from 'commander';
import {
  dataFlags,
  ProgressWriter,
  type RunFlags,
  threadsOf,
  wholeNumber,
} from './training-run.js';

interface AblateFlags extends RunFlags {
  readonly out: string;
  readonly from: string;
  readonly seeds: string;
  readonly steps?: string;
  readonly variants?: string[];
  readonly forgetting: string;
}

export function define(command: Command): void {
  dataFlags(command)
    .requiredOption('-o, --out <folder>', 'report and runs; one that is there is gone on with')
    .requiredOption('--from <folder>', 'pretrained dense checkpoint')
    .option('--seeds <n>', 'how many seeds', '3')
    .option('--steps <n>', "steps a variant, instead of the recipe's")
    .option('--variants <letters...>', 'only these: a b c d e f')
    .option('--forgetting <steps>', 'then learn the last task alone for so long', '0')
    .addHelpText(
      'after',
      `
Variants: a random start, b EEGNet a task, c one dense model a task, d dense on all tasks,
e mixture without and f with task-aware routing on all tasks.

Example:
  eegd ablate models/recipes/finetune.yaml --from runs/pretrain/checkpoint --out runs/ablation`,
    )
    .action(run);
}

async function run(path: string, flags: AblateFlags): Promise<void> {
  const { ablate } = await import('../training/ablation/ablate.js');
  const { ablationMarkdown } = await import('../training/ablation/report.js');
  const { defaultStore } = await import('../training/material.js');
  const { loadRecipe } = await import('../training/recipe.js');
  const out = new ProgressWriter();
  const report = await ablate({
    loaded: loadRecipe(path, flags.data),
    out: flags.out,
    from: flags.from,
    store: flags.store ?? defaultStore(),
    threads: threadsOf(flags),
    seeds: wholeNumber('--seeds', flags.seeds, 1),
    steps: flags.steps === undefined ? undefined : wholeNumber('--steps', flags.steps, 1),
    only: flags.variants,
    forgettingSteps: wholeNumber('--forgetting', flags.forgetting, 0),
    onProgress: (variant, step, loss) =>
      out.write(`${variant} ${step} ${loss.toFixed(3)}`, { kind: 'step', variant, step, loss }),
    onRun: ({ variant, seed, scores }) =>
      out.keep(
        `${variant} ${seed} ${Object.entries(scores)
          .map(([task, score]) => `${task} ${score.balancedAccuracy.toFixed(3)}`)
          .join(' ')}`,
        { kind: 'run', variant, seed, scores },
      ),
  });
  if (process.stdout.isTTY) process.stdout.write(`\n${ablationMarkdown(report)}`);
}
