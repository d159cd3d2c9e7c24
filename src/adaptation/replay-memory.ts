/**
 * The trials a learner remembers, bounded: the newest, and of all earlier ones a uniform sample
 * (each has a random key, the largest are kept), so that what is learned today does not push out
 * what was learned before. Classes stay balanced: room is made where there are most.
 */
import type { Rng } from '../core/rng.js';

export interface Remembered {
  readonly id: number;
  readonly label: number;
}

/** This share of a class, its newest, is never given up for room. */
const newestShare = 0.25;

export class ReplayMemory<T extends Remembered> {
  readonly #trials = new Map<number, T>();
  readonly #keys = new Map<number, number>();
  readonly #max: number;
  readonly #rng: Rng;

  constructor(max: number, rng: Rng) {
    this.#max = max;
    this.#rng = rng;
  }

  get size(): number {
    return this.#trials.size;
  }

  /** Oldest first. */
  trials(): T[] {
    return [...this.#trials.values()];
  }

  get(id: number): T | undefined {
    return this.#trials.get(id);
  }

  add(trial: T): void {
    this.#trials.set(trial.id, trial);
    if (!this.#keys.has(trial.id)) this.#keys.set(trial.id, this.#rng.uniform());
    if (this.#trials.size > this.#max) this.#makeRoom();
  }

  relabel(id: number, label: number): void {
    const trial = this.#trials.get(id);
    if (trial !== undefined) this.#trials.set(id, { ...trial, label });
  }

  forget(id: number): void {
    this.#trials.delete(id);
    this.#keys.delete(id);
  }

  #makeRoom(): void {
    const byClass = new Map<number, number[]>();
    for (const { id, label } of this.#trials.values())
      byClass.set(label, [...(byClass.get(label) ?? []), id]);
    const most = [...byClass.values()].reduce((a, b) => (b.length > a.length ? b : a));
    const older = most.slice(0, Math.max(1, Math.floor((1 - newestShare) * most.length)));
    const key = (id: number) => this.#keys.get(id) ?? 0;
    this.forget(older.reduce((a, b) => (key(b) < key(a) ? b : a)));
  }
}
