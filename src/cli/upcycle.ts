/** `eegd upcycle RECIPE`: copy the FFNs of a dense checkpoint into experts. */
import type { Command } from 'commander';
import { type StageFlags, stageFlags } from './training-run.js';

export function define(command: Command): void {
  stageFlags(command)
    .addHelpText(
      'after',
      `
Example:
  eegd upcycle models/recipes/upcycle.yaml --from runs/pretrain --out runs/upcycle

A run that was interrupted or killed goes on from its last saved step with the same command.`,
    )
    .action(async (recipe: string, flags: StageFlags) => {
      const { runStage } = await import('./training-stage.js');
      const { upcycleStage } = await import('../training/stages.js');
      await runStage(upcycleStage, recipe, flags);
    });
}
