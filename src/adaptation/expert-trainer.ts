/**
 * Trains an expert pack on labelled trials, from cached latents of the frozen trunk. Everything is
 * split by trial, never by window. How well it does is measured by cross-validation: in each fold
 * the trials that judge were neither learned from nor asked when to stop.
 */
import { EegError } from '../core/errors.js';
import type { Readout } from '../core/readout.js';
import { Rng } from '../core/rng.js';
import type { TaskSpec } from '../core/tasks.js';
import type { EngineKind } from '../engine/worker-protocol.js';
import { AdamW } from '../graph/adamw.js';
import type { SessionOptions } from '../graph/session.js';
import type { Tensor } from '../graph/tensor.js';
import { clipGlobalNorm } from '../graph/training-arithmetic.js';
import type { Architecture } from '../model/architecture.js';
import {
  attachPack,
  type GrowOptions,
  grow,
  type Model,
  type Pack,
  packTrains,
} from '../model/growing.js';
import { packPrefix } from '../model/row-task.js';
import { makeTargets, type TrainingBatch } from '../model/training-batch.js';
import type { StepSession } from '../model/training-session.js';
import { openStepSession } from '../training/step-session.js';
import { fitReadout, logSoftmax, spread } from './readout-trainer.js';
import type { WindowLatents } from './trial-latents.js';
import { bestShare, type ForwardWindow, type TrainerTrial, vote } from './trial-votes.js';

export interface TrainerOptions extends SessionOptions {
  /** Name, task, new experts, ... of the pack. */
  readonly pack: GrowOptions;
  readonly seed: number;
  readonly rows?: number;
  readonly epochsMax?: number;
  /** Labels of the channels. Absent: no read-out is learned. */
  readonly channels?: readonly string[];
  /** What computes losses and gradients; ONNX Runtime where absent. */
  readonly engine?: EngineKind;
  /** Called after every step. */
  readonly onStep?: (phase: string, share: number, loss: number) => void | Promise<void>;
}

export interface Fitted {
  readonly pack: Pack;
  readonly epochs: number;
  /** Of the trials that said when to stop. */
  readonly loss: number;
  /** What the experts' logits were multiplied by beside the read-out's; 1 without one. */
  readonly expertShare: number;
}

export interface CrossValidated {
  readonly correct: number;
  readonly total: number;
  readonly labels: readonly number[];
  readonly predicted: readonly number[];
  /** Of the same trials, right by the base's own task of the same classes, where there is one. */
  readonly baseCorrect?: number;
}

/** Of the trials of each class, this share says when to stop. */
const stopShare = 0.2;
const patience = 6;
const folds = 3;
const clipNorm = 1;
const labelSmoothing = 0.1;
const weightDecay = 0.05;
/** The head and the task's own rows start from little; experts are copies and move slowly. */
const rateOfHead = 3e-3;
const rateOfExperts = 5e-4;
/** Fewer trials of a class teach nothing that could be judged. */
export const trialsPerClassMin = 5;

export class ExpertTrainer {
  readonly #base: Model;
  readonly #options: TrainerOptions;
  readonly #start: Pack;
  readonly #arch: Architecture;
  readonly #session: StepSession;
  readonly #task: number;

  private constructor(base: Model, options: TrainerOptions, start: Pack, session: StepSession) {
    this.#base = base;
    this.#options = options;
    this.#start = start;
    this.#arch = attachPack(base, start).arch;
    this.#session = session;
    this.#task = this.#arch.tasks.length - 1;
  }

  static async open(base: Model, options: TrainerOptions): Promise<ExpertTrainer> {
    const start = grow(base, options.pack, new Rng(options.seed));
    const { arch } = attachPack(base, start);
    const trains = packTrains(options.pack.name);
    const { threads = 1, engine = 'onnx' } = options;
    const session = await openStepSession(engine, arch, { trunk: false, trains, threads });
    return new ExpertTrainer(base, options, start, session);
  }

  get task(): TaskSpec {
    return this.#options.pack.task;
  }

