/** Runs one stage of training with its progress. Loaded by pretrain, upcycle and finetune. */
import type { Progress } from '../training/loop.js';
import { defaultStore } from '../training/material.js';
import { loadRecipe, withSteps } from '../training/recipe.js';
import type { StageOptions, StageResult } from '../training/stages.js';
import {
  clockTime,
  ProgressWriter,
  type StageFlags,
  threadsOf,
  untilInterrupted,
  wholeNumber,
} from './training-run.js';

export async function runStage(
  stage: (options: StageOptions) => Promise<StageResult>,
  recipe: string,
  flags: StageFlags,
): Promise<void> {
  const out = new ProgressWriter();
  const result = await stage({
    loaded: withSteps(loadRecipe(recipe, flags.data), stepsOf(flags)),
    out: flags.out,
    store: flags.store ?? defaultStore(),
    threads: threadsOf(flags),
    from: flags.from,
    signal: untilInterrupted(),
    onRecording: (progress) => {
      const { done, total, name, made } = progress;
      if (made) out.write(`prepared ${done}/${total} ${name}`, { kind: 'prepared', ...progress });
    },
    onProgress: (progress) => {
      const record = { kind: 'step', ...progress };
      if (progress.validation === undefined) out.write(stepLine(progress), record);
      else out.keep(`${stepLine(progress)}  ${figures(progress.validation.figures)}`, record);
    },
  });
  if (!result.finished)
    out.keep('stopped; the same command goes on from here', { kind: 'stopped', out: flags.out });
  else
    out.keep(`checkpoint: ${result.checkpoint}`, {
      kind: 'finished',
      checkpoint: result.checkpoint,
      ...(result.result === undefined
        ? {}
        : { bestStep: result.result.bestStep, seconds: result.result.seconds }),
    });
}

function stepsOf({ steps }: StageFlags): number | undefined {
  return steps === undefined ? undefined : wholeNumber('--steps', steps, 1);
}

/** Step, loss of each task, speed, the busiest and the idlest expert, time left. */
export function stepLine(progress: Progress): string {
  const load = progress.experts?.flat() ?? [];
  const experts =
    load.length === 0
      ? ''
      : `  experts ${(100 * Math.min(...load)).toFixed(0)}-${(100 * Math.max(...load)).toFixed(0)}%`;
  return (
    `${progress.step}/${progress.steps}  loss ${progress.loss.toFixed(3)}  ` +
    `${figures(progress.figures)}  ${progress.windowsPerS.toFixed(1)} windows/s${experts}  ` +
    `${clockTime(progress.etaS)} left`
  );
}

function figures(values: Readonly<Record<string, number>>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name.replace('loss.', '')} ${value.toFixed(3)}`)
    .join(' ');
}
