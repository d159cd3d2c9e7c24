/**
 * The model as the daemon has it: the checkpoint that serves, and during a swap a second one that
 * is warmed beside it. Both get every second; windows go to exactly one of them (in shadow mode
 * also to the other, whose answers are only compared). The flip is one synchronous step between
 * two grid points, so no window is lost or answered twice; answers come in the windows' order.
 */
import type { Clock } from '../core/time.js';
import type { Engine, EngineInfo } from '../engine/engine.js';
import type { SignalRing } from '../signal/ring.js';
import type { QueueCounters } from '../windows/bounded-queue.js';
import { Past } from '../windows/past.js';
import { Schedule, type Tick } from '../windows/schedule.js';
import { endsBefore, type PatchSource } from '../windows/served-stream.js';
import { type EngineRun, type Pace, Serving, type WindowAnswer } from '../windows/serving.js';
import type { Due } from '../windows/ticks.js';
import { Sequencer } from './sequencer.js';

export interface HostedSource extends PatchSource {
  /** 200 Hz index after the newest sample. */
  newestSample(): number;
  readonly ring: SignalRing;
}

export interface HostOptions {
  readonly onAnswer: (answer: WindowAnswer, info: EngineInfo) => void;
  readonly onShadow?: (answer: WindowAnswer, info: EngineInfo) => void;
  readonly onRun?: (run: EngineRun) => void;
  readonly clock: Clock;
  readonly pace: Pace;
}

interface Hosted {
  readonly source: HostedSource;
  readonly past: Past;
  /** Names of the tasks to serve; all where absent. */
  readonly only?: ReadonlySet<string>;
}

/** One checkpoint with its latents of every stream. */
class Model {
  readonly serving: Serving;
  readonly schedules = new Map<string, Schedule>();

  constructor(engine: Engine, onAnswer: (answer: WindowAnswer) => void, options: HostOptions) {
    const { clock, pace, onRun } = options;
    this.serving = new Serving(engine, {
      onAnswer,
      clock,
      pace,
      ...(onRun === undefined ? {} : { onRun }),
    });
  }

  get info(): EngineInfo {
    return this.serving.engine.info;
  }

  attach({ source, only }: Hosted): void {
    this.serving.attach(source);
    this.schedules.set(source.id, new Schedule(this.info.tasks, only));
  }

  /** Compute again what the ring and the stream's past still hold. */
  backfill({ source, past }: Hosted): void {
    const schedule = this.schedules.get(source.id);
    if (schedule === undefined) return;
    this.serving.remember(source.id, past.seconds());
    const newest = source.newestSample();
    for (const end of endsBefore(newest, schedule.windowSamplesMax, source.oldestSample()))
      if (schedule.needs(end)) this.serving.tick(source.id, end);
  }

  detach(id: string): void {
    this.serving.detach(id);
    this.schedules.delete(id);
  }

  tick(id: string, endSample: number): void {
    if (this.schedules.get(id)?.needs(endSample)) this.serving.tick(id, endSample);
  }
}

export class ModelHost {
  readonly #options: HostOptions;
  readonly #streams = new Map<string, Hosted>();
  readonly #sequencer = new Sequencer();
  #active: Model;
  #candidate: Model | undefined;
  #shadow = false;
  /** Checkpoints that serve no more but still answer what they were asked. */
  readonly #retiring = new Set<Promise<void>>();

  constructor(engine: Engine, options: HostOptions) {
    this.#options = options;
    this.#active = this.#model(engine);
    engine.serve?.();
  }

  get info(): EngineInfo {
    return this.#active.info;
  }

  get candidate(): EngineInfo | undefined {
    return this.#candidate?.info;
  }

  get pending(): number {
    return this.#active.serving.pending;
  }

  /** An earlier source of the same id goes; what it still owes is refused. */
  attach(source: HostedSource, only?: ReadonlySet<string>): void {
    const earlier = this.#streams.get(source.id);
    if (earlier !== undefined) this.detach(earlier.source);
    const hosted = { source, past: new Past(), ...(only === undefined ? {} : { only }) };
    this.#streams.set(source.id, hosted);
    this.#active.attach(hosted);
    this.#candidate?.attach(hosted);
  }

