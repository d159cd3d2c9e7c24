/** The stages of a checkpoint: pretrain a dense model, upcycle it, fine-tune it on the tasks. */
import { createHash } from 'node:crypto';
import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { EegError } from '../core/errors.js';
import { Rng } from '../core/rng.js';
import type { EngineKind } from '../engine/worker-protocol.js';
import type { Device } from '../graph/session.js';
import type { Tensor } from '../graph/tensor.js';
import type { Architecture } from '../model/architecture.js';
import { type Checkpoint, loadCheckpoint, saveCheckpoint } from '../model/checkpoint.js';
import { withLocal } from '../model/local.js';
import { maeParameterSpecs } from '../model/mae.js';
import { startWeights, type Weights } from '../model/parameters.js';
import { initialWeights, parameterSpecs } from '../model/serving.js';
import { baseTasks } from '../model/tasks.js';
import { upcycle, upcycleState } from '../model/upcycle.js';
import { curvesHtml } from './curves.js';
import { calibrated, figuresOf } from './judge.js';
import { type LoopResult, type Progress, trainLoop } from './loop.js';
import { Masked } from './masked.js';
import { gather, type MaterialOptions, setsOf } from './material.js';
import type { LoadedRecipe } from './recipe.js';
import { addedShape, architectureFields, type Recipe, type TrainingPlan } from './recipe-schema.js';
import { RunFolder, versions } from './run-folder.js';
import { Supervised } from './supervised.js';
import { countTransitions, fitEvidence } from './transitions.js';

export interface StageOptions {
  readonly loaded: LoadedRecipe;
  /** Run folder. */
  readonly out: string;
  readonly store: string;
  readonly threads: number;
  /** What computes losses and gradients of `finetune`; ONNX Runtime where absent. */
  readonly engine?: EngineKind | undefined;
  /** Where the stages that learn compute; the CPU where absent. */
  readonly device?: Device | undefined;
  /** Checkpoint folder, or a run folder with one. */
  readonly from?: string | undefined;
  readonly onProgress?: (progress: Progress) => void;
  readonly onRecording?: MaterialOptions['onRecording'];
  readonly signal?: AbortSignal;
}

export interface StageResult {
  readonly checkpoint: string;
  readonly finished: boolean;
  readonly result?: LoopResult;
}

/** Masked autoencoding of the dense model. */
export async function pretrain(options: StageOptions): Promise<StageResult> {
  const { recipe } = options.loaded;
  const { masked } = recipe;
  const plan = planOf(recipe);
  if (masked === undefined) throw missing(options.loaded, 'masked');
  const tasks = recipe.tasks.length > 0 ? architectureFields(recipe).tasks : [...baseTasks];
  const arch: Architecture = { version: 1, ...recipe.model, moe: null, tasks };
  const materials = await gather(options.loaded, materialOptions(options, masked.sets));
  const objective = await Masked.open({
    recipe,
    plan,
    masked,
    arch,
    materials,
    threads: options.threads,
    device: options.device,
  });
  const rng = new Rng(recipe.seed);
  const result = await run(objective, options, plan, 'pretrain', () =>
    startWeights(maeParameterSpecs(arch), rng),
  );
  const weights = transfer(arch, result.weights, new Rng(recipe.seed + 1), () => true);
  const stage = { stage: 'pretrain', loss: -result.best.score };
  return publish(options, result, { arch, weights, trained: false, data: stage, metrics: {} });
}

/** Copies the FFNs of a dense checkpoint into experts. Takes no data. */
export async function upcycleStage(options: StageOptions): Promise<StageResult> {
  const { recipe } = options.loaded;
  const plan = recipe.upcycle;
  if (plan === undefined) throw missing(options.loaded, 'upcycle');
  const dense = await startingPoint(options);
  if (dense.arch.moe !== null)
    throw new EegError(
      'EEG_MODEL_INVALID',
      `${dense.id} is a mixture already; expected a dense one`,
    );
  const { reinitialised, optimiser, ...shape } = plan;
  if (shape.blocks.some((block) => block >= dense.arch.taskBlocks) || shape.topK > shape.experts)
    throw new EegError(
      'EEG_CONFIG_INVALID',
      `${options.loaded.path}: upcycle.blocks must be below ${dense.arch.taskBlocks}, ` +
        'and topK at most experts',
    );
  const grown = upcycle(
    dense.weights,
    dense.arch,
    { ...shape, dropUpcycling: reinitialised },
    new Rng(recipe.seed),
  );
  const checkpoint = join(options.out, 'checkpoint');
  if (optimiser === true)
    new RunFolder(options.out).handOn(upcycleState(await optimiserOf(options), grown.arch));
  await saveCheckpoint(checkpoint, {
    name: recipe.name,
    release: 'upcycled',
    trained: false,
    ...grown,
    type: 'F32',
    data: { stage: 'upcycle', from: dense.id },
  });
  return { checkpoint, finished: true };
}

