/** `eegd pretrain RECIPE`: masked autoencoding of a dense model on unlabelled recordings. */
import type { Command } from 'commander';
import { type LearningFlags, learningFlags } from './training-run.js';

export function define(command: Command): void {
  learningFlags(command)
    .addHelpText(
      'after',
      `
Example:
  eegd pretrain models/recipes/pretrain.yaml --data ../shared/data --out runs/pretrain

A run that was interrupted or killed goes on from its last saved step with the same command.`,
    )
    .action(async (recipe: string, flags: LearningFlags) => {
      const { runStage } = await import('./training-stage.js');
      const { pretrain } = await import('../training/stages.js');
      const { device } = flags;
      await runStage((options) => pretrain({ ...options, device }), recipe, flags);
    });
}
