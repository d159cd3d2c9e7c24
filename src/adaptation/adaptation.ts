/**
 * Online adaptation as the daemon offers it: start, label, undo, status, commit, rollback, export.
 * One session at a time. Every change of what serves is in the audit log before it is made, and is
 * not made where the log cannot be written.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Subscription } from 'rxjs';
import { EegError, toEegError } from '../core/errors.js';
import type { CheckpointChange, MarkerEvent } from '../core/events.js';
import { type Clock, systemClock } from '../core/time.js';
import type { EngineKind } from '../engine/worker-protocol.js';
import type { AdaptationHost } from './adaptation-host.js';
import {
  exportSchema,
  type LabelArguments,
  labelSchema,
  parse,
  plainSchema,
  type StartArguments,
  startSchema,
  undoSchema,
} from './arguments.js';
import { AuditLog } from './audit-log.js';
import { exportBids } from './bids.js';
import { storeError } from './crc-lines.js';
import { LabelStore, type SessionHead } from './label-store.js';
import type { LearnerHostOptions } from './learner-host.js';
import type { Learned } from './learner-protocol.js';
import type { Verdict } from './promotion.js';
import { Session } from './session.js';
import { headOf, requireTeachable, taskOf } from './session-head.js';

export interface AdaptationOptions {
  /** Where sessions, exports and the audit log go. */
  readonly folder: string;
  readonly host: AdaptationHost;
  readonly threads?: number;
  /** What computes the learner's losses and gradients; ONNX Runtime where absent. */
  readonly engine?: EngineKind;
  readonly clock?: Clock;
  readonly fork?: NonNullable<LearnerHostOptions['fork']>;
}

interface Running {
  readonly session: Session;
  readonly start: StartArguments;
  readonly markers: Subscription;
}

export class Adaptation {
  readonly #options: AdaptationOptions;
  readonly #clock: Clock;
  #running: Running | undefined;
  #audit: AuditLog | undefined;
  #busy: Promise<unknown> = Promise.resolve();

  constructor(options: AdaptationOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /** `DaemonApi.adapt`. Rejects with an `EegError`. */
  command(
    command: string,
    args: Readonly<Record<string, unknown>>,
  ): Promise<Record<string, unknown>> {
    if (command === 'status') return Promise.resolve(this.status());
    const done = this.#busy.then(() => this.#command(command, args));
    this.#busy = done.catch(() => undefined);
    return done;
  }

  status(): Record<string, unknown> {
    return this.#running?.session.status() ?? { state: 'idle' };
  }

  /** Take up the session that ran when the daemon ended. */
  async resume(): Promise<void> {
    const text = await readFile(this.#currentFile, 'utf8').catch(() => undefined);
    if (text === undefined) return;
    const { session, start } = JSON.parse(text) as { session: string; start: unknown };
    await this.#open(session, startSchema.parse(start), undefined);
  }

  async close(): Promise<void> {
    await this.#busy;
    this.#running?.markers.unsubscribe();
    await this.#running?.session.close();
    await this.#audit?.close();
  }

  async #command(
    command: string,
    args: Readonly<Record<string, unknown>>,
  ): Promise<Record<string, unknown>> {
    switch (command) {
      case 'start':
        return await this.#start(parse(startSchema, args));
      case 'label':
        return await this.#label(parse(labelSchema, args));
      case 'undo':
        await this.#need().session.undo(parse(undoSchema, args).id);
        return this.status();
      case 'commit':
        return await this.#commit(parse(plainSchema, args).actor ?? 'client');
      case 'rollback':
        return await this.#rollback(parse(plainSchema, args).actor ?? 'client');
      case 'export':
        return await this.#export(parse(exportSchema, args).subject);
      default:
        throw new EegError('EEG_USAGE', `adaptation has no command "${command}"`);
    }
  }

  async #start(start: StartArguments): Promise<Record<string, unknown>> {
    const { host } = this.#options;
    const known = this.#running?.session;
    if (known !== undefined && known.task.name === start.task) {
      if (known.task.classes.join('\n') === start.classes.join('\n')) return this.status();
    }
    const base = await host.base();
    requireTeachable(base, start);
    const source = host.source(start.stream);
    const session = `${start.task}-${randomBytes(4).toString('hex')}`;
    const now = { session, checkpoint: base.id, wallMs: this.#clock.wallMs() };
    const head = headOf(start, source, now);
    await this.#stopRunning();
    await this.#open(session, start, head);
    await replaceCurrent(this.#currentFile, { session, start });
    await this.#log('adapt.start', start.actor ?? 'client', null, session, `task ${start.task}`);
    return this.status();
  }

  async #open(
    session: string,
    start: StartArguments,
    head: SessionHead | undefined,
  ): Promise<void> {
    const { host, folder, threads = 1, engine = 'onnx', fork } = this.#options;
    const base = await host.base();
    const store = await LabelStore.open(join(folder, 'sessions', session), head);
    const task = taskOf(store.head);
    const running: Session = new Session({
      store,
      task,
      host,
      clock: this.#clock,
      learner: {
        checkpoint: base.folder,
        task,
        pack: task.name,
        experts: start.experts,
        positions: Float32Array.from(store.head.positions),
        channels: store.head.channels,
        seed: start.seed,
        ...{ threads, engine },
        ...(start.like === undefined ? {} : { like: start.like }),
      },
      onChange: () => this.#tell(),
      onCandidate: (learned, verdict) => {
        if (start.auto) this.#promoteSoon(learned, verdict);
      },
      ...(fork === undefined ? {} : { fork }),
    });
    const markers = host.events$.subscribe((event) => {
      if (event.kind === 'marker') this.#marker(event);
      else if (event.kind === 'prediction') running.predicted(event);
    });
    this.#running = { session: running, start, markers };
    this.#keepRaw(store.head.stream);
    this.#tell();
  }

  async #label(args: LabelArguments): Promise<Record<string, unknown>> {
    const { session, start } = this.#need();
    this.#keepRaw(session.store.head.stream);
    const { classes } = session.task;
    if (!classes.includes(args.label)) {
      throw new EegError(
        'EEG_ADAPT_STATE',
        `expected one of ${classes.join(', ')}, got "${args.label}"`,
      );
    }
    if (args.id !== undefined) await session.relabel(args.id, args.label);
    else {
      const startS = (args.startS ?? this.#clock.now()) + start.latencyS;
      session.label(args.label, { startS, durationS: args.durationS ?? spanOf(start) });
    }
    return this.status();
  }

  #marker({ text, stampS }: MarkerEvent): void {
    if (this.#running === undefined) return;
    const { session, start } = this.#running;
    const plain = text.trim();
    const known = start.markers[plain] ?? session.task.classes.find((each) => each === plain);
    if (known === undefined || !session.task.classes.includes(known)) return;
    session.label(known, { startS: stampS + start.latencyS, durationS: spanOf(start) });
  }

  async #commit(actor: string): Promise<Record<string, unknown>> {
    const { session } = this.#need();
    const { candidate } = session;
    if (candidate === undefined) {
      session.learn();
      return this.status();
    }
    const { learned, verdict } = candidate;
    if (!verdict.promote) {
      session.learn();
      throw new EegError('EEG_ADAPT_REFUSED', verdict.why);
    }
    await this.#promote(learned, verdict, actor);
    return this.status();
  }