/** Supervised learning of all tasks of the recipe, calibrated on validation. */
export async function finetune(options: StageOptions): Promise<StageResult> {
  const { recipe } = options.loaded;
  const plan = planOf(recipe);
  if (recipe.tasks.length === 0) throw missing(options.loaded, 'tasks');
  const start = options.from === undefined ? undefined : await startingPoint(options);
  const fields = architectureFields(recipe);
  const arch: Architecture =
    start === undefined
      ? fields
      : {
          ...start.arch,
          ...addedShape(recipe),
          tasks: fields.tasks,
          taskSlots: start.arch.taskSlots,
        };
  const materials = await gather(options.loaded, materialOptions(options, setsOf(recipe)));
  const trains = plan.frozenTrunk ? (name: string) => !name.startsWith('trunk.') : undefined;
  const objective = await Supervised.open({
    recipe,
    plan,
    arch,
    materials,
    threads: options.threads,
    engine: options.engine,
    device: options.device,
    ...(trains === undefined ? {} : { trains }),
  });
  try {
    // Heads and task rows belong to the recipe's tasks; what stood there for others is drawn anew.
    const goesOn = start?.trained === true && sameTasks(start.arch, arch);
    const keep = (name: string): boolean =>
      goesOn || !/^(heads\.|task\.(embedding|pool)$)/.test(name);
    const begin = () =>
      withLocal(
        arch,
        start?.arch,
        transfer(arch, start?.weights ?? new Map(), new Rng(recipe.seed + 2), keep),
      );
    const state = plan.keepOptimiser === true ? await optimiserOf(options) : undefined;
    const optimiser = state && stateThatFits(state, arch, keep);
    const result = await run(objective, options, plan, 'finetune', begin, optimiser);
    if (!result.finished) return { checkpoint: '', finished: false, result };
    // All windows: temperatures and the chain's weight are fitted on them.
    const judged = await objective.judge(result.weights, 'validation', Number.POSITIVE_INFINITY);
    const tasks = calibrated(arch.tasks, judged).map((task, i) => {
      const own = recipe.tasks[i];
      if (own.transitions === undefined) return task;
      const transitions = countTransitions(i, own, materials);
      const cases = judged.find((one) => one.task === task.name)?.cases ?? [];
      return fitEvidence({ ...task, transitions }, cases);
    });
    const figures = judged.map(({ task, cases, classes }) => {
      const temperature = tasks.find((one) => one.name === task)?.temperature ?? 1;
      const before = figuresOf(cases, classes.length);
      const after = figuresOf(cases, classes.length, temperature);
      return [
        task,
        {
          windows: before.windows,
          balancedAccuracy: before.balancedAccuracy,
          kappa: finite(before.kappa),
          auroc: finite(before.auroc),
          calibrationErrorBefore: before.calibrationError,
          calibrationErrorAfter: after.calibrationError,
        },
      ];
    });
    return await publish(options, result, {
      arch: { ...arch, tasks },
      weights: result.weights,
      trained: true,
      data: { stage: 'finetune', from: start?.id ?? 'random weights' },
      metrics: { validation: Object.fromEntries(figures) },
    });
  } finally {
    await objective.close();
  }
}

/** @throws EEG_DATA_INVALID where the run gone on from left none. */
async function optimiserOf({ from = '' }: StageOptions): Promise<ReadonlyMap<string, Tensor>> {
  const state = await RunFolder.optimiserOf(from);
  if (state !== undefined) return state;
  throw new EegError('EEG_DATA_INVALID', `${from} holds no optimiser state to go on with`, {
    hint: 'name the run folder, not its checkpoint; an upcycled one needs upcycle.optimiser',
  });
}

/** What is drawn anew begins without moments, as do parameters that the old run did not have. */
function stateThatFits(
  state: ReadonlyMap<string, Tensor>,
  arch: Architecture,
  keep: (name: string) => boolean,
): Map<string, Tensor> {
  const shapes = new Map(parameterSpecs(arch).map(({ name, shape }) => [name, shape.join()]));
  const fitting = [...state].filter(([key]) => {
    const name = key.slice(key.indexOf('.') + 1);
    return keep(name) && shapes.get(name) === state.get(`first.${name}`)?.shape.join();
  });
  return new Map(fitting);
}

