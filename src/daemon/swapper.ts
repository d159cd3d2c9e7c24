/**
 * Changes the serving checkpoint under running streams: load and verify beside it, warm, compare
 * if asked, remember the choice durably, flip. One change at a time; one that fails leaves the
 * old checkpoint serving.
 */
import { EegError, toEegError } from '../core/errors.js';
import type { CheckpointChange } from '../core/events.js';
import type { Clock } from '../core/time.js';
import type { Engine } from '../engine/engine.js';
import type { CheckpointStore, Choice, StoredCheckpoint } from './checkpoint-store.js';
import type { ModelHost } from './model-host.js';
import type { ShadowReport } from './shadow.js';

/** Opens the checkpoint in a folder with expert packs: verified and warm. */
export type OpenEngine = (folder: string, packs?: readonly string[]) => Promise<Engine>;

export interface SwapperParts {
  readonly store: CheckpointStore;
  readonly host: ModelHost;
  readonly shadow: ShadowReport;
  readonly openEngine: OpenEngine;
  readonly emit: (change: CheckpointChange) => void;
  readonly clock: Clock;
}

export class Swapper {
  readonly #parts: SwapperParts;
  #previous: string | undefined;
  #busy = false;

  constructor(parts: SwapperParts, previous: string | undefined) {
    this.#parts = parts;
    this.#previous = previous;
  }

  get previous(): string | undefined {
    return this.#previous;
  }

  /** Verify and warm; with `shadowS` also run both that long and report how they agree. */
  load(id: string, shadowS = 0): Promise<CheckpointChange> {
    return this.#alone(id, async (stored) => {
      const verified = await this.#prepare(stored);
      return shadowS > 0 ? this.#compare(stored, shadowS) : verified;
    });
  }

  /** Serve it from the next window on, loading it first where that was not done. */
  activate(id: string): Promise<CheckpointChange> {
    return this.#alone(id, async (stored) => {
      if (this.#parts.host.candidate?.checkpoint !== stored.id) await this.#prepare(stored);
      return this.#flip(stored, 'active');
    });
  }

  async rollback(): Promise<CheckpointChange> {
    const previous = this.#previous;
    if (previous === undefined)
      throw new EegError('EEG_MODEL_NOT_FOUND', 'expected a previous checkpoint, there is none');
    return this.#alone(previous, async (stored) => {
      await this.#prepare(stored);
      return this.#flip(stored, 'rolled_back');
    });
  }

  async #alone(
    id: string,
    run: (stored: StoredCheckpoint) => Promise<CheckpointChange>,
  ): Promise<CheckpointChange> {
    if (this.#busy) throw new EegError('EEG_MODEL_BUSY', `expected no swap under way for ${id}`);
    this.#busy = true;
    const { store, host, emit } = this.#parts;
    try {
      return await run(await store.find(id));
    } catch (error) {
      const failure = toEegError(error);
      await host.discard();
      emit({ kind: 'checkpoint', phase: 'failed', checkpoint: id, detail: failure.line });
      throw failure;
    } finally {
      this.#busy = false;
    }
  }

  async #prepare(stored: StoredCheckpoint): Promise<CheckpointChange> {
    const { host, openEngine } = this.#parts;
    this.#say({ phase: 'loading', checkpoint: stored.id });
    const engine = await openEngine(stored.folder, stored.packs);
    if (engine.info.checkpoint !== stored.id) {
      await engine.close();
      throw new EegError(
        'EEG_MODEL_INVALID',
        `expected ${stored.id} in ${stored.folder}, got ${engine.info.checkpoint}`,
      );
    }
    await host.prepare(engine);
    return this.#say({ phase: 'verified', checkpoint: stored.id });
  }

  async #compare(stored: StoredCheckpoint, shadowS: number): Promise<CheckpointChange> {
    const { host, shadow, clock } = this.#parts;
    shadow.reset();
    await host.shadowFor(
      new Promise((resolve) => clock.setTimeout(() => resolve(undefined), shadowS * 1000)),
    );
    return this.#say({ phase: 'shadow', checkpoint: stored.id, detail: shadow.summary() });
  }

  async #flip(stored: StoredCheckpoint, phase: 'active' | 'rolled_back') {
    const { host, store } = this.#parts;
    const serving = host.info.checkpoint;
    // The same one loaded anew is no change to go back from.
    const previous = serving === stored.id ? this.#previous : serving;
    const choice: Choice = { active: stored.id, previous };
    // Durable before it serves: a kill from here on brings back the new, verified one.
    await store.choose(choice);
    host.flip();
    this.#previous = previous;
    const tasks = host.info.tasks.map((task) => task.name);
    const change = { phase, checkpoint: stored.id, tasks };
    return this.#say(previous === undefined ? change : { ...change, previous });
  }

  #say(change: Omit<CheckpointChange, 'kind'>): CheckpointChange {
    const event: CheckpointChange = { kind: 'checkpoint', ...change };
    this.#parts.emit(event);
    return event;
  }
}
