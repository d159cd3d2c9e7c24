/**
 * An `Engine` whose sessions live in a worker thread, because creating and running a session
 * blocks its thread. Watches the worker: when it dies or hangs, what was in flight fails with
 * EEG_ENGINE_FAILED and another worker is started at once; requests meanwhile wait for it. A
 * thread is never ended from outside: inside ONNX Runtime that aborts the whole process
 * (Napi::Error). One that hangs is left to end by itself when its run returns.
 */
import type { Worker } from 'node:worker_threads';
import { EegError } from '../core/errors.js';
import { localClock } from '../core/time.js';
import type { Engine, EngineInfo, TaskBatch, TaskResult, TrunkBatch } from './engine.js';
import { endThread, leaveThread, type ThreadKind, takeThread } from './engine-threads.js';
import {
  errorOf,
  type WorkerReply,
  type WorkerRequest,
  type WorkerStart,
} from './worker-protocol.js';

export interface WorkerEngineOptions {
  /** Module of the worker, `new URL('./x.js', import.meta.url)`. */
  readonly worker: URL;
  readonly start: WorkerStart;
  /** A run that takes longer is a hang, ms. */
  readonly hangMs?: number;
  /** Batches are moved to the worker, and no more their owner's; else they are copied. */
  readonly movesBatches?: boolean;
  /** Longest time to load, verify and warm, ms. */
  readonly loadMs?: number;
  /** JavaScript heap of the worker, MB; above it the worker ends as if it had crashed. */
  readonly heapMb?: number;
  /** Told of every crash or hang; `again` = another worker is being started. */
  readonly onFailure?: (error: EegError, again: boolean) => void;
}

interface Pending {
  readonly resolve: (value: never) => void;
  readonly reject: (error: EegError) => void;
}

/** More crashes than this in a minute: pause before the next try. */
const crashesPerMinuteMax = 3;
const crashPauseMs = 10_000;
/** Threads that may hang at once; with more, none is started until one of them has ended. */
const stuckMax = 2;
/** A timer that comes so much too late tells of a process that was stopped, s. */
const stoodStillS = 1;
/** Of JavaScript's heap; weights and tensors lie outside. What leaks dies alone. */
const heapMbMax = 512;

export class WorkerEngine implements Engine {
  readonly #options: WorkerEngineOptions;
  /** Bare time of the run that was answered last, ms. */
  lastRunMs = 0;
  readonly #pending = new Map<number, Pending>();
  #info: EngineInfo | undefined;
  #worker: Worker | undefined;
  /** Settles when the present worker is ready. */
  #ready: Promise<EngineInfo>;
  #isReady = false;
  #requests = 0;
  #serves = false;
  #nextId = 0;
  #watch: NodeJS.Timeout | undefined;
  #crashes: number[] = [];
  #closed = false;
  /** Told to end, and not ended yet. */
  readonly #stuck = new Set<Worker>();

  private constructor(options: WorkerEngineOptions) {
    this.#options = options;
    this.#ready = this.#start();
  }

  /** Resolves when the model is loaded, verified and warm; rejects with the reason it is not. */
  static async open(options: WorkerEngineOptions): Promise<WorkerEngine> {
    const engine = new WorkerEngine(options);
    try {
      await engine.#ready;
    } catch (error) {
      await engine.close();
      throw error;
    }
    return engine;
  }

  get info(): EngineInfo {
    if (this.#info === undefined) throw new EegError('EEG_INTERNAL', 'the engine is not open');
    return this.#info;
  }

  /** Requests without an answer; no number is larger while it cannot take any. */
  get load(): number {
    return this.#isReady ? this.#requests : Number.POSITIVE_INFINITY;
  }

  /** Threads that were told to end and have not yet. */
  get leaving(): number {
    return this.#stuck.size;
  }

  trunk(batch: TrunkBatch): Promise<Float32Array> {
    return this.#counted(this.#request((id) => ({ op: 'trunk', id, batch }), batch));
  }

  tasks(batch: TaskBatch): Promise<TaskResult> {
    return this.#counted(this.#request((id) => ({ op: 'tasks', id, batch }), batch));
  }

  async #counted<T>(answer: Promise<T>): Promise<T> {
    this.#requests++;
    try {
      return await answer;
    } finally {
      this.#requests--;
    }
  }

