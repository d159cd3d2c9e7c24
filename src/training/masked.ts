/** Learning general EEG by masked autoencoding: unlabelled windows of many montages. */
import type { Rng } from '../core/rng.js';
import { Rng as SeededRng } from '../core/rng.js';
import { gridSamples, modelRateHz, patchSamples } from '../core/tasks.js';
import { DeviceTraining } from '../graph/device-training.js';
import type { Device } from '../graph/session.js';
import { Accumulator } from '../graph/training-arithmetic.js';
import type { Architecture } from '../model/architecture.js';
import { MaeSession, type MaskedLosses, maeGraph, maskedLosses } from '../model/mae.js';
import { hideBlocks, type MaeBatch, maeFeeds } from '../model/mae-batch.js';
import type { Weights } from '../model/parameters.js';
import { augment } from './augment.js';
import { cutSeconds } from './batch.js';
import type { Objective, StepOutcome, Validation } from './loop.js';
import type { Recipe, TrainingPlan } from './recipe-schema.js';
import { type Material, secondEnds } from './windows.js';

/** Windows of one set at a time, so that montages need little padding; two sets a step. */
const setsPerStep = 2;
const validationBatches = 12;

export interface MaskedOptions {
  readonly recipe: Recipe;
  readonly plan: TrainingPlan;
  readonly masked: NonNullable<Recipe['masked']>;
  readonly arch: Architecture;
  readonly materials: readonly Material[];
  readonly threads: number;
  /** Where it learns; elsewhere than on the CPU, parameters stay there. */
  readonly device?: Device | undefined;
}

type Pool = readonly (readonly Material[])[];

export class Masked implements Objective {
  /** Learns where there is one; the session then only validates. */
  readonly device: DeviceTraining | undefined;
  readonly #options: MaskedOptions;
  readonly #session: MaeSession;
  readonly #training: readonly Pool[];
  readonly #validation: readonly Pool[];
  readonly #accumulator = new Accumulator();

  private constructor(options: MaskedOptions, session: MaeSession, device?: DeviceTraining) {
    this.device = device;
    this.#options = options;
    this.#session = session;
    const pools = (side: string): Pool[] =>
      options.masked.sets
        .map((set) => byPerson(options, set, side))
        .filter((people) => people.length > 0);
    this.#training = pools('train');
    this.#validation = pools('validation');
  }

  static async open(options: MaskedOptions): Promise<Masked> {
    const { arch, threads, plan, device = 'cpu' } = options;
    const { weightDecay } = plan;
    const training =
      device === 'cpu'
        ? undefined
        : await DeviceTraining.open(maeGraph(arch), { device, threads, weightDecay });
    return new Masked(options, await MaeSession.open(arch, { threads }), training);
  }

  async step(weights: Weights, rng: Rng): Promise<StepOutcome> {
    const { plan } = this.#options;
    const rows = Math.max(1, Math.round(plan.rows / setsPerStep));
    let loss = 0;
    let pooled = 0;
    const names: string[] = [];
    for (let part = 0; part < setsPerStep; part++) {
      const pool = this.#training[drawPool(this.#training, rng, plan.temperature)];
      const { batch, from } = this.#batch(pool, rows, rng, true);
      const { patchLoss, pooledLoss } = await this.#part(weights, batch);
      loss += patchLoss / setsPerStep;
      pooled += pooledLoss / setsPerStep;
      names.push(...from);
    }
    return {
      gradients: this.#accumulator.take(),
      loss,
      windows: rows * setsPerStep,
      figures: { 'loss.masked': loss, 'loss.pooled': pooled },
      batch: names.join(', '),
    };
  }

  /** Losses of a part; its gradients are added to the others', here or on the device. */
  async #part(weights: Weights, batch: MaeBatch): Promise<MaskedLosses> {
    if (this.device === undefined) {
      const result = await this.#session.step(weights, batch);
      this.#accumulator.add(result.gradients);
      return result;
    }
    return maskedLosses(await this.device.accumulate(maeFeeds(batch)));
  }

  /** The same windows and masks every time, from people that are not learned from. */
  async validate(weights: Weights): Promise<Validation> {
    const pools = this.#validation.length > 0 ? this.#validation : this.#training;
    const rng = new SeededRng(7);
    let loss = 0;
    for (let i = 0; i < validationBatches; i++) {
      const { batch } = this.#batch(pools[i % pools.length], 4, rng, false);
      loss += (await this.#session.step(weights, batch)).patchLoss / validationBatches;
    }
    return { score: -loss, figures: { 'masked.loss': loss } };
  }

  async close(): Promise<void> {
    await this.#session.close();
    await this.device?.close();
  }

  #batch(
    pool: Pool,
    rows: number,
    rng: Rng,
    augmented: boolean,
  ): { batch: MaeBatch; from: string[] } {
    const { masked, recipe } = this.#options;
    const { windowS, channelsMax, maskShare } = masked;
    const from: string[] = [];
    const cuts = Array.from({ length: rows }, () => {
      const person = pool[rng.below(pool.length)];
      const { prepared, ref } = person[rng.below(person.length)];
      const places = Math.floor((prepared.samples - windowS * modelRateHz) / gridSamples);
      const end = windowS * modelRateHz + gridSamples * rng.below(Math.max(1, places + 1));
      from.push(`${ref.set}/${ref.id}@${end}`);
      const cut = cutSeconds(prepared, secondEnds(end, windowS), channelsMax, rng);
      if (augmented) augment(cut, { ...recipe.augmentation, channelDropout: 0 }, rng);
      return cut;
    });
    const channels = Math.max(...cuts.map((cut) => cut.channels));
    const patches = new Float32Array(rows * windowS * channels * patchSamples);
    const positions = new Float32Array(rows * channels * 6);
    const valid = new Uint8Array(rows * windowS * channels);
    const hidden = new Uint8Array(rows * windowS * channels);
    for (const [r, cut] of cuts.entries()) {
      positions.set(cut.positions, r * channels * 6);
      const own = Uint8Array.from(cut.mask);
      const hide = hideBlocks(rng, {
        seconds: windowS,
        channels: cut.channels,
        positions: cut.positions,
        valid: own,
        share: maskShare,
      });
      for (let s = 0; s < windowS; s++) {
        const row = (r * windowS + s) * channels;
        const at = s * cut.channels;
        patches.set(
          cut.patches.subarray(at * patchSamples, (at + cut.channels) * patchSamples),
          row * patchSamples,
        );
        valid.set(own.subarray(at, at + cut.channels), row);
        hidden.set(hide.subarray(at, at + cut.channels), row);
      }
    }
    return { batch: { rows, seconds: windowS, channels, patches, positions, valid, hidden }, from };
  }
}

/** Recordings long enough for a window, by person. */
function byPerson(options: MaskedOptions, set: string, side: string): Pool {
  const people = new Map<string, Material[]>();
  const least = options.masked.windowS * modelRateHz;
  for (const material of options.materials) {
    const { ref, prepared } = material;
    if (ref.set !== set || ref.side !== side || prepared.samples < least) continue;
    const own = people.get(ref.subject);
    if (own === undefined) people.set(ref.subject, [material]);
    else own.push(material);
  }
  return [...people.values()];
}

/** Sets by (people)^(1/temperature). */
function drawPool(pools: readonly Pool[], rng: Rng, temperature: number): number {
  const weights = pools.map((people) => people.length ** (1 / temperature));
  let at = rng.uniform() * weights.reduce((a, b) => a + b, 0);
  for (const [i, weight] of weights.entries()) {
    at -= weight;
    if (at < 0) return i;
  }
  return pools.length - 1;
}
