/** `eegd finetune RECIPE`: learn all tasks of a recipe together. */
import type { Command } from 'commander';
import { type StageFlags, stageFlags } from './training-run.js';

export function define(command: Command): void {
  stageFlags(command)
    .addHelpText(
      'after',
      `
Example:
  eegd finetune models/recipes/finetune.yaml --from runs/upcycle --out runs/finetune

A run that was interrupted or killed goes on from its last saved step with the same command.`,
    )
    .action(async (recipe: string, flags: StageFlags) => {
      const { runStage } = await import('./training-stage.js');
      const { finetune } = await import('../training/stages.js');
      await runStage(finetune, recipe, flags);
    });
}
