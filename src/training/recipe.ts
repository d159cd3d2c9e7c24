/** Reading a recipe and finding the recordings it names, each on its side of the split. */
import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parse } from 'yaml';
import { EegError } from '../core/errors.js';
import { Rng } from '../core/rng.js';
import { scanBids } from './datasets/bids.js';
import { scanChbMit } from './datasets/chb-mit.js';
import type { RecordingRef } from './datasets/dataset.js';
import { scanBciIv, scanEegmmidb } from './datasets/motor-imagery.js';
import { scanSleepEdf } from './datasets/sleep-edf.js';
import { scanXdf } from './datasets/xdf-markers.js';
import { type Recipe, type RecipeSet, recipeSchema, type TrainingPlan } from './recipe-schema.js';
import type { Background } from './sleep/awake.js';
import { hashSeed, scanGenerated } from './sleep/generated-set.js';
import { assignSides, matches, refuseSharedFiles, type Side } from './split.js';

export interface PlacedRecording extends RecordingRef {
  readonly side: Side;
  /** Factor the stream is amplified by before it enters the signal path. */
  readonly gain: number;
}

export interface LoadedRecipe {
  readonly recipe: Recipe;
  readonly path: string;
  readonly dataRoot: string;
}

/** @throws EEG_CONFIG_UNREADABLE, EEG_CONFIG_INVALID with every fault in one line. */
export function loadRecipe(path: string, dataRoot?: string): LoadedRecipe {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new EegError('EEG_CONFIG_UNREADABLE', `cannot read the recipe ${path}`, { cause });
  }
  const recipe = parseRecipe(text, path);
  const root = dataRoot ?? process.env.EEGD_DATA ?? resolve(dirname(path), recipe.data);
  return { recipe, path: resolve(path), dataRoot: resolve(root) };
}

/** The recipe with another number of steps; warm-up, validation and saving keep within them. */
export function withSteps(loaded: LoadedRecipe, steps: number | undefined): LoadedRecipe {
  const { training } = loaded.recipe;
  if (steps === undefined || training === undefined) return loaded;
  const shorter: TrainingPlan = {
    ...training,
    steps,
    warmupSteps: Math.min(training.warmupSteps, Math.ceil(steps / 5)),
    validateEvery: Math.min(training.validateEvery, Math.max(1, Math.floor(steps / 4))),
  };
  return { ...loaded, recipe: { ...loaded.recipe, training: shorter } };
}

export function parseRecipe(text: string, where: string): Recipe {
  let plain: unknown;
  try {
    plain = parse(text);
  } catch (cause) {
    const line = cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : '';
    throw new EegError('EEG_CONFIG_INVALID', `${where} is no YAML: ${line}`, { cause });
  }
  const result = recipeSchema.safeParse(plain);
  if (result.success) return result.data;
  const faults = result.error.issues.map(
    (issue) => `${issue.path.join('.') || 'the recipe'}: ${issue.message}`,
  );
  throw new EegError('EEG_CONFIG_INVALID', `${where}: ${faults.join('; ')}`);
}

/**
 * Scan the sets and put every recording on its side. `sets` limits it to these.
 * @throws EEG_DATA_LEAKAGE, EEG_DATA_INVALID, EEG_FILE_NOT_FOUND.
 */
export async function findRecordings(
  loaded: LoadedRecipe,
  sets: readonly string[] = Object.keys(loaded.recipe.sets),
): Promise<PlacedRecording[]> {
  const { recipe } = loaded;
  const done = new Map<string, PlacedRecording[]>();
  const visit = async (name: string): Promise<PlacedRecording[]> => {
    const known = done.get(name);
    if (known !== undefined) return known;
    const set = recipe.sets[name];
    const textures: PlacedRecording[] = [];
    for (const other of set.generator?.backgrounds ?? [])
      if (other !== name) textures.push(...(await visit(other)));
    const found = await scanSet(loaded, name, set, textures);
    const placed = found.map((ref) => ({ ...ref, gain: gainOf(recipe.seed, set, ref) }));
    done.set(name, placed);
    return placed;
  };
  const all: PlacedRecording[] = [];
  for (const name of sets) all.push(...(await visit(name)));
  refuseSharedFiles(all);
  checkLabels(recipe, done);
  return all;
}