function sameTasks(one: Architecture, other: Architecture): boolean {
  const of = (arch: Architecture): string =>
    JSON.stringify(arch.tasks.map(({ name, classes }) => [name, classes]));
  return of(one) === of(other);
}

async function run(
  objective: Masked | Supervised,
  options: StageOptions,
  plan: TrainingPlan,
  stage: string,
  start: () => Map<string, Tensor>,
  optimiser?: ReadonlyMap<string, Tensor>,
): Promise<LoopResult> {
  const { loaded, out } = options;
  const folder = new RunFolder(out);
  const recipeHash = createHash('sha256').update(JSON.stringify(loaded.recipe)).digest('hex');
  const source =
    options.from === undefined ? null : (await startingPoint(options)).manifest.weights;
  // Gradients of two engines differ in their last digits: a run is of one of them.
  const { device = 'cpu' } = options;
  const engine = `${options.engine ?? 'onnx'}${device === 'cpu' ? '' : ` on ${device}`}`;
  const facts = { stage, recipe: recipeHash, from: source?.sha256 ?? null, engine };
  const result = await trainLoop(objective, {
    plan,
    seed: loaded.recipe.seed,
    folder,
    facts,
    start,
    optimiser,
    ...(options.onProgress === undefined ? {} : { onProgress: options.onProgress }),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
  copyFileSync(loaded.path, join(out, 'recipe.yaml'));
  writeFileSync(join(out, 'curves.html'), curvesHtml(join(out, 'metrics.jsonl')));
  return result;
}

async function publish(
  options: StageOptions,
  result: LoopResult,
  parts: {
    arch: Architecture;
    weights: Weights;
    trained: boolean;
    data: Record<string, string | number>;
    metrics: Parameters<typeof saveCheckpoint>[1]['metrics'];
  },
): Promise<StageResult> {
  const { recipe } = options.loaded;
  const checkpoint = join(options.out, 'checkpoint');
  if (!result.finished) return { checkpoint: '', finished: false, result };
  const { eegd, machine } = versions() as { eegd: string; machine: string };
  await saveCheckpoint(checkpoint, {
    name: recipe.name,
    release: `${String(parts.data.stage)}-${result.bestStep}`,
    trained: parts.trained,
    arch: parts.arch,
    weights: parts.weights,
    // Stages hand on full precision; what is shipped is half.
    type: parts.trained ? 'F16' : 'F32',
    data: {
      ...parts.data,
      recipe: recipe.name,
      seed: recipe.seed,
      steps: result.steps,
      bestStep: result.bestStep,
      trainingSeconds: Math.round(result.seconds),
      eegd,
      machine,
    },
    metrics: parts.metrics ?? {},
  });
  return { checkpoint, finished: true, result };
}

/** Weights for an architecture: those of `known` that fit and are wanted, the rest drawn. */
export function transfer(
  arch: Architecture,
  known: Weights,
  rng: Rng,
  keep: (name: string) => boolean,
): Map<string, Tensor> {
  const drawn = initialWeights(arch, rng);
  const out = new Map<string, Tensor>();
  for (const { name, shape } of parameterSpecs(arch)) {
    const old = known.get(name);
    const fits = old !== undefined && old.shape.join() === shape.join() && keep(name);
    const from = fits ? old : (drawn.get(name) as Tensor);
    out.set(name, { shape, data: from.data.slice() });
  }
  return out;
}

async function startingPoint(options: StageOptions): Promise<Checkpoint> {
  const { from } = options;
  if (from === undefined)
    throw new EegError('EEG_USAGE', 'expected --from with a checkpoint or a run folder');
  return loadCheckpoint(join(from, 'checkpoint')).catch((error: unknown) => {
    if (error instanceof EegError && error.code === 'EEG_MODEL_NOT_FOUND')
      return loadCheckpoint(from);
    throw error;
  });
}

function materialOptions(options: StageOptions, sets: readonly string[]): MaterialOptions {
  const { store, onRecording } = options;
  return { store, sets, ...(onRecording === undefined ? {} : { onRecording }) };
}

function planOf(recipe: Recipe): TrainingPlan {
  if (recipe.training === undefined)
    throw new EegError('EEG_CONFIG_INVALID', `${recipe.name}: the recipe has no training section`);
  return recipe.training;
}

function missing(loaded: LoadedRecipe, section: string): EegError {
  return new EegError('EEG_CONFIG_INVALID', `${loaded.path}: expected a section ${section}`);
}

/** Manifests are JSON: no figure instead of NaN. */
function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}
