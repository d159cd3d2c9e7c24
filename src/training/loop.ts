/**
 * The training loop, whatever is learned: steps, clipping, AdamW, averaged weights, validation,
 * and a state on disk from which a killed run goes on with the same loss curve.
 */
import { EegError } from '../core/errors.js';
import { Rng } from '../core/rng.js';
import { AdamW } from '../graph/adamw.js';
import type { DeviceState, UpdateOptions } from '../graph/device-training.js';
import type { Tensor } from '../graph/tensor.js';
import { clipGlobalNorm, learningRate, WeightAverage } from '../graph/training-arithmetic.js';
import type { Weights } from '../model/parameters.js';
import type { TrainingPlan } from './recipe-schema.js';
import type { RunFolder, SavedState } from './run-folder.js';

export interface StepOutcome {
  /** Valid until the next step. */
  readonly gradients: ReadonlyMap<string, Tensor>;
  readonly loss: number;
  /** Rows learned from. */
  readonly windows: number;
  /** E.g. `loss.sleep`. */
  readonly figures: Readonly<Record<string, number>>;
  /** Load of each expert, by MoE block; absent for a dense model. */
  readonly experts?: readonly (readonly number[])[];
  /** What the step was made from, for the message when it goes wrong. */
  readonly batch: string;
}

export interface Validation {
  /** Larger is better. */
  readonly score: number;
  readonly figures: Readonly<Record<string, number>>;
}

/** Where parameters stay on a device: what the loop does there instead (DeviceTraining). */
export interface DeviceLearner {
  start(state: DeviceState): Promise<void>;
  update(options: UpdateOptions): Promise<number>;
  read(): Promise<DeviceState>;
}

export interface Objective {
  /** Steps leave their gradients there, and the weights they are given are not looked at. */
  readonly device?: DeviceLearner | undefined;
  step(weights: Weights, rng: Rng): Promise<StepOutcome>;
  validate(weights: Weights): Promise<Validation>;
  /** What a step leaves behind for the next, stored with the weights. */
  save?(): ReadonlyMap<string, Tensor>;
  restore?(state: ReadonlyMap<string, Tensor>): void;
  close(): Promise<void>;
}

export interface Progress {
  readonly step: number;
  readonly steps: number;
  readonly loss: number;
  readonly figures: Readonly<Record<string, number>>;
  readonly experts?: readonly (readonly number[])[];
  readonly windowsPerS: number;
  readonly etaS: number;
  readonly validation?: Validation;
}

export interface LoopOptions {
  readonly plan: TrainingPlan;
  readonly seed: number;
  readonly folder: RunFolder;
  /** What this run is: recipe, seed and start, compared when it is resumed. */
  readonly facts: Readonly<Record<string, unknown>>;
  /** Weights to begin with. */
  start(): Map<string, Tensor>;
  /** State of the optimiser to begin with (`AdamW.save`); none where absent. */
  readonly optimiser?: ReadonlyMap<string, Tensor> | undefined;
  /** Learning rate of a parameter, as a share of the schedule's. */
  readonly rateOf?: (name: string) => number;
  onProgress?(progress: Progress): void;
  readonly signal?: AbortSignal;
}

export interface LoopResult {
  /** The best by validation. */
  readonly weights: ReadonlyMap<string, Tensor>;
  readonly bestStep: number;
  readonly best: Validation;
  readonly steps: number;
  readonly seconds: number;
  /** Of those, what the steps themselves took. */
  readonly stepSeconds: number;
  /** False: stopped by the signal, to be resumed. */
  readonly finished: boolean;
}

