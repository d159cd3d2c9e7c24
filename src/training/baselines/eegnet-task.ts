/** EEGNet on one task of a recipe: the control of the ablation, trained by the common loop. */
import type { Rng } from '../../core/rng.js';
import { patchSamples } from '../../core/tasks.js';
import { GradientSession } from '../../graph/gradient-session.js';
import type { Tensor } from '../../graph/tensor.js';
import { startWeights, type Weights } from '../../model/parameters.js';
import { parseElectrodes } from '../../signal/electrodes.js';
import { augment, type Cut } from '../augment.js';
import type { Case } from '../judge.js';
import { type Judged, judgedWindows, summarise } from '../judge.js';
import type { Objective, StepOutcome, Validation } from '../loop.js';
import type { PreparedRecording } from '../prepared.js';
import type { Recipe } from '../recipe-schema.js';
import type { Side } from '../split.js';
import { type Material, secondEnds, type TaskWindow, WindowPool } from '../windows.js';
import {
  denseSize,
  dropoutMask,
  type EegNetShape,
  eegNetFrames,
  eegNetGraph,
  framesOf,
  kernelSamples,
} from './eegnet.js';

export interface EegNetOptions {
  readonly recipe: Recipe;
  /** Index of the task in the recipe. */
  readonly task: number;
  readonly rows: number;
  readonly materials: readonly Material[];
  readonly threads: number;
}

export class EegNetTask implements Objective {
  readonly #options: EegNetOptions;
  readonly #shape: EegNetShape;
  /** Electrodes that every recording has; none in common: one channel, whichever there is. */
  readonly #electrodes: readonly string[];
  readonly #training: GradientSession;
  readonly #forward: GradientSession;
  readonly #pool: WindowPool;

  private constructor(
    options: EegNetOptions,
    parts: { shape: EegNetShape; electrodes: readonly string[] },
    sessions: readonly [GradientSession, GradientSession],
  ) {
    this.#options = options;
    this.#shape = parts.shape;
    this.#electrodes = parts.electrodes;
    [this.#training, this.#forward] = sessions;
    const train = options.materials.filter(({ ref }) => ref.side === 'train');
    this.#pool = new WindowPool(options.task, options.recipe.tasks[options.task], train);
  }

  static async open(options: EegNetOptions): Promise<EegNetTask> {
    const spec = options.recipe.tasks[options.task];
    const judged = new Set(spec.sources.filter(({ judged }) => judged).map(({ set }) => set));
    const own = options.materials.filter(({ ref }) => judged.has(ref.set));
    const electrodes = commonElectrodes(own);
    const shape = {
      channels: Math.max(1, electrodes.length),
      windowS: spec.windowS,
      classes: spec.classes.length,
    };
    const { threads } = options;
    const training = await GradientSession.open(eegNetGraph(shape, true), { threads });
    const forward = await GradientSession.open(eegNetGraph(shape, false), { threads });
    return new EegNetTask(options, { shape, electrodes }, [training, forward]);
  }

  get parameters(): number {
    return this.#training.trained.reduce(
      (total, { shape }) => total + shape.reduce((a, b) => a * b, 1),
      0,
    );
  }

