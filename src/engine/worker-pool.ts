/**
 * Several workers of one checkpoint as one engine: each run goes to the one with the least to do.
 * It begins with one, because each holds the weights; another joins when those that serve are busy
 * for more than 70 % of the time.
 */
import { type EegError, toEegError } from '../core/errors.js';
import { localClock } from '../core/time.js';
import type { Engine, EngineInfo, TaskBatch, TaskResult, TrunkBatch } from './engine.js';
import type { WorkerEngine } from './worker-engine.js';

export interface PoolOptions {
  /** At the beginning, and at most. */
  readonly workers: { readonly first: number; readonly most: number };
  readonly openWorker: () => Promise<WorkerEngine>;
  /** Told when another has joined. */
  readonly onGrowth?: (workers: number) => void;
  /** Told of one that could not be opened; the others serve on without it. */
  readonly onFailure?: (error: EegError, again: boolean) => void;
  /** Time over which it is looked how busy they are, s. */
  readonly periodS?: number;
}

const busyShareMax = 0.7;

export class WorkerPool implements Engine {
  readonly #options: PoolOptions;
  readonly #first: WorkerEngine;
  readonly #workers: WorkerEngine[];
  #last: WorkerEngine;
  #serves = false;
  /** Of the present period: when it began, and what all runs took in it, s. */
  #period = { beganS: 0, busyS: 0 };
  #growing: Promise<void> | undefined;
  #closed = false;

  private constructor(first: WorkerEngine, options: PoolOptions) {
    this.#options = options;
    this.#first = first;
    this.#last = first;
    this.#workers = [first];
  }

  /** Rejects as `openWorker` does for the first; the others are told to `onFailure`. */
  static async open(options: PoolOptions): Promise<WorkerPool> {
    const pool = new WorkerPool(await options.openWorker(), options);
    while (pool.parallel < options.workers.first && (await pool.#addWorker()));
    return pool;
  }

  get info(): EngineInfo {
    return this.#first.info;
  }

  get parallel(): number {
    return this.#workers.length;
  }

  /** Bare time of the run that was answered last, ms. */
  get lastRunMs(): number {
    return this.#last.lastRunMs;
  }

  trunk(batch: TrunkBatch): Promise<Float32Array> {
    return this.#run((worker) => worker.trunk(batch));
  }

  tasks(batch: TaskBatch): Promise<TaskResult> {
    return this.#run((worker) => worker.tasks(batch));
  }

  serve(): void {
    this.#serves = true;
    this.#period = { beganS: localClock(), busyS: 0 };
    for (const worker of this.#workers) worker.serve();
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#growing;
    await Promise.all(this.#workers.map((worker) => worker.close()));
  }

  async #run<T>(compute: (worker: WorkerEngine) => Promise<T>): Promise<T> {
    const worker = this.#workers.reduce((least, each) => (each.load < least.load ? each : least));
    const startedS = localClock();
    try {
      const result = await compute(worker);
      this.#last = worker;
      return result;
    } finally {
      this.#look(localClock() - startedS);
    }
  }

  #look(ranS: number): void {
    const { periodS = 10, workers } = this.#options;
    this.#period.busyS += ranS;
    const nowS = localClock();
    const elapsedS = nowS - this.#period.beganS;
    if (!this.#serves || elapsedS < periodS) return;
    const share = this.#period.busyS / elapsedS / this.parallel;
    this.#period = { beganS: nowS, busyS: 0 };
    if (share > busyShareMax && this.parallel < workers.most) this.#grow();
  }

  #grow(): void {
    if (this.#closed || this.#growing !== undefined) return;
    this.#growing = this.#addWorker().then((added) => {
      this.#growing = undefined;
      if (added) this.#options.onGrowth?.(this.parallel);
    });
  }

  async #addWorker(): Promise<boolean> {
    try {
      const worker = await this.#options.openWorker();
      this.#workers.push(worker);
      if (this.#serves) worker.serve();
      return true;
    } catch (error) {
      this.#options.onFailure?.(toEegError(error), false);
      return false;
    }
  }
}
