/**
 * Exchanges the checkpoint of a whole cluster: propose a revision, wait until every living worker
 * has it warm, then name the moment from which windows are its own. A worker that fails stops the
 * exchange, and the old revision goes on.
 */
import { EegError } from '../core/errors.js';
import type { CheckpointChange } from '../core/events.js';
import type { Roster } from './membership.js';
import type { Candidate, ModelBoard, Readiness, Revision } from './model-board.js';
import { wallNowS } from './wall-time.js';

export interface ActivationOptions {
  readonly board: ModelBoard;
  readonly roster: Roster;
  /** Puts the checkpoint where workers find it. */
  readonly provide: (checkpoint: string) => Promise<unknown>;
  readonly onChange: (change: CheckpointChange) => void;
  /** Longest time to fetch, verify and warm, ms. */
  readonly warmMsMax?: number;
}

/** All machines have heard of the moment before it comes. */
const leadS = 1.5;
const warmMs = 120_000;

export class Activation {
  readonly #options: ActivationOptions;
  #busy = false;

  constructor(options: ActivationOptions) {
    this.#options = options;
  }

  activate(checkpoint: string): Promise<CheckpointChange> {
    return this.#alone(checkpoint, false);
  }

  async rollback(): Promise<CheckpointChange> {
    const previous = this.#options.board.state.active?.previous;
    if (previous === undefined)
      throw new EegError('EEG_MODEL_NOT_FOUND', 'expected a previous checkpoint, there is none');
    return this.#alone(previous.checkpoint, true);
  }

  async #alone(checkpoint: string, isRollback: boolean): Promise<CheckpointChange> {
    if (this.#busy)
      throw new EegError('EEG_MODEL_BUSY', `expected no swap under way for ${checkpoint}`);
    this.#busy = true;
    const { onChange, board } = this.#options;
    try {
      return await this.#exchange(checkpoint, isRollback);
    } catch (error) {
      const detail = error instanceof EegError ? error.line : String(error);
      onChange({ kind: 'checkpoint', phase: 'failed', checkpoint, detail });
      await board.withdraw().catch(() => undefined);
      throw error;
    } finally {
      this.#busy = false;
    }
  }

  async #exchange(checkpoint: string, isRollback: boolean): Promise<CheckpointChange> {
    const { board, provide, onChange } = this.#options;
    onChange({ kind: 'checkpoint', phase: 'loading', checkpoint });
    await provide(checkpoint);
    const candidate = await board.propose(checkpoint);
    const ready = await this.#allReady(candidate);
    onChange({ kind: 'checkpoint', phase: 'verified', checkpoint });
    const { active } = board.state;
    const revision: Revision = {
      ...candidate,
      fromWallS: wallNowS() + leadS,
      info: ready.info as Revision['info'],
      ...(isRollback && { isRollback }),
      ...(active && { previous: { checkpoint: active.checkpoint, info: active.info } }),
    };
    await board.activate(revision);
    const change = changeOf(revision);
    onChange(change);
    return change;
  }

  /** One of the reports, once every worker that lives has made its own. */
  #allReady({ revision, checkpoint }: Candidate): Promise<Readiness> {
    const { board, roster, warmMsMax = warmMs } = this.#options;
    return new Promise((resolve, reject) => {
      const settle = (act: () => void) => {
        clearTimeout(timer);
        stop.forEach((each) => {
          each.unsubscribe();
        });
        act();
      };
      const fail = (message: string) =>
        settle(() => reject(new EegError('EEG_CLUSTER_REFUSED', message)));
      const timer = setTimeout(() => fail(`${checkpoint} was not warm in time`), warmMsMax);
      const look = () => {
        const reports = board.state.ready.filter((each) => each.revision === revision);
        const bad = reports.find(({ error, worker }) => error && roster.live.includes(worker));
        const waiting = roster.live.filter((name) => !reports.some((r) => r.worker === name));
        const [first] = reports;
        if (bad !== undefined) fail(`${bad.worker} refused ${checkpoint}: ${bad.error}`);
        else if (waiting.length === 0 && first !== undefined) settle(() => resolve(first));
      };
      const stop: { unsubscribe(): void }[] = [];
      // The first value comes at once, while nothing can be settled yet.
      queueMicrotask(() => {
        stop.push(board.state$.subscribe(look), roster.live$.subscribe(look));
      });
    });
  }
}

/** How a revision that has become active is told of. */
export function changeOf({ checkpoint, info, isRollback, previous }: Revision): CheckpointChange {
  return {
    ...{ kind: 'checkpoint', phase: isRollback ? 'rolled_back' : 'active', checkpoint },
    tasks: info.tasks.map(({ name }) => name),
    ...(previous && { previous: previous.checkpoint }),
  };
}
