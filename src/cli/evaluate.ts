/** `eegd evaluate RECIPE`: a checkpoint's figures on the people it did not learn from. */
import type { Command } from 'commander';
import { EegError } from '../core/errors.js';
import type { FoldOptions } from '../training/folds.js';
import { dataFlags, type RunFlags, threadsOf } from './training-run.js';

interface EvaluateFlags extends RunFlags {
  readonly checkpoint: string;
  readonly side: string;
  readonly json?: boolean;
  readonly controls?: boolean;
  readonly robustness?: boolean;
  readonly folds?: boolean;
  readonly task?: string[];
  readonly alarms: boolean;
}

export function define(command: Command): void {
  dataFlags(command)
    .requiredOption('--checkpoint <folder>', 'checkpoint to judge')
    .option('--side <side>', 'test, validation or train', 'test')
    .option('--task <names...>', 'only these tasks')
    .option('--controls', 'the classical controls too')
    .option('--robustness', 'with electrodes missing, other gains, rates, mains and references')
    .option(
      '--folds',
      "only the recipe's folds: learn anew from this checkpoint, leaving groups out",
    )
    .option('--no-alarms', 'leave out events (they look at every hop)')
    .option('--json', 'one JSON document')
    .addHelpText(
      'after',
      `
Examples:
  eegd evaluate models/recipes/finetune.yaml --checkpoint models/base
  eegd evaluate models/recipes/finetune.yaml --checkpoint runs/finetune/checkpoint --controls`,
    )
    .action(run);
}

async function runFolds(
  flags: EvaluateFlags,
  given: Pick<FoldOptions, 'recipe' | 'checkpoint' | 'materials'>,
): Promise<void> {
  const { crossValidate } = await import('../training/folds.js');
  const { foldsText } = await import('../training/folds-text.js');
  const plan = given.recipe.training;
  if (plan === undefined || given.recipe.folds.length === 0)
    throw new EegError(
      'EEG_USAGE',
      `--folds: ${given.recipe.name} needs sections folds and training`,
    );
  const reports = await crossValidate({
    ...given,
    plan,
    threads: threadsOf(flags),
    tasks: flags.task,
    onFold: (name) => process.stderr.isTTY && process.stderr.write(`\r${name}\x1b[K`),
  });
  process.stdout.write(flags.json === true ? `${JSON.stringify(reports)}\n` : foldsText(reports));
}

async function run(path: string, flags: EvaluateFlags): Promise<void> {
  const { sides } = await import('../training/split.js');
  const side = sides.find((one) => one === flags.side);
  if (side === undefined)
    throw new EegError('EEG_USAGE', `--side: expected ${sides.join(', ')}, came ${flags.side}`);
  const { loadCheckpoint } = await import('../model/checkpoint.js');
  const { defaultStore, gather, setsOf } = await import('../training/material.js');
  const { loadRecipe } = await import('../training/recipe.js');
  const { Predictor } = await import('../training/predictor.js');
  const { evaluate } = await import('../training/evaluate.js');
  const { evaluationText } = await import('../training/evaluation-text.js');
  const { controlReports } = await import('../training/control-reports.js');
  const loaded = loadRecipe(path, flags.data);
  const checkpoint = await loadCheckpoint(flags.checkpoint);
  const store = flags.store ?? defaultStore();
  const note = (text: string): boolean =>
    process.stderr.isTTY && process.stderr.write(`\r${text}\x1b[K`);
  const materials = await gather(loaded, {
    store,
    sets: setsOf(loaded.recipe),
    onRecording: ({ done, total, name }) => note(`prepared ${done}/${total} ${name}`),
  });
  if (flags.folds === true)
    return runFolds(flags, { recipe: loaded.recipe, checkpoint, materials });
  const predictor = await Predictor.open(checkpoint.arch, checkpoint.weights, threadsOf(flags));
  const options = { checkpoint, predictor, recipe: loaded.recipe, materials, side };
  const evaluation = await evaluate({
    ...options,
    alarms: flags.alarms,
    tasks: flags.task,
    onSet: note,
  });
  const { robustness } = await import('../training/robustness.js');
  const changed =
    flags.robustness === true
      ? await robustness({ ...options, tasks: flags.task, store, onChange: note })
      : {};
  await predictor.close();
  note('');
  const controls = flags.controls === true ? controlReports(options, flags.task) : {};
  if (flags.json === true) {
    process.stdout.write(`${JSON.stringify({ ...evaluation, controls, robustness: changed })}\n`);
    return;
  }
  process.stdout.write(`${checkpoint.id} on ${side}\n\n${evaluationText(evaluation)}`);
  for (const [name, sets] of Object.entries(controls)) {
    const text = evaluationText({ ...evaluation, sets, alarms: [] }, false);
    process.stdout.write(`\nControl: ${name}\n\n${text}`);
  }
  for (const [name, other] of Object.entries(changed))
    process.stdout.write(`\nChanged: ${name}\n\n${evaluationText(other, false)}`);
}
