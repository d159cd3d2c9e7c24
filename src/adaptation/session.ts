/**
 * One task being taught: its labels on the disk, the learner beside, and how well it goes. Labels
 * are kept whatever becomes of the learner; it is told them again when it returns.
 */

import type { Prediction } from '../core/events.js';
import { modelRateHz, type TaskSpec } from '../core/tasks.js';
import type { Clock } from '../core/time.js';
import type { AdaptationHost } from './adaptation-host.js';
import { cutTrial, type Span } from './cut-trial.js';
import type { LabelStore } from './label-store.js';
import { LearnerHost, type LearnerHostOptions } from './learner-host.js';
import type { FromLearner, Learned, LearnerStart, TrialMessage } from './learner-protocol.js';
import { LiveAccuracy } from './live-accuracy.js';
import { Prequential, trialsNeeded } from './prequential.js';
import { chanceOf, judge, type Verdict } from './promotion.js';
import type { TrialSignal } from './trial-signal.js';
import { stillNeeded } from './trials.js';

export type SessionState = 'collecting' | 'learning' | 'ready' | 'active';

export interface SessionOptions {
  readonly store: LabelStore;
  readonly task: TaskSpec;
  readonly host: AdaptationHost;
  readonly clock: Clock;
  readonly learner: LearnerStart;
  readonly fork?: NonNullable<LearnerHostOptions['fork']>;
  /** Something changed that is worth telling. */
  readonly onChange: () => void;
  /** A candidate that passed the gate. */
  readonly onCandidate: (learned: Learned, verdict: Verdict) => void;
}

interface PendingLabel {
  readonly label: string;
  readonly span: Span;
  readonly untilS: number;
}

const pollMs = 100;
/** A label whose signal has not come this long after it could is given up. */
const patienceS = 10;
/** Learning begins anew when so many labels came since it last did. */
const newLabelsMin = 6;
const newLabelsShare = 0.2;