async function scanSet(
  loaded: LoadedRecipe,
  name: string,
  set: RecipeSet,
  textures: readonly PlacedRecording[],
): Promise<(RecordingRef & { side: Side })[]> {
  const options = { set: name, root: join(loaded.dataRoot, set.path) };
  let refs: RecordingRef[];
  switch (set.layout) {
    case 'bids':
      refs = scanBids({
        ...options,
        ...(set.labelColumn === undefined ? {} : { labelColumn: set.labelColumn }),
      });
      break;
    case 'sleep-edf':
      refs = await scanSleepEdf({
        ...options,
        ...(set.wakeAroundS === undefined ? {} : { wakeAroundS: set.wakeAroundS }),
      });
      break;
    case 'chb-mit':
      refs = await scanChbMit(options);
      break;
    case 'eegmmidb':
      refs = await scanEegmmidb(options);
      break;
    case 'bci-iv':
      refs = await scanBciIv(options);
      break;
    case 'xdf':
      refs = await scanXdf({
        ...options,
        ...(set.markerS === undefined ? {} : { markerS: set.markerS }),
      });
      break;
    case 'sleep-powers':
      refs = scanNights(loaded, options, set, textures);
      break;
  }
  const { include } = set;
  const kept =
    include === undefined
      ? refs
      : refs.filter((ref) => matches(include, ref.id) || matches(include, ref.subject));
  if (kept.length === 0)
    throw new EegError('EEG_DATA_INVALID', `set ${name}: include leaves no recording`);
  const streams = set.spansAsStreams ? kept.flatMap(oneStreamASpan) : kept;
  return assignSides(name, streams, set.split);
}

/** Generated nights take the texture of real recordings from their own side of the split only. */
function scanNights(
  loaded: LoadedRecipe,
  options: { set: string; root: string },
  set: RecipeSet,
  textures: readonly PlacedRecording[],
): RecordingRef[] {
  const { generator } = set;
  if (generator === undefined) return [];
  const scan = (backgroundsOf: (subject: string) => Background[]): RecordingRef[] =>
    scanGenerated({
      ...options,
      seed: loaded.recipe.seed,
      excerptsPerNight: generator.excerptsPerNight,
      minutes: generator.minutes,
      spread: generator.spread,
      coupling: generator.coupling,
      backgroundsOf,
    });
  const sides = new Map(
    assignSides(
      options.set,
      scan(() => []),
      set.split,
    ).map((ref) => [ref.subject, ref.side]),
  );
  return scan((subject) =>
    textures.flatMap((ref) =>
      ref.path !== undefined && ref.side === sides.get(subject)
        ? [{ set: ref.set, path: ref.path }]
        : [],
    ),
  );
}

/** Log-uniform in the set's range, drawn by the stream's name: the same in every run. */
function gainOf(seed: number, set: RecipeSet, ref: RecordingRef): number {
  if (set.gain === undefined) return 1;
  const [low, high] = set.gain;
  const rng = new Rng(hashSeed(`${seed}/${ref.set}/${ref.id}/gain`));
  return low * (high / low) ** rng.uniform();
}

function oneStreamASpan(ref: RecordingRef): RecordingRef[] {
  return ref.spans.map((span, i) => ({
    ...ref,
    id: `${ref.id}#${i}`,
    range: { startS: span.startS, endS: span.endS },
    spans: [{ startS: 0, endS: span.endS - span.startS, label: span.label }],
  }));
}

/** Every label a recipe maps must occur in its set: a misspelt one would silently train nothing. */
function checkLabels(recipe: Recipe, scanned: ReadonlyMap<string, readonly RecordingRef[]>): void {
  const faults: string[] = [];
  for (const task of recipe.tasks)
    for (const source of task.sources) {
      const refs = scanned.get(source.set);
      if (refs === undefined) continue;
      const there = new Set(refs.flatMap((ref) => ref.spans.map((span) => span.label)));
      for (const label of Object.keys(source.labels))
        if (label !== '*' && !there.has(label))
          faults.push(
            `task ${task.name}: set ${source.set} has no label ${label}, ` +
              `it has ${[...there].sort().join(', ') || 'none'}`,
          );
    }
  if (faults.length > 0) throw new EegError('EEG_DATA_INVALID', faults.join('; '));
}