  start(rng: Rng): Map<string, Tensor> {
    const specs = this.#training.trained.map(({ name, shape }) => {
      const inputs = shape.length > 1 ? shape[shape.length - 2] : 0;
      return { name, shape, sd: inputs === 0 ? 0 : 1 / Math.sqrt(inputs) };
    });
    return startWeights(specs, rng);
  }

  async step(weights: Weights, rng: Rng): Promise<StepOutcome> {
    const { recipe, rows } = this.#options;
    const windows = Array.from({ length: rows }, () => this.#pool.draw(rng));
    const cuts = windows.map((window) => {
      const cut = this.#cut(window, rng);
      // It knows electrodes by their order: what is mirrored would look the same to it.
      augment(cut, { ...recipe.augmentation, rereference: 0, mirror: 0 }, rng);
      return cut;
    });
    const target = new Float32Array(rows * this.#shape.classes);
    for (const [r, { label }] of windows.entries())
      target[r * this.#shape.classes + label] = 1 / rows;
    const mask = dropoutMask(rows, () => rng.uniform());
    const { outputs, gradients } = await this.#training.run(
      weights,
      this.#feeds(cuts, target, mask),
    );
    const loss = outputs.get('loss')?.data[0] ?? Number.NaN;
    return {
      gradients,
      loss,
      windows: rows,
      figures: { loss },
      batch: windows.map(({ material, endSample }) => `${material.ref.id}@${endSample}`).join(', '),
    };
  }

  async validate(weights: Weights): Promise<Validation> {
    const { plan } = { plan: this.#options.recipe.training };
    return summarise([await this.judge(weights, 'validation', plan?.validationWindows)]);
  }

  async judge(weights: Weights, side: Side, limit?: number): Promise<Judged> {
    const { recipe, task, materials } = this.#options;
    const spec = recipe.tasks[task];
    const own = materials.filter(({ ref }) => ref.side === side);
    const judged = judgedWindows(task, spec, own, { limit });
    const chosen = judged.flatMap(({ windows }) => windows);
    const logits = await this.predict(weights, chosen);
    const cases = chosen.map(({ material, label, endSample }, i): Case => {
      const { set, subject, id } = material.ref;
      return { set, subject, recording: id, label, logits: logits[i], endSample };
    });
    return { task: spec.name, classes: spec.classes, cases, routing: [] };
  }

  /** Logits of each window. */
  async predict(weights: Weights, windows: readonly TaskWindow[]): Promise<Float32Array[]> {
    const found: Float32Array[] = [];
    const { classes } = this.#shape;
    for (let from = 0; from < windows.length; from += 16) {
      const some = windows.slice(from, from + 16);
      const cuts = some.map((window) => this.#cut(window));
      const ones = new Float32Array(some.length * denseSize).fill(1);
      const target = new Float32Array(some.length * classes);
      const { outputs } = await this.#forward.run(weights, this.#feeds(cuts, target, ones));
      const logits = outputs.get('logits')?.data ?? new Float32Array(0);
      for (let i = 0; i < some.length; i++)
        found.push(logits.slice(i * classes, (i + 1) * classes));
    }
    return found;
  }

  async close(): Promise<void> {
    await this.#training.close();
    await this.#forward.close();
  }

  #cut(window: TaskWindow, rng?: Rng): Cut {
    const { prepared } = window.material;
    const ends = secondEnds(window.endSample, this.#shape.windowS);
    const picked = this.#picked(prepared, rng);
    const patches = new Float32Array(ends.length * picked.length * patchSamples);
    const mask = new Float32Array(ends.length * picked.length);
    prepared.patches(ends, patches, mask, picked);
    const positions = new Float32Array(picked.length * 6);
    return { seconds: ends.length, channels: picked.length, patches, positions, mask };
  }

  #picked(prepared: PreparedRecording, rng?: Rng): number[] {
    const any = (): number => (rng === undefined ? 0 : rng.below(prepared.channels));
    if (this.#electrodes.length === 0) return [any()];
    const names = prepared.header.channels.map(electrodeOf);
    // Sets that are learned from but not judged may have other electrodes.
    return this.#electrodes.map((name) => (names.includes(name) ? names.indexOf(name) : any()));
  }

  #feeds(cuts: readonly Cut[], target: Float32Array, dropout: Float32Array) {
    const { channels, classes } = this.#shape;
    const count = framesOf(this.#shape);
    const rows = cuts.length;
    const frames = eegNetFrames(this.#shape, cuts);
    return {
      frames: { shape: [rows, channels, count, kernelSamples], data: frames },
      target: { shape: [rows, classes], data: target },
      dropout: { shape: [rows, denseSize], data: dropout },
    };
  }
}

const electrodeOf = (label: string): string => parseElectrodes(label).active ?? label;

function commonElectrodes(materials: readonly Material[]): string[] {
  const [first, ...rest] = materials.map(
    ({ prepared }) => new Set(prepared.header.channels.map(electrodeOf)),
  );
  if (first === undefined) return [];
  return [...first].filter((name) => rest.every((names) => names.has(name)));
}