export class Session {
  readonly store: LabelStore;
  readonly task: TaskSpec;
  /** Set when a pack of this session serves: what it had at its promotion. */
  activeAccuracy: number | undefined;
  readonly #options: SessionOptions;
  readonly #learner: LearnerHost;
  readonly #prequential = new Prequential();
  /** Of the predictions that the daemon served. */
  readonly #live = new LiveAccuracy();
  readonly #unusable = new Set<number>();
  #pending: PendingLabel[] = [];
  #state: SessionState = 'collecting';
  #detail = '';
  #progress: { phase: string; share: number } | undefined;
  /** Of all that was learned so far. */
  #epochs = 0;
  #candidate: { learned: Learned; verdict: Verdict } | undefined;
  #learnedFrom = 0;
  #closed = false;
  #cancelPoll: () => void = () => undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.store = options.store;
    this.task = options.task;
    this.#learner = new LearnerHost({
      start: options.learner,
      clock: options.clock,
      known: () => this.#known(),
      onMessage: (message) => this.#take(message),
      onExit: (why, again) => this.#learnerEnded(why, again),
      ...(options.fork === undefined ? {} : { fork: options.fork }),
    });
    this.#learner.start();
  }

  get candidate(): { learned: Learned; verdict: Verdict } | undefined {
    return this.#candidate;
  }

  get learnerPid(): number | undefined {
    return this.#learner.pid;
  }

  /** Marks a span. It is stored when its last sample is in. */
  label(label: string, span: Span): void {
    // By our clock, not the stream's: a replayed one may run faster or lie in the past.
    const untilS = Math.max(this.#options.clock.now(), span.startS) + span.durationS + patienceS;
    this.#pending.push({ label, span, untilS });
    this.#poll();
  }

  async undo(id?: number): Promise<void> {
    const waiting = id === undefined ? this.#pending.pop() : undefined;
    if (waiting === undefined) {
      const trial = await this.store.undo(id);
      this.#prequential.forget(trial.id);
      this.#live.forget(trial.id);
      this.#learner.send({ kind: 'forget', id: trial.id });
    }
    this.#options.onChange();
  }

  async relabel(id: number, label: string): Promise<void> {
    await this.store.relabel(id, label);
    this.#prequential.forget(id);
    this.#live.forget(id);
    this.#learner.send({ kind: 'relabel', id, label: this.task.classes.indexOf(label) });
    this.#options.onChange();
  }

  /** Learn now; a learner that was given up is tried again. */
  learn(): void {
    this.#learner.revive();
    this.#state = 'learning';
    this.#learnedFrom = this.store.trials.length;
    this.#learner.send({ kind: 'learn' });
    this.#options.onChange();
  }

  /** What the daemon says of any task on any stream. */
  predicted(event: Prediction): void {
    if (event.task === this.task.name && event.stream === this.store.head.stream)
      this.#live.predicted(event);
  }

  activated(accuracy: number): void {
    this.activeAccuracy = accuracy;
    this.#state = 'active';
    this.#detail = '';
    this.#options.onChange();
  }

  rolledBack(): void {
    this.activeAccuracy = undefined;
    this.#state = 'collecting';
    this.#candidate = undefined;
    this.#options.onChange();
  }

  say(detail: string): void {
    this.#detail = detail;
    this.#options.onChange();
  }

  status(): Record<string, unknown> {
    const { head, damaged } = this.store;
    const counts = this.store.counts();
    const tested = this.#prequential.accuracy();
    const live = this.#live.accuracy();
    const verdict = this.#candidate?.verdict;
    const accuracy = tested.total > 0 ? tested : verdict?.accuracy;
    const judged = this.#candidate?.learned;
    const chance = chanceOf(
      this.store.trials.map(({ label }) => label),
      this.task.classes.length,
    );
    const correct = judged?.correct ?? 0;
    const total = judged?.total ?? 0;
    return {
      state: this.#state,
      session: head.session,
      stream: head.stream,
      task: this.task.name,
      classes: this.task.classes,
      labels: counts,
      pending: this.#pending.length,
      needed: stillNeeded(counts, trialsNeeded(correct, total, chance)),
      chance,
      learnerRunning: this.#learner.running,
      ...(this.#epochs === 0 ? {} : { epochs: this.#epochs }),
      ...(this.#unusable.size === 0 ? {} : { unusable: this.#unusable.size }),
      ...(damaged === 0 ? {} : { damaged }),
      ...(this.#progress === undefined
        ? {}
        : { progress: this.#progress.share, phase: this.#progress.phase }),
      ...(accuracy === undefined
        ? {}
        : { accuracy: accuracy.value, accuracyLow: accuracy.low, accuracyHigh: accuracy.high }),
      ...(tested.total === 0 ? {} : { tested: tested.total }),
      ...(live.total === 0
        ? {}
        : {
            ...{ live: `${live.correct}/${live.total}`, liveAccuracy: live.value },
            ...{ liveLow: live.low, liveHigh: live.high },
          }),
      ...(verdict === undefined ? {} : { heldOut: `${correct}/${total}`, verdict: verdict.why }),
      ...(this.#detail === '' ? {} : { detail: this.#detail }),
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelPoll();
    await this.#learner.close();
    await this.store.close();
  }

  /** Store the labels whose signal is complete; look again soon for the others. */
  #poll(): void {
    this.#cancelPoll();
    const waiting = this.#pending;
    this.#pending = [];
    for (const pending of waiting) if (this.#cut(pending) === 'wait') this.#pending.push(pending);
    this.#options.onChange();
    if (this.#pending.length > 0 && !this.#closed) {
      this.#cancelPoll = this.#options.clock.setTimeout(() => this.#poll(), pollMs);
    }
  }

  #cut({ label, span, untilS }: PendingLabel): 'wait' | 'done' {
    try {
      const cut = cutTrial(this.#options.host.source(this.store.head.stream), span);
      if (cut !== undefined) {
        void this.#keep(label, cut);
        return 'done';
      }
    } catch (error) {
      this.#detail = `${label} was not stored: ${messageOf(error)}`;
      return 'done';
    }
    if (this.#options.clock.now() <= untilS) return 'wait';
    this.#detail = `${label} was not stored: its signal did not come`;
    return 'done';
  }

  async #keep(label: string, cut: NonNullable<ReturnType<typeof cutTrial>>): Promise<void> {
    const { startS, startSample, signal } = cut;
    const wallMs = this.#options.clock.wallMs();
    try {
      const { id } = await this.store.add({ label, startS, startSample, wallMs }, signal);
      const seconds = signal.data.length / this.store.head.channels.length / modelRateHz;
      this.#live.labelled({ id, label, startS, endS: startS + seconds });
      const index = this.task.classes.indexOf(label);
      this.#learner.send({ kind: 'trial', id, label: index, signal: withoutRaw(signal) });
      this.#consider();
    } catch (error) {
      this.#detail = `${label} was not stored: ${messageOf(error)}`;
    }
    this.#options.onChange();
  }

  /** Learn of oneself when enough has come since the last time. */
  #consider(): void {
    const counts = Object.values(this.store.counts());
    const total = counts.reduce((a, b) => a + b, 0);
    const since = total - this.#learnedFrom;
    const enough = since >= Math.max(newLabelsMin, newLabelsShare * this.#learnedFrom);
    if (!enough || Math.min(...counts) < 10 || this.#state === 'learning') return;
    this.learn();
  }

  async *#known(): AsyncGenerator<TrialMessage> {
    for (const trial of [...this.store.trials]) {
      const signal = await this.store.signal(trial).catch(() => undefined);
      const label = this.task.classes.indexOf(trial.label);
      if (signal !== undefined)
        yield { kind: 'trial', id: trial.id, label, signal: withoutRaw(signal) };
    }
  }

  #take(message: FromLearner): void {
    if (message.kind === 'tested') this.#prequential.add(message.id, message.correct);
    else if (message.kind === 'unusable') this.#unusable.add(message.id);
    else if (message.kind === 'progress') {
      this.#progress = { phase: message.phase, share: message.share };
    } else if (message.kind === 'refused') {
      this.#progress = undefined;
      this.#state = this.#before;
      this.#detail = message.why;
    } else if (message.kind === 'learned') this.#judge(message);
    this.#options.onChange();
  }

  #judge(learned: Learned): void {
    this.#progress = undefined;
    const { correct, total, labels, changedTasks, pack, baseCorrect = 0 } = learned;
    this.#epochs += learned.epochs;
    const chance = chanceOf(labels.map(String), this.task.classes.length);
    const finite =
      pack.logits.every(Number.isFinite) &&
      [...(pack.readout?.weights ?? []), ...(pack.readout?.bias ?? [])].every(Number.isFinite);
    const active = Math.round((this.activeAccuracy ?? 0) * total);
    const serving = Math.max(active, baseCorrect);
    const verdict = judge({
      ...{ correct, total, chance, changedTasks, finite },
      ...(serving === 0 ? {} : { servingCorrect: serving }),
    });
    this.#candidate = { learned, verdict };
    this.#state = verdict.promote ? 'ready' : this.#before;
    this.#detail = verdict.promote ? '' : verdict.why;
    if (verdict.promote) this.#options.onCandidate(learned, verdict);
  }

  /** Where nothing came of learning. */
  get #before(): SessionState {
    return this.activeAccuracy === undefined ? 'collecting' : 'active';
  }

  #learnerEnded(why: string, again: boolean): void {
    this.#progress = undefined;
    if (this.#state === 'learning' && !again) this.#state = this.#before;
    const next = again ? 'it is started again' : 'adapt commit tries it again';
    this.say(`${why}; labels are kept, ${next}`);
  }
}

/** The learner has no use for the amplifier's own samples. */
function withoutRaw({ raw: _raw, ...signal }: TrialSignal): TrialSignal {
  return signal;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
