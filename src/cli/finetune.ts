/** `eegd finetune RECIPE`: learn all tasks of a recipe together. */
import { type Command, Option } from 'commander';
import { type EngineKind, engineKinds } from '../engine/worker-protocol.js';
import { type LearningFlags, learningFlags } from './training-run.js';

export function define(command: Command): void {
  learningFlags(command)
    .addOption(
      new Option('--engine <name>', 'what computes gradients; tfjs* is a slow second opinion')
        .choices([...engineKinds])
        .default('onnx'),
    )
    .addHelpText(
      'after',
      `
Example:
  eegd finetune models/recipes/finetune.yaml --from runs/upcycle --out runs/finetune

A run that was interrupted or killed goes on from its last saved step with the same command.`,
    )
    .action(async (recipe: string, flags: LearningFlags & { engine: EngineKind }) => {
      const { runStage } = await import('./training-stage.js');
      const { finetune } = await import('../training/stages.js');
      const { engine, device } = flags;
      await runStage((options) => finetune({ ...options, engine, device }), recipe, flags);
    });
}
