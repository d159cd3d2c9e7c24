/**
 * Answers the windows of steps: the streams' signal, and one `Serving` for each checkpoint in use.
 * The worker feeds it from JetStream, an edge whose link is down feeds it its own steps. Every
 * step given with windows is answered once, all its windows together.
 */

import type { TaskSpec } from '../core/tasks.js';
import type { Clock } from '../core/time.js';
import type { Engine, EngineInfo } from '../engine/engine.js';
import { Schedule } from '../windows/schedule.js';
import { endsBefore, type WindowRequest } from '../windows/served-stream.js';
import { type EngineRun, Serving, type WindowAnswer } from '../windows/serving.js';
import { staleAfterS } from '../windows/urgency.js';
import { keyOf } from './names.js';
import { RemoteStream, replaces } from './remote-stream.js';
import type { ResultWindow } from './result-message.js';
import { type Step, type StepWindow, windowStampWallS } from './step-message.js';
import { toLslS } from './wall-time.js';
import { BadMessage } from './wire.js';

export interface StepServerOptions {
  /** The checkpoint that answers a window which ends then. */
  readonly modelAt: (stampWallS: number, person: string) => string | undefined;
  readonly clock: Clock;
  readonly staleAfterS?: (task: TaskSpec) => number;
  readonly onRun?: (run: EngineRun) => void;
}

interface Model {
  readonly engine: Engine;
  readonly serving: Serving;
  readonly schedules: Map<string, Schedule>;
  usedS: number;
  /** It has seen what the ring held. */
  isWarm: boolean;
}

/** The windows of one step that are not answered yet. */
interface Open {
  readonly answered: ResultWindow[];
  left: number;
  readonly receivedS: number;
  readonly done: (windows: readonly ResultWindow[]) => void;
}

interface Asked {
  readonly window: StepWindow;
  readonly open: Open;
  readonly info: EngineInfo;
}

/** Windows of one task of a stream that may wait: a stall of some seconds at 4 windows a second. */
const windowsMax = 64;
/** A stream without steps for so long is forgotten, s. */
const forgetAfterS = 90;

export class StepServer {
  readonly #options: StepServerOptions;
  readonly #streams = new Map<string, RemoteStream>();
  readonly #models = new Map<string, Model>();
  readonly #open = new Map<WindowRequest, Asked>();

  constructor(options: StepServerOptions) {
    this.#options = options;
  }

  get streams(): ReadonlyMap<string, RemoteStream> {
    return this.#streams;
  }

  get pending(): number {
    return this.#open.size;
  }

  has(checkpoint: string): boolean {
    return this.#models.get(checkpoint)?.isWarm === true;
  }

