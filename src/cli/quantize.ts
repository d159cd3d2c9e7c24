/** `eegd checkpoints quantize`: an int8 copy of a checkpoint, refused where a task suffers. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EegError } from '../core/errors.js';
import type { CheckpointStore, StoredCheckpoint } from '../daemon/checkpoint-store.js';
import type { Checkpoint } from '../model/checkpoint.js';
import type { Int8Cost } from '../training/quantize.js';
import { type RunFlags, threadsOf } from './training-run.js';

export interface QuantizeFlags extends RunFlags {
  readonly recipe: string;
  readonly force?: boolean;
  readonly json?: boolean;
}

/** Measures, refuses or publishes `name@release-int8`. */
export async function quantize(
  store: CheckpointStore,
  id: string,
  flags: QuantizeFlags,
): Promise<StoredCheckpoint> {
  const { loadCheckpoint } = await import('../model/checkpoint.js');
  const { int8Costs } = await import('../training/quantize.js');
  const { defaultStore, gather, setsOf } = await import('../training/material.js');
  const { loadRecipe } = await import('../training/recipe.js');
  const checkpoint = await loadCheckpoint((await store.find(id)).folder);
  if (checkpoint.arithmetic === 'int8')
    throw new EegError('EEG_USAGE', `expected a checkpoint in float32, ${id} is in int8 already`);
  const loaded = loadRecipe(flags.recipe, flags.data);
  const note = (text: string): boolean =>
    process.stderr.isTTY && process.stderr.write(`\r${text}\x1b[K`);
  const materials = await gather(loaded, {
    store: flags.store ?? defaultStore(),
    sets: setsOf(loaded.recipe),
    onRecording: ({ done, total, name }) => note(`prepared ${done}/${total} ${name}`),
  });
  const { recipe } = loaded;
  const options = { recipe, materials, threads: threadsOf(flags), onSet: note };
  const costs = await int8Costs(checkpoint, options);
  note('');
  if (flags.json !== true) process.stdout.write(costText(costs));
  const forced = await refuse(checkpoint, costs, flags.force === true);
  return publish(store, checkpoint, costs, forced);
}

function costText(costs: readonly Int8Cost[]): string {
  const lines = costs.map(({ task, set, float32, int8, pointsLost }) =>
    [
      `${task} on ${set}`.padEnd(36),
      `${(100 * float32).toFixed(2)} -> ${(100 * int8).toFixed(2)} % balanced accuracy`,
      `(${(-pointsLost).toFixed(2)})`,
    ].join(' '),
  );
  return `${lines.join('\n')}\n`;
}

/** Rejects where int8 is not good enough and was not forced; else whether it was forced. */
export async function refuse(
  { id, arch }: Pick<Checkpoint, 'id' | 'arch'>,
  costs: readonly Int8Cost[],
  force: boolean,
): Promise<boolean> {
  const { pointsLostMax } = await import('../training/quantize.js');
  const worse = costs
    .filter(({ pointsLost }) => !(pointsLost <= pointsLostMax))
    .map((one) => `${one.task} on ${one.set} loses ${one.pointsLost.toFixed(2)}`);
  const measured = new Set(costs.map(({ task }) => task));
  const missing = arch.tasks
    .filter(({ name }) => !measured.has(name))
    .map(({ name }) => `${name} has no validation data in the recipe`);
  const reasons = [...worse, ...missing];
  if (reasons.length === 0) return false;
  if (force) return true;
  const expected = `expected at most ${pointsLostMax} points of balanced accuracy lost in each task`;
  throw new EegError('EEG_MODEL_INVALID', `${expected} of ${id}: ${reasons.join('; ')}`, {
    hint: 'keep float32, or --force, which is written into the manifest',
  });
}

async function publish(
  store: CheckpointStore,
  { manifest, arch, weights }: Checkpoint,
  costs: readonly Int8Cost[],
  forced: boolean,
): Promise<StoredCheckpoint> {
  const { saveCheckpoint } = await import('../model/checkpoint.js');
  const folder = join(await mkdtemp(join(tmpdir(), 'eegd-int8-')), 'int8');
  const { name, release, trained, data, metrics, golden } = manifest;
  try {
    await saveCheckpoint(folder, {
      ...{ name, release: `${release}-int8`, trained, arch, weights },
      ...{ type: manifest.weights.type, arithmetic: 'int8', goldenSeed: golden.seed, data },
      metrics: { ...metrics, int8: { forced, validation: costs.map((one) => ({ ...one })) } },
    });
    return await store.add(folder);
  } finally {
    await rm(join(folder, '..'), { recursive: true, force: true });
  }
}