/** @throws EEG_TRAIN_DIVERGED at a loss that is no number; what was saved stays. */
export async function trainLoop(objective: Objective, options: LoopOptions): Promise<LoopResult> {
  const { plan, folder } = options;
  const saved = await folder.open(options.facts);
  const run = new Run(objective, options, saved);
  if (saved !== undefined) objective.restore?.(saved.tensors.objective ?? new Map());
  await run.begin();
  const end = plan.steps;
  while (run.step < end) {
    if (options.signal?.aborted === true) {
      await run.fetch();
      await run.save();
      return run.result(false);
    }
    const began = performance.now();
    const outcome = await objective.step(run.weights, run.rng);
    await run.take(outcome);
    run.spendStep(performance.now() - began, outcome.windows);
    const due = run.step % plan.validateEvery === 0 || run.step === end;
    const saving = run.step % plan.saveEvery === 0 || run.step === end;
    if (due || saving) await run.fetch();
    const validation = due ? await objective.validate(run.validated) : undefined;
    if (validation !== undefined) run.judge(validation);
    run.spend(performance.now() - began);
    run.report(outcome, validation);
    if (saving) await run.save();
  }
  return run.result(true);
}

class Run {
  step = 0;
  readonly rng: Rng;
  readonly weights: Map<string, Tensor>;
  readonly #objective: Objective;
  readonly #options: LoopOptions;
  readonly #optimiser: AdamW;
  readonly #average: WeightAverage | undefined;
  #best: Map<string, Tensor>;
  #bestStep = 0;
  #bestValidation: Validation = { score: Number.NEGATIVE_INFINITY, figures: {} };
  #seconds = 0;
  #stepSeconds = 0;
  #windowsPerS = 0;

  constructor(objective: Objective, options: LoopOptions, saved: SavedState | undefined) {
    const { plan } = options;
    this.#objective = objective;
    this.#options = options;
    this.rng = new Rng(options.seed);
    this.#optimiser = new AdamW({ weightDecay: plan.weightDecay });
    if (saved === undefined) {
      this.weights = options.start();
      this.#best = copy(this.weights);
      if (options.optimiser !== undefined) this.#optimiser.restore(options.optimiser);
      if (plan.ema > 0) this.#average = new WeightAverage(this.weights, plan.ema);
      return;
    }
    this.step = saved.step;
    this.rng.restore(saved.values.rng as number[]);
    this.weights = copy(saved.tensors.weights);
    this.#best = copy(saved.tensors.best);
    this.#bestStep = saved.values.bestStep as number;
    this.#seconds = saved.values.seconds as number;
    this.#stepSeconds = (saved.values.stepSeconds as number | undefined) ?? this.#seconds;
    const best = saved.values.best as Validation | null;
    if (best !== null) this.#bestValidation = best;
    this.#optimiser.restore(saved.tensors.optimiser);
    if (plan.ema > 0)
      this.#average = new WeightAverage(saved.tensors.average, plan.ema, saved.step);
  }

  /** The weights that count: averaged where the recipe asks for it. */
  get validated(): ReadonlyMap<string, Tensor> {
    return this.#average?.weights ?? this.weights;
  }

