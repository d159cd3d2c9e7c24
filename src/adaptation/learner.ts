/**
 * The learner process: lowest priority, one thread, memory bounded by whoever started it. Holds the
 * frozen base, the latents of the labelled trials and the last pack; serves nothing. Killed at any
 * moment it takes nothing with it: labels are the daemon's, and it is told them again.
 */
import { toEegError } from '../core/errors.js';
import type { Readout } from '../core/readout.js';
import { Rng } from '../core/rng.js';
import { type Checkpoint, loadCheckpoint } from '../model/checkpoint.js';
import { attachPack, type Pack } from '../model/growing.js';
import { encodePack } from '../model/pack-checkpoint.js';
import { ExpertTrainer, trialsPerClassMin } from './expert-trainer.js';
import type { FromLearner, LearnerStart, ToLearner, TrialMessage } from './learner-protocol.js';
import { changedTasks } from './old-tasks.js';
import { trialEvidence } from './readout-trainer.js';
import { ReplayMemory } from './replay-memory.js';
import { TrialLatents } from './trial-latents.js';
import type { TrainerTrial } from './trial-votes.js';

/** Of the whole process; the engine's memory is not in the heap that node bounds. */
const residentMbMax = Number(process.env.EEGD_LEARNER_MB ?? 2048);
const progressEveryMs = 250;
const outOfMemory = 134;
/** What the memory of the process has room for. */
const trialsMax = 512;

class Learner {
  readonly #base: Checkpoint;
  readonly #latents: TrialLatents;
  readonly #trainer: ExpertTrainer;
  readonly #trials: ReplayMemory<TrainerTrial>;
  #candidate: Pack | undefined;
  /** Before the first candidate: a read-out alone, learned anew now and then. */
  #first: Readout | undefined;
  #firstAgainAt = 0;

  private constructor(
    base: Checkpoint,
    latents: TrialLatents,
    trainer: ExpertTrainer,
    trials: ReplayMemory<TrainerTrial>,
  ) {
    this.#trials = trials;
    this.#base = base;
    this.#latents = latents;
    this.#trainer = trainer;
  }

  static async open(start: LearnerStart): Promise<Learner> {
    const base = await loadCheckpoint(start.checkpoint);
    const { task, threads, experts, like, seed, channels, engine = 'onnx' } = start;
    const latents = await TrialLatents.open(base, task, start.positions, { threads });
    let told = 0;
    const trainer = await ExpertTrainer.open(base, {
      pack: { name: start.pack, task, experts, ...(like === undefined ? {} : { like }) },
      ...{ seed, threads, channels, engine },
      async onStep(phase, share) {
        endWhereTooLarge();
        if (performance.now() - told < progressEveryMs) return;
        told = performance.now();
        tell({ kind: 'progress', phase, share });
        // Runs of the engine block the loop: let messages in.
        await new Promise((resolve) => setImmediate(resolve));
      },
    });
    return new Learner(base, latents, trainer, new ReplayMemory(trialsMax, new Rng(seed + 7)));
  }

  async take(message: Exclude<ToLearner, { kind: 'start' }>): Promise<void> {
    if (message.kind === 'learn') await this.#learn();
    else if (message.kind === 'forget') this.#trials.forget(message.id);
    else if (message.kind === 'relabel') this.#trials.relabel(message.id, message.label);
    else await this.#add(message);
  }

  async #add({ id, label, signal }: TrialMessage): Promise<void> {
    endWhereTooLarge();
    const trial = { id, label, windows: await this.#latents.windows(signal) };
    if (trial.windows.length === 0) {
      tell({ kind: 'unusable', id });
      return;
    }
    const predicted = await this.#predict(trial);
    if (predicted !== undefined) tell({ kind: 'tested', id, correct: predicted === label });
    this.#trials.add(trial);
    if (this.#candidate === undefined) this.#learnFirst();
  }

  async #predict(trial: TrainerTrial): Promise<number | undefined> {
    if (this.#candidate !== undefined)
      return (await this.#trainer.predict(this.#candidate, [trial]))[0];
    const spectra = trial.windows.flatMap((window) => window.spectra ?? []);
    if (this.#first === undefined || spectra.length === 0) return undefined;
    const evidence = trialEvidence(this.#first, spectra, this.#trainer.task.classes.length);
    return evidence.indexOf(Math.max(...evidence));
  }

  #learnFirst(): void {
    if (this.#trials.size < this.#firstAgainAt) return;
    this.#firstAgainAt = Math.ceil(1.1 * this.#trials.size);
    const trials = this.#trials.trials();
    const { classes } = this.#trainer.task;
    const counts = classes.map((_, k) => trials.filter(({ label }) => label === k).length);
    if (Math.min(...counts) < trialsPerClassMin) return;
    this.#first = this.#trainer.readout(trials);
  }

  async #learn(): Promise<void> {
    const began = performance.now();
    const trials = this.#trials.trials();
    const judged = await this.#trainer.crossValidate(trials);
    const { pack, epochs, expertShare } = await this.#trainer.fit(trials);
    const changed = await changedTasks(this.#base, attachPack(this.#base, pack));
    this.#candidate = pack;
    tell({
      kind: 'learned',
      pack: await encodePack(this.#base, pack),
      trials: trials.map(({ id }) => id),
      correct: judged.correct,
      total: judged.total,
      labels: judged.labels,
      changedTasks: changed,
      epochs,
      expertShare,
      ...(judged.baseCorrect === undefined ? {} : { baseCorrect: judged.baseCorrect }),
      seconds: (performance.now() - began) / 1000,
    });
  }
}

/** Out of memory this process ends by itself: the kernel's choice might be the daemon. */
function endWhereTooLarge(): void {
  const residentMb = process.memoryUsage.rss() / 2 ** 20;
  if (residentMb <= residentMbMax) return;
  process.stderr.write(
    `the learner needs ${Math.round(residentMb)} of ${residentMbMax} MB: ends\n`,
  );
  process.exit(outOfMemory);
}

function tell(message: FromLearner): void {
  process.send?.(message);
}

function refuse(error: unknown): void {
  const { code, message, hint } = toEegError(error);
  tell({ kind: 'refused', code, why: `${message} (${hint})` });
}

/** Messages one after the other; what goes wrong with one is told, and the next is taken. */
function main(): void {
  let learner: Learner | undefined;
  let queue: Promise<void> = Promise.resolve();
  const handle = async (message: ToLearner) => {
    if (message.kind === 'start') {
      learner = await Learner.open(message.start);
      tell({ kind: 'ready' });
    } else await learner?.take(message);
  };
  process.on('message', (message: ToLearner) => {
    queue = queue.then(() => handle(message)).catch(refuse);
  });
  process.on('disconnect', () => process.exit(0));
}

main();