  #promoteSoon(learned: Learned, verdict: Verdict): void {
    this.#busy = this.#busy
      .then(() => this.#promote(learned, verdict, 'eegd'))
      .catch((error: unknown) => this.#running?.session.say(toEegError(error).line));
  }

  async #promote(learned: Learned, verdict: Verdict, actor: string): Promise<void> {
    const { session } = this.#need();
    if (session.candidate?.learned !== learned) return;
    const { host } = this.#options;
    const accuracy = verdict.accuracy.value;
    const to = `${learned.pack.name} from ${learned.trials.length} trials`;
    await this.#log('adapt.promote', actor, host.serving(), to, verdict.why);
    const change = await host.activate(learned.pack, {
      ...{ accuracy, low: verdict.accuracy.low, high: verdict.accuracy.high },
      ...{ trials: learned.trials.length, epochs: learned.epochs, seconds: learned.seconds },
      ...{ expertShare: learned.expertShare },
    });
    await this.#log(
      'adapt.promoted',
      actor,
      change.previous ?? null,
      change.checkpoint,
      verdict.why,
    );
    session.activated(accuracy);
  }

  async #rollback(actor: string): Promise<Record<string, unknown>> {
    const { host } = this.#options;
    await this.#log('adapt.rollback', actor, host.serving(), null, 'asked for');
    const change: CheckpointChange = await host.rollback();
    await this.#log('adapt.rolled_back', actor, change.previous ?? null, change.checkpoint, 'done');
    this.#running?.session.rolledBack();
    return { ...this.status(), checkpoint: change.checkpoint };
  }

  async #export(subject: string): Promise<Record<string, unknown>> {
    const { store } = this.#need().session;
    if (store.trials.length === 0)
      throw new EegError('EEG_ADAPT_STATE', 'there is no label to export');
    const folder = join(this.#options.folder, 'exports', store.head.session);
    return { folder, files: await exportBids(store, folder, subject) };
  }

  async #log(
    action: string,
    actor: string,
    from: string | null,
    to: string | null,
    why: string,
  ): Promise<void> {
    this.#audit ??= await AuditLog.open(join(this.#options.folder, 'audit.jsonl'));
    const now = { wallMs: this.#clock.wallMs(), stampS: this.#clock.now() };
    await this.#audit.append({ actor, action, from, to, why }, now);
  }

  #tell(): void {
    const session = this.#running?.session;
    if (session === undefined) return;
    const body = session.status();
    this.#options.host.emit({ kind: 'adaptation', stream: session.store.head.stream, body });
  }

  #need(): Running {
    if (this.#running !== undefined) return this.#running;
    const hint = 'name a task and its classes first: eegd adapt start';
    throw new EegError('EEG_ADAPT_STATE', 'no task is being taught', { hint });
  }

  async #stopRunning(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    running?.markers.unsubscribe();
    this.#options.host.keepRaw(undefined);
    await running?.session.close();
    await rm(this.#currentFile, { force: true });
  }

  /** Resumed before its stream is back, a session keeps raw samples from the stream's return on. */
  #keepRaw(stream: string): void {
    try {
      this.#options.host.keepRaw(stream);
    } catch (error) {
      if (toEegError(error).code !== 'EEG_STREAM_UNKNOWN') throw error;
    }
  }

  get #currentFile(): string {
    return join(this.#options.folder, 'current.json');
  }
}

/** Seconds that a mark without an end stands for. */
const spanOf = ({ trialS, windowS }: StartArguments): number => Math.max(windowS, trialS ?? 0);

async function replaceCurrent(path: string, content: unknown): Promise<void> {
  try {
    await mkdir(join(path, '..'), { recursive: true });
    await writeFile(path, JSON.stringify(content), { flush: true });
  } catch (cause) {
    throw storeError(`cannot write ${path}`, cause);
  }
}