  serve(): void {
    this.#serves = true;
    this.#worker?.postMessage({ op: 'serve' } satisfies WorkerRequest);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#watch);
    const worker = this.#worker;
    this.#failPending('the engine was closed');
    if (worker === undefined) return;
    if (!(await leaveThread(this.#kind, worker))) this.#leave(worker);
  }

  get #kind(): ThreadKind {
    return { worker: this.#options.worker, heapMb: this.#options.heapMb ?? heapMbMax };
  }

  async #request<T>(
    make: (id: number) => WorkerRequest,
    batch: TrunkBatch | TaskBatch,
  ): Promise<T> {
    await this.#ready;
    const worker = this.#worker;
    if (this.#closed || worker === undefined) throw engineFailed('the engine is closed');
    const id = this.#nextId++;
    return new Promise<T>((resolve, reject) => {
      this.#pending.set(id, { resolve: resolve as Pending['resolve'], reject });
      worker.postMessage(make(id), this.#options.movesBatches === true ? buffersOf(batch) : []);
      if (this.#pending.size === 1) this.#watchRun(worker);
    });
  }

  /** Each reply starts the time of the next run: runs are done one after the other. */
  #watchRun(worker: Worker): void {
    clearTimeout(this.#watch);
    const { hangMs = 2000 } = this.#options;
    if (this.#pending.size === 0) return;
    const dueS = localClock() + hangMs / 1000;
    this.#watch = setTimeout(() => {
      // Where the whole process stood still, the run did too.
      if (localClock() - dueS > stoodStillS) {
        this.#watchRun(worker);
        return;
      }
      this.#leave(worker);
      this.#fail(worker, `a run took longer than ${hangMs} ms`);
    }, hangMs);
  }

  #leave(worker: Worker): void {
    this.#stuck.add(worker);
    worker.once('exit', () => this.#stuck.delete(worker));
    endThread(worker);
  }

  #start(): Promise<EngineInfo> {
    const { start, loadMs = 60_000 } = this.#options;
    const worker = takeThread(this.#kind);
    this.#worker = worker;
    worker.postMessage({
      op: 'open',
      start: { ...start, background: !this.#serves },
    } satisfies WorkerRequest);
    const ready = new Promise<EngineInfo>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#leave(worker);
        const reason = `loading took longer than ${loadMs} ms`;
        reject(engineFailed(reason));
        this.#fail(worker, reason);
      }, loadMs);
      worker.on('message', (reply: WorkerReply) => {
        if (reply.op === 'ready') {
          this.#info = reply.info;
          this.#isReady = true;
          resolve(reply.info);
        } else if (reply.op === 'refused') reject(errorOf(reply.error));
        else if (reply.op !== 'closed') this.#settle(worker, reply);
        clearTimeout(timer);
      });
      const stop = (reason: string) => {
        clearTimeout(timer);
        reject(engineFailed(reason));
        this.#fail(worker, reason);
      };
      worker.on('error', (error) => stop(`the worker failed: ${error.message}`));
      worker.on('exit', (code) => stop(`the worker ended with code ${code}`));
    });
    // Whoever sends a request awaits it; that nobody does is no defect.
    ready.catch(() => undefined);
    return ready;
  }

  #settle(worker: Worker, reply: Extract<WorkerReply, { id: number }>): void {
    // One that was left answers too late.
    if (worker !== this.#worker) return;
    const pending = this.#pending.get(reply.id);
    this.#pending.delete(reply.id);
    if (reply.op !== 'error') this.lastRunMs = reply.runMs;
    if (reply.op === 'error') pending?.reject(errorOf(reply.error));
    else pending?.resolve((reply.op === 'latents' ? reply.latents : reply.result) as never);
    this.#watchRun(worker);
  }

  /** A worker is gone, or must go. */
  #fail(worker: Worker, reason: string): void {
    if (worker !== this.#worker) return;
    this.#worker = undefined;
    this.#isReady = false;
    clearTimeout(this.#watch);
    this.#failPending(reason);
    if (this.#closed || this.#info === undefined) return;
    const now = localClock();
    this.#crashes = [...this.#crashes.filter((s) => now - s < 60), now];
    const tooOften = this.#crashes.length > crashesPerMinuteMax || this.#stuck.size > stuckMax;
    const pauseMs = tooOften ? crashPauseMs : 0;
    this.#options.onFailure?.(engineFailed(reason), pauseMs === 0);
    if (pauseMs === 0) this.#ready = this.#start();
    else this.#startLater(reason, pauseMs);
  }

  /** Until then, requests fail at once instead of piling up. */
  #startLater(reason: string, pauseMs: number): void {
    this.#ready = Promise.reject(engineFailed(`${reason}; it failed too often, waiting`));
    this.#ready.catch(() => undefined);
    this.#watch = setTimeout(() => {
      if (this.#stuck.size > stuckMax) this.#startLater(reason, pauseMs);
      else this.#ready = this.#start();
    }, pauseMs);
  }

  #failPending(reason: string): void {
    for (const { reject } of this.#pending.values()) reject(engineFailed(reason));
    this.#pending.clear();
  }
}

function engineFailed(reason: string): EegError {
  return new EegError('EEG_ENGINE_FAILED', `expected the engine to answer, but ${reason}`);
}

function buffersOf(batch: TrunkBatch | TaskBatch): ArrayBuffer[] {
  const buffers = new Set<ArrayBuffer>();
  for (const part of Object.values(batch))
    if (ArrayBuffer.isView(part) && part.buffer instanceof ArrayBuffer) buffers.add(part.buffer);
  return [...buffers];
}
