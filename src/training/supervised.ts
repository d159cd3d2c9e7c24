/** Learning the tasks of a recipe together: mixed batches, and validation on whole recordings. */

import { EegError } from '../core/errors.js';
import type { Rng } from '../core/rng.js';
import { servingMixture } from '../engine/onnx-sessions.js';
import type { EngineKind } from '../engine/worker-protocol.js';
import type { DeviceTraining } from '../graph/device-training.js';
import type { Device } from '../graph/session.js';
import type { Tensor } from '../graph/tensor.js';
import { Accumulator } from '../graph/training-arithmetic.js';
import { type Architecture, expertCount } from '../model/architecture.js';
import { DeviceSession } from '../model/device-session.js';
import type { Weights } from '../model/parameters.js';
import { balanceByBias } from '../model/router-bias.js';
import type { TrainingBatch } from '../model/training-batch.js';
import type { TrainingOptions } from '../model/training-graph.js';
import type { StepSession } from '../model/training-session.js';
import { cutPiece, groupPieces, makeBatch, type Part, type Piece } from './batch.js';
import { type Judged, judgeTask, summarise } from './judge.js';
import type { Objective, StepOutcome, Validation } from './loop.js';
import { PartLoads, usableSeconds } from './part-load.js';
import { Predictor } from './predictor.js';
import { augmentationOf, type Recipe, type TrainingPlan } from './recipe-schema.js';
import { openStepSession } from './step-session.js';
import { TrunkForward } from './trunk-forward.js';
import { type Material, pick, type TaskWindow, WindowPool } from './windows.js';

export interface SupervisedOptions {
  readonly recipe: Recipe;
  readonly plan: TrainingPlan;
  readonly arch: Architecture;
  readonly materials: readonly Material[];
  readonly threads: number;
  /** What computes losses and gradients; ONNX Runtime where absent. */
  readonly engine?: EngineKind | undefined;
  /** Where ONNX Runtime computes; elsewhere than on the CPU, parameters stay there. */
  readonly device?: Device | undefined;
  /** Parameters that learn; all where absent. */
  readonly trains?: (name: string) => boolean;
}

export class Supervised implements Objective {
  readonly #options: SupervisedOptions;
  readonly #session: StepSession;
  readonly #trunk: TrunkForward;
  readonly #pools: readonly WindowPool[];
  readonly #shares: readonly number[];
  readonly #accumulator = new Accumulator();
  readonly #loads: PartLoads;

  private constructor(options: SupervisedOptions, session: StepSession, trunk: TrunkForward) {
    this.#options = options;
    this.#session = session;
    this.#trunk = trunk;
    this.#loads = new PartLoads(options.arch);
    const { recipe, plan, materials } = options;
    const training = materials.filter((material) => material.ref.side === 'train');
    this.#pools = recipe.tasks.map((task, i) => new WindowPool(i, task, training));
    const sizes = this.#pools.map((pool) => pool.windows ** (1 / plan.temperature));
    const total = sizes.reduce((a, b) => a + b, 0);
    this.#shares = sizes.map((size) => size / total);
  }

  static async open(options: SupervisedOptions): Promise<Supervised> {
    const { arch, threads } = options;
    const session = await openSession(options);
    const device = session instanceof DeviceSession ? session.training : undefined;
    return new Supervised(options, session, await TrunkForward.open(arch, { threads }, device));
  }

  async step(weights: Weights, rng: Rng): Promise<StepOutcome> {
    const { arch, plan, recipe } = this.#options;
    const mirrored = recipe.tasks.map((task) => task.mirrored);
    const augmentations = recipe.tasks.map((task) => augmentationOf(recipe, task));
    const pieces = this.#draw(rng).map((window) =>
      cutPiece(window, { arch, augmentation: augmentations[window.task], rng, mirrored }),
    );
    const parts = groupPieces(pieces, arch);
    const rows = parts.reduce((sum, part) => sum + part.pieces.length, 0);
    const tally = new Tally(arch);
    const batches: [Part, TrainingBatch][] = [];
    for (const part of parts)
      batches.push([
        part,
        await makeBatch(part.pieces, {
          arch,
          labelSmoothing: plan.labelSmoothing,
          // The accumulator takes the mean of the parts.
          rowWeight: () => parts.length / rows,
          latents: (units) => this.#trunk.run(weights, units),
        }),
      ]);
    const tokens = new Map(batches.map(([{ kind }, batch]) => [kind, usableSeconds(batch)]));
    let balance = 0;
    for (const [{ kind, pieces }, batch] of batches) {
      const part = this.#loads.part(kind, tokens);
      const scale = parts.length * part.share;
      const router = { balance: plan.balanceWeight * scale, z: plan.zWeight * scale, part };
      const result = await this.#session.step(weights, batch, router);
      this.#accumulator.add(result.gradients);
      this.#loads.ran(kind, batch, result.routing);
      tally.add(pieces, result.rowLoss, result.routing);
      balance += result.balance * part.share;
    }
    const gradients = this.#accumulator.take();
    if (plan.balanceBias !== undefined)
      balanceByBias(weights, arch, this.#loads.mixed(tokens), plan.balanceBias);
    return {
      gradients,
      loss: tally.loss,
      windows: rows,
      figures: { ...tally.figures, ...(arch.moe === null ? {} : { balance }) },
      ...(arch.moe === null ? {} : { experts: tally.experts }),
      batch: describe(pieces),
    };
  }

