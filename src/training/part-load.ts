/**
 * The balance loss is over a whole mixed step, which is run in parts (batch.ts). Its gradient needs
 * each expert's load over all parts while only one of them is being run: the others' is known
 * exactly where they have been run in this step, else it is that of their last step. Where there is
 * one part only, nothing is estimated.
 */
import type { Tensor } from '../graph/tensor.js';
import { type Architecture, expertCount } from '../model/architecture.js';
import type { TrainingBatch } from '../model/training-batch.js';
import type { StepPart } from '../model/training-session.js';

export class PartLoads {
  readonly #experts: number;
  readonly #length: number;
  /** `[moeBlocks, experts]`, each block summing to 1, by kind of part; even before its first. */
  readonly #loads = new Map<string, Float32Array>();

  constructor(arch: Architecture) {
    this.#experts = expertCount(arch);
    this.#length = this.#experts * (arch.moe?.blocks.length ?? 0);
  }

  /** What a part is told of the others; `tokens`: usable tokens of every part of the step. */
  part(kind: string, tokens: ReadonlyMap<string, number>): StepPart {
    const total = [...tokens.values()].reduce((a, b) => a + b, 0);
    const others = new Float32Array(this.#length);
    for (const [other, count] of tokens) {
      if (other === kind) continue;
      const load = this.#loads.get(other);
      for (let i = 0; i < others.length; i++)
        others[i] += (count / total) * (load === undefined ? 1 / this.#experts : load[i]);
    }
    return { share: (tokens.get(kind) ?? 0) / total, others };
  }

  /** `[moeBlocks, experts]` of the step that has just been run. */
  mixed(tokens: ReadonlyMap<string, number>): Float32Array {
    return this.part('', tokens).others;
  }

  /** Takes what a part's run said: `routing` `[rows, moeBlocks, experts]`. */
  ran(kind: string, batch: TrainingBatch, routing: Float32Array): void {
    if (this.#length === 0) return;
    const load = new Float32Array(this.#length);
    const total = usableSeconds(batch);
    for (let row = 0; row < batch.rows; row++) {
      const share = usableSeconds(batch, row) / total;
      for (let i = 0; i < load.length; i++) load[i] += share * routing[row * load.length + i];
    }
    this.#loads.set(kind, load);
  }

  save(): Map<string, Tensor> {
    const shape = [this.#length];
    return new Map([...this.#loads].map(([kind, data]) => [`load.${kind}`, { shape, data }]));
  }

  restore(state: ReadonlyMap<string, Tensor>): void {
    this.#loads.clear();
    for (const [name, { data }] of state)
      if (name.startsWith('load.')) this.#loads.set(name.slice('load.'.length), data.slice());
  }
}

/** Of the whole batch, or of one row. Tokens are these times the latents of a second. */
export function usableSeconds({ mask, seconds }: TrainingBatch, row?: number): number {
  const own = row === undefined ? mask : mask.subarray(row * seconds, (row + 1) * seconds);
  return own.reduce((a, b) => a + b, 0);
}