  /** Does nothing where another source has taken the id since. */
  detach(source: HostedSource): void {
    if (this.#streams.get(source.id)?.source !== source) return;
    this.#streams.delete(source.id);
    this.#active.detach(source.id);
    this.#candidate?.detach(source.id);
  }

  /** See `Schedule.nextWindowS`. */
  nextWindowS(id: string, sinceS: number, lastS: number): number {
    return this.#active.schedules.get(id)?.nextWindowS(sinceS, lastS) ?? Number.POSITIVE_INFINITY;
  }

  /** What is due on a stream: the seconds of both checkpoints, the windows of the serving one. */
  due(id: string): Due {
    return {
      needs: (end) =>
        (this.#active.schedules.get(id)?.needs(end) ?? false) ||
        (this.#candidate?.schedules.get(id)?.needs(end) ?? false),
      windowsAt: (end) => this.#active.schedules.get(id)?.windowsAt(end) ?? [],
    };
  }

  take(id: string, tick: Tick): void {
    const hosted = this.#streams.get(id);
    if (hosted === undefined) return;
    const { endSample, stampS, arrivalS } = tick;
    hosted.past.see(hosted.source, endSample);
    this.#active.tick(id, endSample);
    this.#candidate?.tick(id, endSample);
    const request = { stream: id, endSample, stampS, arrivalS };
    for (const { task } of tick.windows) {
      const seq = this.#sequencer.next(id, taskName(this.info, task));
      this.#active.serving.window({ ...request, task, seq });
    }
    if (!this.#shadow || this.#candidate === undefined) return;
    const due = this.#candidate.schedules.get(id)?.windowsAt(endSample) ?? [];
    for (const { task, k } of due)
      this.#candidate.serving.window({ ...request, task, seq: k, shadow: true });
  }

  /** Warm a second checkpoint until it has seen what the serving one has. Replaces an earlier. */
  async prepare(engine: Engine): Promise<void> {
    await this.discard();
    const model = this.#model(engine);
    // What it catches up with shall not hold what is served.
    model.serving.giveWayTo(this.#active.serving);
    this.#candidate = model;
    for (const hosted of this.#streams.values()) {
      model.attach(hosted);
      model.backfill(hosted);
    }
    await model.serving.idle();
    model.serving.giveWayTo(undefined);
  }

  /** Give the candidate the windows too until `until` resolves; then wait for its answers. */
  async shadowFor(until: Promise<unknown>): Promise<void> {
    this.#shadow = true;
    await until;
    this.#shadow = false;
    await this.#candidate?.serving.idle();
  }

  /** From the next window on the candidate serves; the old one answers what it was asked. */
  flip(): void {
    const old = this.#active;
    const next = this.#candidate;
    if (next === undefined) return;
    next.serving.engine.serve?.();
    this.#active = next;
    this.#candidate = undefined;
    this.#shadow = false;
    void this.#retire(old);
  }

  /** Give the candidate up. */
  async discard(): Promise<void> {
    const model = this.#candidate;
    this.#candidate = undefined;
    this.#shadow = false;
    if (model !== undefined) await this.#retire(model);
  }

  /** Every window asked for so far is answered. */
  async idle(): Promise<void> {
    await Promise.all([this.#active.serving.idle(), ...this.#retiring]);
  }

  counters(): QueueCounters[] {
    return this.#active.serving.counters();
  }

  async close(): Promise<void> {
    await this.discard();
    await this.#retire(this.#active);
    await Promise.all(this.#retiring);
  }

  #retire({ serving }: Model): Promise<void> {
    const done = serving.drain().then(() => serving.engine.close());
    this.#retiring.add(done);
    return done.finally(() => this.#retiring.delete(done));
  }

  #model(engine: Engine): Model {
    const { onAnswer, onShadow } = this.#options;
    const deliver = (answer: WindowAnswer) => {
      const { stream, task, seq, shadow } = answer.request;
      const sequenced = { stream, taskName: taskName(engine.info, task), seq };
      if (shadow) onShadow?.(answer, engine.info);
      else this.#sequencer.answer(sequenced, () => onAnswer(answer, engine.info));
    };
    return new Model(engine, deliver, this.#options);
  }
}

function taskName(info: EngineInfo, task: number): string {
  return info.tasks[task]?.name ?? '';
}
