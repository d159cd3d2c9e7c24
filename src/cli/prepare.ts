/** `eegd prepare RECIPE`: every recording through the live signal path, once, to disk. */
import type { Command } from 'commander';
import { clockTime, dataFlags, ProgressWriter, type RunFlags } from './training-run.js';

export function define(command: Command): void {
  dataFlags(command)
    .option('--set <names...>', 'only these sets')
    .addHelpText(
      'after',
      `
Example:
  eegd prepare models/recipes/finetune.yaml --data ../shared/data

The other commands prepare what they need by themselves.`,
    )
    .action(prepare);
}

async function prepare(path: string, flags: RunFlags & { set?: string[] }): Promise<void> {
  const { defaultStore, gather } = await import('../training/material.js');
  const { loadRecipe } = await import('../training/recipe.js');
  const out = new ProgressWriter();
  const began = performance.now();
  let madeS = 0;
  const materials = await gather(loadRecipe(path, flags.data), {
    store: flags.store ?? defaultStore(),
    ...(flags.set === undefined ? {} : { sets: flags.set }),
    onRecording: (progress) => {
      madeS = progress.madeS;
      const { done, total, name } = progress;
      out.write(`${done}/${total} ${name}`, { kind: 'prepared', ...progress });
    },
  });
  const seconds = (performance.now() - began) / 1000;
  const signalS = materials.reduce((sum, { prepared }) => sum + prepared.samples / 200, 0);
  out.keep(
    `${materials.length} recordings, ${clockTime(signalS)} of signal, ${clockTime(madeS)} of it ` +
      `new, in ${seconds.toFixed(1)} s`,
    { kind: 'finished', recordings: materials.length, signalS, madeS, seconds },
  );
}
