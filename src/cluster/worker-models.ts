/**
 * Which checkpoints a worker has: the active one, the one it replaced for as long as late windows
 * may name it, a candidate that is being warmed, and a bounded number of people's packs.
 */
import { EegError, toEegError } from '../core/errors.js';
import type { Logger } from '../core/log.js';
import type { OpenEngine } from '../daemon/swapper.js';
import { type BoardState, type ModelBoard, plainInfo } from './model-board.js';
import type { Shelf } from './shelf.js';
import type { StepServer } from './step-server.js';
import { wallNowS } from './wall-time.js';

export interface WorkerModelsOptions {
  readonly worker: string;
  readonly board: ModelBoard;
  readonly shelf: Shelf;
  readonly server: StepServer;
  readonly openEngine: OpenEngine;
  readonly log: Logger;
  /** People's checkpoints held beside the active one. */
  readonly peopleMax?: number;
  readonly onLoaded?: () => void;
}

/** Windows that ended before a revision are answered by the one before it for so long, s. */
const graceS = 15;
const sweepEveryMs = 1000;
const peopleMaxNormally = 4;

export class WorkerModels {
  readonly #options: WorkerModelsOptions;
  readonly #loading = new Map<string, Promise<void>>();
  readonly #failed = new Map<string, number>();
  #reported = 0;
  #stop: () => void = () => undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: WorkerModelsOptions) {
    this.#options = options;
  }

  /** Resolves when the active checkpoint serves. */
  async start(): Promise<void> {
    const { board } = this.#options;
    const { active } = board.state;
    if (active === undefined)
      throw new EegError('EEG_MODEL_NOT_FOUND', 'expected an active checkpoint in the cluster');
    await this.#load(active.checkpoint);
    const subscription = board.state$.subscribe((state) => this.#follow(state));
    this.#stop = () => subscription.unsubscribe();
    this.#timer = setInterval(() => void this.#sweep(), sweepEveryMs);
  }

  /** Asked for by the windows of a person; the active one answers until it is here. */
  want(person: string): void {
    const own = this.#options.board.state.people.get(person)?.checkpoint;
    if (own === undefined || this.#options.server.has(own) || this.#loading.has(own)) return;
    if ((this.#failed.get(own) ?? 0) > wallNowS() - 60) return;
    this.#load(own).catch((error: unknown) => {
      this.#failed.set(own, wallNowS());
      this.#options.log.error({ checkpoint: own }, toEegError(error).line);
    });
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#stop();
    await Promise.allSettled(this.#loading.values());
  }

  #follow({ candidate, active }: BoardState): void {
    if (candidate !== undefined && candidate.revision > this.#reported) {
      this.#reported = candidate.revision;
      void this.#warm(candidate.revision, candidate.checkpoint);
    }
    // A worker that missed the candidate still has to have what is active.
    if (active !== undefined && !this.#options.server.has(active.checkpoint))
      this.#load(active.checkpoint).catch((error: unknown) =>
        this.#options.log.error(toEegError(error).line),
      );
  }

  async #warm(revision: number, checkpoint: string): Promise<void> {
    const { board, worker, server, log } = this.#options;
    try {
      await this.#load(checkpoint);
      const info = server.infos().find((each) => each.checkpoint === checkpoint);
      await board.report({ worker, revision, ...(info && { info: plainInfo(info) }) });
    } catch (error) {
      const { line } = toEegError(error);
      log.error({ checkpoint, revision }, line);
      await board.report({ worker, revision, error: line }).catch(() => undefined);
    }
  }

  #load(checkpoint: string): Promise<void> {
    if (this.#options.server.has(checkpoint)) return Promise.resolve();
    const running = this.#loading.get(checkpoint);
    if (running !== undefined) return running;
    const loading = this.#open(checkpoint).finally(() => this.#loading.delete(checkpoint));
    this.#loading.set(checkpoint, loading);
    return loading;
  }

  async #open(checkpoint: string): Promise<void> {
    const { shelf, openEngine, server, onLoaded } = this.#options;
    const { folder, packs, id } = await shelf.get(checkpoint);
    const engine = await openEngine(folder, packs);
    if (engine.info.checkpoint !== checkpoint) {
      await engine.close();
      const message = `expected ${checkpoint} in ${folder}, got ${engine.info.checkpoint} (${id})`;
      throw new EegError('EEG_MODEL_INVALID', message);
    }
    await server.add(engine);
    onLoaded?.();
  }

  /** Lets go of what nobody asks for: old revisions, and packs beyond the bound. */
  async #sweep(): Promise<void> {
    const { board, server, peopleMax = peopleMaxNormally } = this.#options;
    const { active, candidate, people } = board.state;
    if (active === undefined) return;
    const kept = new Set([active.checkpoint, ...(candidate ? [candidate.checkpoint] : [])]);
    if (active.previous !== undefined && wallNowS() < active.fromWallS + graceS)
      kept.add(active.previous.checkpoint);
    const base = active.checkpoint.split('+')[0];
    const packs = new Set([...people.values()].map((own) => own.checkpoint));
    const held = server.infos().map((info) => info.checkpoint);
    const others = held.filter((each) => !kept.has(each) && !this.#loading.has(each));
    const personal = others.filter((each) => packs.has(each) && each.split('+')[0] === base);
    for (const each of others) if (!personal.includes(each)) await server.remove(each);
    for (let over = personal.length - peopleMax; over > 0; over--) {
      const oldest = server.leastUsed(kept);
      if (oldest !== undefined) await server.remove(oldest);
    }
  }
}
