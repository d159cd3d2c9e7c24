/** The recordings of a recipe, prepared and ready to be cut. */
import { homedir } from 'node:os';
import { join } from 'node:path';
import { prepareRecording } from './prepare.js';
import { PreparedRecording } from './prepared.js';
import { findRecordings, type LoadedRecipe } from './recipe.js';
import type { Material } from './windows.js';

export interface MaterialOptions {
  /** Folder of prepared recordings. */
  readonly store: string;
  /** Only these sets. */
  readonly sets?: readonly string[];
  onRecording?(progress: PrepareProgress): void;
}

export interface PrepareProgress {
  readonly done: number;
  readonly total: number;
  readonly name: string;
  readonly made: boolean;
  /** Seconds of signal prepared so far by this run. */
  readonly madeS: number;
}

export function defaultStore(): string {
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
  return process.env.EEGD_STORE ?? join(cache, 'eegd', 'prepared');
}

/** Prepares what is not prepared yet. */
export async function gather(loaded: LoadedRecipe, options: MaterialOptions): Promise<Material[]> {
  const refs = await findRecordings(loaded, options.sets);
  const out: Material[] = [];
  let madeS = 0;
  for (const [i, ref] of refs.entries()) {
    const { channels } = loaded.recipe.sets[ref.set];
    const { key, made, seconds } = await prepareRecording(ref, { folder: options.store, channels });
    if (made) madeS += seconds;
    out.push({ ref, prepared: new PreparedRecording(options.store, key) });
    const name = `${ref.set}/${ref.id}`;
    options.onRecording?.({ done: i + 1, total: refs.length, name, made, madeS });
  }
  return out;
}

/** Sets that a stage looks at: of its tasks, and of its masked part. */
export function setsOf(recipe: LoadedRecipe['recipe']): string[] {
  const names = new Set(recipe.masked?.sets ?? []);
  for (const task of recipe.tasks) for (const source of task.sources) names.add(source.set);
  return [...names];
}
