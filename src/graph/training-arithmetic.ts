/** Clipping, accumulation, averaging and schedules: what stands between gradients and AdamW. */
import { type Tensor, zeros } from './tensor.js';

type Tensors = ReadonlyMap<string, Tensor>;

/** Euclidean norm of all tensors together; NaN if any value is. */
export function globalNorm(tensors: Tensors): number {
  let total = 0;
  for (const { data } of tensors.values()) for (const value of data) total += value * value;
  return Math.sqrt(total);
}

/** Scales in place so that the global norm is at most `limit`; returns the norm before. */
export function clipGlobalNorm(tensors: Tensors, limit: number): number {
  const norm = globalNorm(tensors);
  if (norm > limit) {
    const scale = limit / norm;
    for (const { data } of tensors.values()) for (let i = 0; i < data.length; i++) data[i] *= scale;
  }
  return norm;
}

/** Sums the gradients of several small batches into those of a large one. */
export class Accumulator {
  readonly #sums = new Map<string, Tensor>();
  #count = 0;

  add(gradients: Tensors): void {
    if (this.#count++ === 0)
      for (const [name, { data }] of this.#sums) if (!gradients.has(name)) data.fill(0);
    for (const [name, { shape, data }] of gradients) {
      let sum = this.#sums.get(name);
      if (sum === undefined) {
        sum = zeros(shape);
        this.#sums.set(name, sum);
      }
      const into = sum.data;
      if (this.#count === 1) into.set(data);
      else for (let i = 0; i < into.length; i++) into[i] += data[i];
    }
  }

  /** The mean so far; the next `add` starts anew, in the same arrays. Valid until then. */
  take(): ReadonlyMap<string, Tensor> {
    if (this.#count > 1)
      for (const { data } of this.#sums.values())
        for (let i = 0; i < data.length; i++) data[i] /= this.#count;
    this.#count = 0;
    return this.#sums;
  }
}

/** Exponential moving average of weights (Polyak): what is evaluated and shipped. */
export class WeightAverage {
  readonly decay: number;
  readonly weights: Map<string, Tensor>;
  #steps: number;

  /** `steps`: updates already in `start`, when a run is resumed. */
  constructor(start: Tensors, decay: number, steps = 0) {
    this.decay = decay;
    this.#steps = steps;
    this.weights = new Map(
      [...start].map(([name, { shape, data }]) => [name, { shape, data: data.slice() }]),
    );
  }

  /**
   * Share of the new weights in the next average, which somebody else makes. Early updates weigh
   * more, so that the random start is soon forgotten.
   */
  nextShare(): number {
    this.#steps++;
    return 1 - Math.min(this.decay, this.#steps / (this.#steps + 9));
  }

  update(current: Tensors): void {
    const share = this.nextShare();
    for (const [name, { data }] of this.weights) {
      const now = current.get(name)?.data;
      if (now === undefined) throw new Error(`average: no weight ${name}`);
      // In this form a weight that never moves keeps every bit.
      for (let i = 0; i < data.length; i++) data[i] += share * (now[i] - data[i]);
    }
  }
}

export interface CosineSchedule {
  readonly peak: number;
  /** Reached at the end. */
  readonly floor: number;
  readonly warmupSteps: number;
  readonly totalSteps: number;
  /** Step from which a later stage warms up and decays again (upcycling, new experts). */
  readonly rewarmAt?: number;
}

/** Learning rate of a step (0-based): linear warm-up, then half a cosine (Loshchilov 2017). */
export function learningRate(schedule: CosineSchedule, step: number): number {
  const { peak, floor, warmupSteps, totalSteps, rewarmAt } = schedule;
  const again = rewarmAt !== undefined && step >= rewarmAt;
  const begin = again ? rewarmAt : 0;
  const end = rewarmAt === undefined || again ? totalSteps : rewarmAt;
  const at = step - begin;
  if (at < warmupSteps) return (peak * (at + 1)) / warmupSteps;
  const done = Math.min(1, (at - warmupSteps) / Math.max(1, end - begin - warmupSteps));
  return floor + (peak - floor) * 0.5 * (1 + Math.cos(Math.PI * done));
}