  get device(): DeviceTraining | undefined {
    return this.#session instanceof DeviceSession ? this.#session.training : undefined;
  }

  save(): Map<string, Tensor> {
    return this.#loads.save();
  }

  restore(state: ReadonlyMap<string, Tensor>): void {
    this.#loads.restore(state);
  }

  #draw(rng: Rng): TaskWindow[] {
    const { recipe, plan } = this.#options;
    const fixed = recipe.tasks.every((task) => task.rows !== undefined);
    if (fixed)
      return recipe.tasks.flatMap((task, i) =>
        Array.from({ length: task.rows ?? 0 }, () => this.#pools[i].draw(rng)),
      );
    return Array.from({ length: plan.rows }, () => this.#pools[pick(this.#shares, rng)].draw(rng));
  }

  async validate(weights: Weights): Promise<Validation> {
    const judged = await this.judge(weights, 'validation');
    return summarise(judged);
  }

  /**
   * Tasks on one side of the split, all or some. `limit`: windows of a task, as many as validation
   * looks at where absent.
   */
  async judge(
    weights: Weights,
    side: 'validation' | 'test',
    limit = this.#options.plan.validationWindows,
    only?: readonly string[],
  ): Promise<Judged[]> {
    const { arch, recipe, materials, threads } = this.#options;
    const predictor = await Predictor.open(arch, weights, threads);
    try {
      const out: Judged[] = [];
      for (const [i, task] of recipe.tasks.entries()) {
        if (only?.includes(task.name) === false) continue;
        const own = materials.filter((material) => material.ref.side === side);
        out.push(await judgeTask(predictor, i, task, own, { limit }));
      }
      return out;
    } finally {
      await predictor.close();
    }
  }

  async close(): Promise<void> {
    await this.#session.close();
    await this.#trunk.close();
  }
}

async function openSession(options: SupervisedOptions): Promise<StepSession> {
  const { arch, threads, trains, engine = 'onnx' } = options;
  // Where a pack learns, the base's router is frozen: nothing is to be balanced.
  const parts = arch.packs === undefined;
  const shared = { trunk: true, parts, ...(trains === undefined ? {} : { trains }) };
  const { device = 'cpu' } = options;
  if (device !== 'cpu') return openOnDevice(options, device, { ...shared, threads });
  return openStepSession(engine, arch, { ...shared, threads });
}

function openOnDevice(
  { arch, engine = 'onnx', plan }: SupervisedOptions,
  device: Device,
  shared: TrainingOptions & { threads: number },
): Promise<DeviceSession> {
  if (engine !== 'onnx' || plan.balanceBias !== undefined)
    throw new EegError(
      'EEG_USAGE',
      `on ${device}, expected the engine onnx and no training.balanceBias`,
    );
  const { weightDecay } = plan;
  const mixture = servingMixture(arch, device);
  return DeviceSession.open(arch, { ...shared, mixture, device, weightDecay });
}

/** Losses by task, and the load of the experts, over the parts of a step. */
class Tally {
  readonly #arch: Architecture;
  readonly #sum: Float64Array;
  readonly #count: Float64Array;
  readonly #load: number[][] = [];
  #rows = 0;

  constructor(arch: Architecture) {
    this.#arch = arch;
    this.#sum = new Float64Array(arch.tasks.length);
    this.#count = new Float64Array(arch.tasks.length);
    const experts = expertCount(arch);
    for (const _ of arch.moe?.blocks ?? []) this.#load.push(new Array<number>(experts).fill(0));
  }

  add(pieces: readonly Piece[], rowLoss: Float32Array, routing: Float32Array): void {
    const experts = expertCount(this.#arch);
    for (const [r, piece] of pieces.entries()) {
      this.#sum[piece.window.task] += rowLoss[r];
      this.#count[piece.window.task]++;
      for (const [b, load] of this.#load.entries())
        for (let e = 0; e < experts; e++)
          load[e] += routing[(r * this.#load.length + b) * experts + e];
    }
    this.#rows += pieces.length;
  }

  get loss(): number {
    return this.#sum.reduce((a, b) => a + b, 0) / this.#rows;
  }

  get figures(): Record<string, number> {
    const out: Record<string, number> = {};
    for (const [i, task] of this.#arch.tasks.entries())
      if (this.#count[i] > 0) out[`loss.${task.name}`] = this.#sum[i] / this.#count[i];
    return out;
  }

  get experts(): number[][] {
    return this.#load.map((load) => load.map((value) => value / this.#rows));
  }
}

function describe(pieces: readonly Piece[]): string {
  const names = pieces.map(({ window }) => {
    const { ref } = window.material;
    return `${ref.set}/${ref.id}@${window.endSample}`;
  });
  return names.join(', ');
}