  /** Learns from all trials. Throws `EEG_ADAPT_REFUSED`, `EEG_TRAIN_DIVERGED`. */
  async fit(trials: readonly TrainerTrial[], phase = 'learning'): Promise<Fitted> {
    const usable = trials.filter((trial) => trial.windows.length > 0);
    requireClasses(usable, this.task);
    const { seed, epochsMax = 40, rows = 16 } = this.#options;
    const rng = new Rng(seed + 1);
    const [judges, learned] = splitByClass(usable, stopShare, rng);
    const pack = copyPack(this.#start);
    const weights = new Map<string, Tensor>([...this.#base.weights, ...pack.weights]);
    const optimiser = new AdamW({ weightDecay });
    let best = { weights: copyWeights(pack.weights), loss: Number.POSITIVE_INFINITY, epochs: 0 };
    for (let epoch = 1; epoch <= epochsMax; epoch++) {
      // One window of each trial an epoch: the others of it tell little more, and come later.
      const windows = rng.shuffle(
        learned.map((trial) => ({
          trial,
          window: trial.windows[rng.below(trial.windows.length)] as WindowLatents,
        })),
      );
      for (let at = 0; at < windows.length; at += rows) {
        const batch = this.#batch(windows.slice(at, at + rows));
        const { loss, gradients } = await this.#session.step(weights, batch);
        const norm = clipGlobalNorm(gradients, clipNorm);
        if (!Number.isFinite(loss) || !Number.isFinite(norm)) throw diverged(epoch, loss, norm);
        const warm = epoch === 1 ? (at + rows) / (windows.length + rows) : 1;
        optimiser.step(weights, gradients, (name) => warm * rateOf(name));
        await this.#options.onStep?.(phase, (epoch - 1 + at / windows.length) / epochsMax, loss);
      }
      const loss = await this.#loss(weights, judges);
      if (!Number.isFinite(loss)) throw diverged(epoch, loss, 0);
      if (loss < best.loss) best = { weights: copyWeights(pack.weights), loss, epochs: epoch };
      if (epoch - best.epochs >= patience) break;
    }
    const experts = { ...pack, weights: best.weights };
    const mixed = await this.#mix(experts, { judges, learned, all: usable });
    return { ...mixed, epochs: best.epochs };
  }

  /** Adds a read-out, and gives the experts the share that the judges like best. */
  async #mix(
    pack: Pack,
    { judges, learned, all }: Record<'judges' | 'learned' | 'all', readonly TrainerTrial[]>,
  ): Promise<{ pack: Pack; loss: number; expertShare: number }> {
    const evidence = this.readout(learned);
    const weights = new Map<string, Tensor>([...this.#base.weights, ...pack.weights]);
    if (evidence === undefined)
      return { pack, loss: await this.#loss(weights, judges), expertShare: 1 };
    const { share: expertShare, loss } = bestShare(await this.#forward(weights, judges), evidence);
    const scaled = scaleHead(pack, expertShare);
    const readout = this.readout(all) ?? evidence;
    return { pack: { ...scaled, readout }, loss, expertShare };
  }

  /** The read-out alone; undefined where there is none to learn. */
  readout(trials: readonly TrainerTrial[]): Readout | undefined {
    const { channels, seed } = this.#options;
    const spectral = trials.flatMap(({ label, windows }) => {
      const spectra = windows.flatMap((window) => window.spectra ?? []);
      return spectra.length === 0 ? [] : [{ label, spectra }];
    });
    const classes = this.task.classes.length;
    const known = new Set(spectral.map(({ label }) => label)).size;
    if (channels === undefined || known < classes) return undefined;
    return fitReadout(spectral, { classes, channels, seed });
  }

  /** Each trial judged by a pack that learned from the trials of the other folds. */
  async crossValidate(trials: readonly TrainerTrial[]): Promise<CrossValidated> {
    const usable = trials.filter((trial) => trial.windows.length > 0);
    const foldOf = spread(usable, folds, new Rng(this.#options.seed + 2));
    const labels: number[] = [];
    const predicted: number[] = [];
    for (let fold = 0; fold < folds; fold++) {
      const others = usable.filter((_, i) => foldOf[i] !== fold);
      const own = usable.filter((_, i) => foldOf[i] === fold);
      const { pack } = await this.fit(others, `judging ${fold + 1}/${folds}`);
      predicted.push(...(await this.predict(pack, own)));
      labels.push(...own.map((trial) => trial.label));
    }
    const correct = labels.filter((label, i) => label === predicted[i]).length;
    const judged = { correct, total: labels.length, labels, predicted };
    const base = await this.predictByBase(usable);
    if (base === undefined) return judged;
    const baseCorrect = usable.filter(({ label }, i) => base[i] === label).length;
    return { ...judged, baseCorrect };
  }

  /** Class of each trial: the mean of its windows' log-probabilities. */
  async predict(pack: Pack, trials: readonly TrainerTrial[]): Promise<number[]> {
    const weights = new Map<string, Tensor>([...this.#base.weights, ...pack.weights]);
    return vote(trials, await this.#forward(weights, trials), pack.readout);
  }

  /** By the base's task that this one is like; undefined where its classes are others. */
  async predictByBase(trials: readonly TrainerTrial[]): Promise<number[] | undefined> {
    const { like } = this.#options.pack;
    const known = this.#base.arch.tasks.findIndex(({ name }) => name === like);
    const classes = this.#base.arch.tasks[known]?.classes.join('\n');
    if (classes !== this.task.classes.join('\n')) return undefined;
    const weights = new Map<string, Tensor>([...this.#base.weights, ...this.#start.weights]);
    return vote(trials, await this.#forward(weights, trials, known));
  }

  async close(): Promise<void> {
    await this.#session.close();
  }

  async #loss(weights: ReadonlyMap<string, Tensor>, trials: readonly TrainerTrial[]) {
    const forward = await this.#forward(weights, trials);
    const sum = forward.reduce(
      (total, { trial, logits }) => total - (logSoftmax(logits)[trial.label] as number),
      0,
    );
    return sum / forward.length;
  }

  /** Logits of a task's classes for every window. */
  async #forward(
    weights: ReadonlyMap<string, Tensor>,
    trials: readonly TrainerTrial[],
    task = this.#task,
  ): Promise<ForwardWindow[]> {
    const windows = trials.flatMap((trial) => trial.windows.map((window) => ({ trial, window })));
    const out: ForwardWindow[] = [];
    const sizes = this.#arch.tasks.map(({ classes }) => classes.length);
    const column = sizes.slice(0, task).reduce((a, b) => a + b, 0);
    for (let at = 0; at < windows.length; at += 64) {
      const some = windows.slice(at, at + 64);
      const { logits } = await this.#session.evaluate(weights, this.#batch(some, task));
      const width = logits.length / some.length;
      for (const [row, one] of some.entries()) {
        const first = row * width + column;
        out.push({ ...one, logits: logits.slice(first, first + this.task.classes.length) });
      }
    }
    return out;
  }

  #batch(
    windows: readonly { trial: TrainerTrial; window: WindowLatents }[],
    asked = this.#task,
  ): TrainingBatch {
    const rows = windows.length;
    const seconds = this.task.windowS;
    const floats = this.#arch.latents * this.#arch.width;
    const latents = new Float32Array(rows * seconds * floats);
    const mask = new Float32Array(rows * seconds);
    for (const [row, { window }] of windows.entries()) {
      latents.set(window.latents, row * seconds * floats);
      mask.set(window.mask, row * seconds);
    }
    const task = new Int32Array(rows).fill(asked);
    const labels = windows.map(({ trial }) => trial.label);
    return {
      rows,
      seconds,
      latents,
      mask,
      task,
      times: Float32Array.from({ length: rows * seconds }, (_, i) => (i % seconds) - seconds + 1),
      target: makeTargets(this.#arch, task, labels, labelSmoothing),
      rowWeight: new Float32Array(rows).fill(1 / rows),
    };
  }
}

function rateOf(name: string): number {
  return name.includes('.experts.') ? rateOfExperts : rateOfHead;
}

function requireClasses(trials: readonly TrainerTrial[], task: TaskSpec): void {
  const counts = task.classes.map((_, k) => trials.filter((trial) => trial.label === k).length);
  const short = task.classes.filter((_, k) => (counts[k] as number) < trialsPerClassMin);
  if (short.length === 0) return;
  const got = task.classes.map((name, k) => `${name} ${counts[k]}`).join(', ');
  throw new EegError(
    'EEG_ADAPT_REFUSED',
    `expected at least ${trialsPerClassMin} usable trials of each class, got ${got}`,
    { hint: `mark more of ${short.join(', ')}` },
  );
}

function diverged(epoch: number, loss: number, norm: number): EegError {
  const what = `learning diverged in epoch ${epoch}: loss ${loss}, gradient ${norm}`;
  return new EegError('EEG_TRAIN_DIVERGED', what, { hint: 'nothing was activated' });
}

/** A share of each class, at least one trial of it, and the rest. */
function splitByClass(trials: readonly TrainerTrial[], share: number, rng: Rng) {
  const taken: TrainerTrial[] = [];
  const left: TrainerTrial[] = [];
  for (const label of new Set(trials.map((trial) => trial.label))) {
    const own = rng.shuffle(trials.filter((trial) => trial.label === label));
    const count = Math.max(1, Math.round(share * own.length));
    taken.push(...own.slice(0, count));
    left.push(...own.slice(count));
  }
  return [taken, left] as const;
}

/** The pack with all its head says multiplied. */
function scaleHead(pack: Pack, share: number): Pack {
  const head = `${packPrefix(pack.name)}.head.`;
  const weights = new Map(
    [...pack.weights].map(([name, { shape, data }]) => {
      return [name, { shape, data: name.startsWith(head) ? data.map((x) => share * x) : data }];
    }),
  );
  return { ...pack, weights };
}

function copyWeights(weights: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  return new Map(
    [...weights].map(([name, { shape, data }]) => [name, { shape, data: data.slice() }]),
  );
}

function copyPack(pack: Pack): Pack {
  return { ...pack, weights: copyWeights(pack.weights) };
}