  infos(): EngineInfo[] {
    return [...this.#models.values()].map(({ engine }) => engine.info);
  }

  /** Serves a checkpoint too, once it has seen what the ring holds of every stream. */
  async add(engine: Engine): Promise<void> {
    const { clock, onRun, staleAfterS: ageMaxS = staleAfterS } = this.#options;
    const serving = new Serving(engine, {
      onAnswer: (answer) => this.#answered(answer),
      ...{ clock, windowsMax, staleAfterS: ageMaxS },
      ...(onRun === undefined ? {} : { onRun }),
    });
    await this.remove(engine.info.checkpoint);
    const model = { engine, serving, schedules: new Map(), usedS: clock.now(), isWarm: false };
    this.#models.set(engine.info.checkpoint, model);
    for (const stream of this.#streams.values()) attach(model, stream);
    await serving.idle();
    engine.serve?.();
    model.isWarm = true;
  }

  /** Answers what was asked of it, then closes it. */
  async remove(checkpoint: string): Promise<void> {
    const engine = await this.release(checkpoint);
    await engine?.close();
  }

  /** Answers what was asked of it; the engine is its owner's again. */
  async release(checkpoint: string): Promise<Engine | undefined> {
    const model = this.#models.get(checkpoint);
    if (model === undefined) return undefined;
    this.#models.delete(checkpoint);
    await model.serving.drain();
    return model.engine;
  }

  /** Of those added, the one that served longest ago and is not in `kept`. */
  leastUsed(kept: ReadonlySet<string>): string | undefined {
    const [oldest] = [...this.#models]
      .filter(([checkpoint]) => !kept.has(checkpoint))
      .sort(([, a], [, b]) => a.usedS - b.usedS);
    return oldest?.[0];
  }

  /** Some of the signal before this step is not here and can be read again. */
  misses(step: Step): boolean {
    const known = this.#streams.get(keyOf(step));
    if (known === undefined || replaces(step, known)) return step.previousEnd > 0;
    return known.misses(step);
  }

  /** Only the signal: a step read again. Throws `BadMessage` where it is of an earlier life. */
  apply(step: Step): RemoteStream {
    const stream = this.#streamOf(step);
    stream.lastS = this.#options.clock.now();
    const fresh = stream.apply(step);
    for (const model of this.#models.values()) {
      const schedule = model.schedules.get(stream.id);
      if (schedule === undefined) attach(model, stream);
      else for (const end of fresh) if (schedule.needs(end)) model.serving.tick(stream.id, end);
    }
    return stream;
  }

  /** `done` is called once, with an answer to each of the step's windows. */
  take(step: Step, done: (windows: readonly ResultWindow[]) => void): void {
    const stream = this.apply(step);
    const receivedS = this.#options.clock.now();
    const open: Open = { answered: [], left: step.windows.length, receivedS, done };
    if (open.left === 0) done([]);
    for (const window of step.windows) this.#ask(step, stream, window, open);
  }

  #ask(step: Step, stream: RemoteStream, window: StepWindow, open: Open): void {
    const stampWallS = windowStampWallS(step, window);
    const checkpoint = this.#checkpointFor(stampWallS, step.person);
    const model = this.#models.get(checkpoint);
    const task = model?.engine.info.tasks.findIndex(({ name }) => name === window.task) ?? -1;
    if (model === undefined || task < 0) {
      const reason = 'engine_failed';
      this.#settle(open, { ...window, validity: 0, reason, checkpoint, waitMs: 0, runMs: 0 });
      return;
    }
    model.usedS = open.receivedS;
    const request: WindowRequest = {
      stream: stream.id,
      task,
      seq: window.seq,
      endSample: window.endSample,
      stampS: toLslS(stampWallS),
      arrivalS: toLslS(step.arrivalWallS),
    };
    this.#open.set(request, { window, open, info: model.engine.info });
    model.serving.window(request);
  }

  /** The person's own where it is here, else the revision's. */
  #checkpointFor(stampWallS: number, person: string): string {
    const own = this.#options.modelAt(stampWallS, person);
    if (own !== undefined && this.has(own)) return own;
    return this.#options.modelAt(stampWallS, '') ?? '';
  }

  #answered(answer: WindowAnswer): void {
    const asked = this.#open.get(answer.request);
    if (asked === undefined) return;
    this.#open.delete(answer.request);
    const { window, open, info } = asked;
    const { startedS, doneS, validity, reason, routing } = answer;
    const head = { ...window, validity, checkpoint: info.checkpoint };
    const spent = { waitMs: (startedS - open.receivedS) * 1000, runMs: (doneS - startedS) * 1000 };
    const logits = ownLogits(answer, info);
    if (logits === undefined)
      this.#settle(open, { ...head, ...spent, reason: reason ?? 'engine_failed' });
    else this.#settle(open, { ...head, ...spent, logits, routing: routing ?? new Float32Array() });
  }

  #settle(open: Open, window: ResultWindow): void {
    open.answered.push(window);
    if (--open.left === 0) open.done(open.answered);
  }

  #streamOf(step: Step): RemoteStream {
    const key = keyOf(step);
    const known = this.#streams.get(key);
    if (known !== undefined && !replaces(step, known)) {
      if (step.epoch < known.epoch)
        throw new BadMessage('epoch', `expected ${key} of ${known.epoch}, got ${step.epoch}`);
      return known;
    }
    if (known !== undefined) this.#forget(known);
    const stream = new RemoteStream(step);
    this.#streams.set(key, stream);
    return stream;
  }

  /** Forgets the streams that ended; called now and then. */
  sweep(): void {
    const nowS = this.#options.clock.now();
    for (const stream of this.#streams.values())
      if (nowS - stream.lastS > forgetAfterS) this.#forget(stream);
  }

  async close(): Promise<void> {
    for (const checkpoint of [...this.#models.keys()]) await this.remove(checkpoint);
  }

  #forget({ id }: RemoteStream): void {
    this.#streams.delete(id);
    for (const { serving, schedules } of this.#models.values()) {
      serving.detach(id);
      schedules.delete(id);
    }
  }
}

function ownLogits({ logits, request }: WindowAnswer, info: EngineInfo): Float32Array | undefined {
  const offset = classOffset(info.tasks, request.task);
  const classes = info.tasks[request.task]?.classes.length ?? 0;
  return logits?.slice(offset, offset + classes);
}

export function classOffset(tasks: readonly TaskSpec[], task: number): number {
  return tasks.slice(0, task).reduce((sum, { classes }) => sum + classes.length, 0);
}

/** Computes what the ring holds of the stream, from now on every step. */
function attach(model: Model, stream: RemoteStream): void {
  const { tasks } = model.engine.info;
  const { only } = stream;
  const schedule = new Schedule(tasks, only.length === 0 ? undefined : new Set(only));
  model.serving.attach(stream);
  model.schedules.set(stream.id, schedule);
  const ends = endsBefore(stream.nextSample, schedule.windowSamplesMax, stream.oldestSample());
  for (const end of ends) if (schedule.needs(end)) model.serving.tick(stream.id, end);
}
