/** An engine on virtual time that is well, slow, hangs or fails, and checkpoints good and bad. */
import { EegError } from '../../src/core/errors.js';
import type { Rng } from '../../src/core/rng.js';
import type { TaskSpec } from '../../src/core/tasks.js';
import type { Clock } from '../../src/core/time.js';
import type { CheckpointStore, Choice } from '../../src/daemon/checkpoint-store.js';
import { FakeEngine, taskSpec, threeTasks } from '../support/fake-engine.js';

export type Mood = 'well' | 'slow' | 'hangs' | 'fails';

/** Tasks of the checkpoints that can be served. */
export const checkpoints: Readonly<Record<string, readonly TaskSpec[]>> = {
  'a@1': threeTasks,
  'a@2': threeTasks,
  'b@1': [taskSpec('workload', { windowS: 2, hopS: 0.5 }), taskSpec('seizure', { windowS: 6 })],
};
/** One that does not verify, one that is another than it says, one that is not there. */
export const badCheckpoints = ['broken@1', 'liar@1', 'missing@1'];

export class SimulatedMachine {
  readonly engines: FakeEngine[] = [];
  mood: Mood = 'well';
  diskFull = false;
  choice: Choice | undefined;
  readonly #rng: Rng;
  readonly #clock: Clock;
  readonly #hung = new Set<(error: EegError) => void>();

  constructor(rng: Rng, clock: Clock) {
    this.#rng = rng;
    this.#clock = clock;
  }

  readonly openEngine = async (folder: string): Promise<FakeEngine> => {
    await this.#pass(this.#rng.below(2000));
    if (folder === 'broken@1')
      throw new EegError('EEG_MODEL_INVALID', 'expected another digest of model.safetensors');
    const id = folder === 'liar@1' ? 'a@1' : folder;
    const engine = new FakeEngine(checkpoints[id], id);
    engine.before = () => this.#before();
    engine.parallel = 1 + this.#rng.below(3);
    this.engines.push(engine);
    return engine;
  };

  get store(): CheckpointStore {
    const known = [...Object.keys(checkpoints), 'broken@1', 'liar@1'];
    const store = {
      find: async (id: string) => {
        if (!known.includes(id)) throw new EegError('EEG_MODEL_NOT_FOUND', `no ${id}`);
        return { id, folder: id };
      },
      choose: async (choice: Choice) => {
        await this.#pass(this.#rng.below(100));
        if (this.diskFull) throw new EegError('EEG_STORE_NO_SPACE', 'the disk is full');
        this.choice = choice;
      },
    };
    return store as unknown as CheckpointStore;
  }

  /** What hangs is given up, as a worker is that does not answer. */
  recover(): void {
    this.mood = 'well';
    for (const giveUp of this.#hung) giveUp(new EegError('EEG_ENGINE_FAILED', 'it hung'));
    this.#hung.clear();
  }

  async #before(): Promise<void> {
    const { mood } = this;
    if (mood === 'slow') await this.#pass(this.#rng.below(1500));
    else if (mood === 'fails' && this.#rng.uniform() < 0.7)
      throw new EegError('EEG_ENGINE_FAILED', 'the worker is gone');
    else if (mood === 'hangs') await new Promise<void>((_, reject) => this.#hung.add(reject));
    else if (this.#rng.below(4) === 0) await this.#pass(this.#rng.below(60));
  }

  #pass(ms: number): Promise<void> {
    return new Promise((resolve) => this.#clock.setTimeout(resolve, ms));
  }
}