  /** Brings the weights to the device, where there is one. */
  async begin(): Promise<void> {
    const { device } = this.#objective;
    if (device === undefined) return;
    if (this.#options.rateOf !== undefined)
      throw new Error('on a device all parameters learn at one rate');
    await device.start({
      weights: this.weights,
      optimiser: this.#optimiser.save(),
      average: this.validated,
    });
  }

  /** Brings what the device has learned back. */
  async fetch(): Promise<void> {
    const state = await this.#objective.device?.read();
    if (state === undefined) return;
    for (const [name, tensor] of state.weights) this.weights.set(name, tensor);
    this.#optimiser.restore(state.optimiser);
    for (const [name, tensor] of state.average) this.#average?.weights.set(name, tensor);
  }

  async take(outcome: StepOutcome): Promise<void> {
    const { plan, rateOf } = this.#options;
    const { device } = this.#objective;
    const rate = this.#rate();
    const averageShare = device === undefined ? 1 : (this.#average?.nextShare() ?? 1);
    const norm =
      device === undefined
        ? clipGlobalNorm(outcome.gradients, plan.clipNorm)
        : await device.update({ rate, clipNorm: plan.clipNorm, averageShare });
    if (!Number.isFinite(outcome.loss) || !Number.isFinite(norm))
      throw new EegError(
        'EEG_TRAIN_DIVERGED',
        `step ${this.step + 1}: loss ${outcome.loss}, gradient ${norm}, from ${outcome.batch}`,
      );
    this.step++;
    if (device !== undefined) return;
    const rates = rateOf === undefined ? rate : (name: string) => rate * rateOf(name);
    this.#optimiser.step(this.weights, outcome.gradients, rates);
    this.#average?.update(this.weights);
  }

  #rate(): number {
    const { plan } = this.#options;
    return learningRate(
      {
        peak: plan.learningRate,
        floor: plan.learningRate * plan.finalShare,
        warmupSteps: plan.warmupSteps,
        totalSteps: plan.steps,
        ...(plan.rewarmAt === undefined ? {} : { rewarmAt: plan.rewarmAt }),
      },
      this.step,
    );
  }

  judge(validation: Validation): void {
    if (!(validation.score > this.#bestValidation.score)) return;
    this.#bestValidation = validation;
    this.#bestStep = this.step;
    this.#best = copy(this.validated);
  }

  /** Milliseconds of the step alone. */
  spendStep(ms: number, windows: number): void {
    this.#stepSeconds += ms / 1000;
    const now = (1000 * windows) / ms;
    this.#windowsPerS = this.#windowsPerS === 0 ? now : 0.9 * this.#windowsPerS + 0.1 * now;
  }

  /** Milliseconds of the step and of what followed it. */
  spend(ms: number): void {
    this.#seconds += ms / 1000;
  }

  report(outcome: StepOutcome, validation: Validation | undefined): void {
    const { plan, folder } = this.#options;
    const progress: Progress = {
      step: this.step,
      steps: plan.steps,
      loss: outcome.loss,
      figures: outcome.figures,
      windowsPerS: this.#windowsPerS,
      etaS: ((plan.steps - this.step) * this.#seconds) / Math.max(1, this.step),
      ...(outcome.experts === undefined ? {} : { experts: outcome.experts }),
      ...(validation === undefined ? {} : { validation }),
    };
    const { windowsPerS: _rate, etaS: _eta, ...lasting } = progress;
    folder.record(lasting);
    this.#options.onProgress?.(progress);
  }

  /** @throws EEG_TRAIN_DIVERGED rather than to replace a good state by one that is no number. */
  async save(): Promise<void> {
    for (const [name, { data }] of this.weights)
      if (!data.every(Number.isFinite))
        throw new EegError('EEG_TRAIN_DIVERGED', `step ${this.step}: ${name} is no number`);
    const found = Number.isFinite(this.#bestValidation.score);
    await this.#options.folder.save({
      step: this.step,
      values: {
        rng: this.rng.save(),
        seconds: this.#seconds,
        stepSeconds: this.#stepSeconds,
        bestStep: this.#bestStep,
        best: found ? this.#bestValidation : null,
      },
      tensors: {
        weights: this.weights,
        best: this.#best,
        optimiser: this.#optimiser.save(),
        ...this.#left(),
        ...(this.#average === undefined ? {} : { average: this.#average.weights }),
      },
    });
  }

  #left(): Record<string, ReadonlyMap<string, Tensor>> {
    const left = this.#objective.save?.() ?? new Map<string, Tensor>();
    return left.size === 0 ? {} : { objective: left };
  }

  result(finished: boolean): LoopResult {
    return {
      weights: this.#best,
      bestStep: this.#bestStep,
      best: this.#bestValidation,
      steps: this.step,
      seconds: this.#seconds,
      stepSeconds: this.#stepSeconds,
      finished,
    };
  }
}

function copy(tensors: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  return new Map(
    [...tensors].map(([name, { shape, data }]) => [name, { shape, data: data.slice() }]),
  );
}
