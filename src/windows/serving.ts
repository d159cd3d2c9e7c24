/**
 * Serves any number of streams through one engine: whenever the engine is free, the seconds that
 * wait (of all streams) go through the trunk in one run, then the most urgent windows (of all
 * streams and tasks) through the task blocks in one run. Each window asked for is answered
 * exactly once. An engine that does several runs at once has as many lanes, and answers may then
 * come in another order than they were asked for: whoever needs theirs sorts by the number of the
 * window (`Sequencer`).
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { EegError, toEegError } from '../core/errors.js';
import type { NoPredictionReason } from '../core/events.js';
import type { TaskSpec } from '../core/tasks.js';
import { type Clock, systemClock } from '../core/time.js';
import type { Engine } from '../engine/engine.js';
import type { QueueCounters } from './bounded-queue.js';
import { bucketByLength, packTasks, packTrunk } from './pack.js';
import type { PastSecond } from './past.js';
import {
  type PatchSource,
  ServedStream,
  type TrunkSecond,
  type WindowRequest,
  windowsPendingMax,
} from './served-stream.js';
import { type PickedWindow, pickWindows, staleAfterS } from './urgency.js';

export interface WindowAnswer {
  readonly request: WindowRequest;
  readonly validity: number;
  /** `[classesTotal]`; absent = no prediction, for `reason`. */
  readonly logits?: Float32Array;
  /** `[moeBlocks, experts]`. */
  readonly routing?: Float32Array;
  readonly reason?: NoPredictionReason;
  readonly detail?: string;
  /** Of the run, LSL seconds. */
  readonly startedS: number;
  readonly doneS: number;
}

export type Pace = 'live' | 'offline';

export interface ServingOptions {
  readonly onAnswer: (answer: WindowAnswer) => void;
  /** Called for every run of the engine. */
  readonly onRun?: (run: EngineRun) => void;
  readonly clock?: Clock;
  /** `offline`: no window is too late, and many may wait; whoever feeds holds back by itself. */
  readonly pace?: Pace;
  /** Windows of one task of a stream that may wait. */
  readonly windowsMax?: number;
  /** A window older than this is not worth an answer, s. */
  readonly staleAfterS?: (task: TaskSpec) => number;
  /** Bound of one run, padding included. */
  readonly tokensMax?: number;
}

export interface EngineRun {
  readonly graph: 'trunk' | 'tasks';
  readonly rows: number;
  readonly tokens: number;
  readonly runMs: number;
}

const offlinePendingMax = 1024;

/** Bound of one run, padding included; longer runs make urgent windows wait. */
const tokensUsual = 2048;
/** Of a run that gives way, at least; where more waits, a share of it. */
const tokensGivingWay = 128;
const runsGivingWay = 64;
/** Pause after a run that gives way, in times of the run. */
const pauseGivingWay = 2;
/** One that has no rest is not waited for longer than this before a run, ms. */
const waitGivingWayMs = 100;

export class Serving {
  readonly engine: Engine;
  readonly #options: ServingOptions;
  readonly #clock: Clock;
  #tokensMax: number;
  #givesWayTo: Serving | undefined;
  readonly #streams = new Map<string, ServedStream>();
  readonly #floats: number;
  /** Each has one run of the engine under way. */
  readonly #lanes = new Set<Promise<void>>();
  #wokenInVain = false;
  #closed = false;

  constructor(engine: Engine, options: ServingOptions) {
    this.engine = engine;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#tokensMax = options.tokensMax ?? tokensUsual;
    this.#floats = engine.info.latents * engine.info.width;
  }

  /** While it gives way, its runs are short, and begin when the other has nothing to do. */
  giveWayTo(other: Serving | undefined): void {
    this.#givesWayTo = other;
    this.#tokensMax = this.#tokensOfRun();
  }

  /** Many streams wait for so much that short runs would never catch up. */
  #tokensOfRun(): number {
    const usual = this.#options.tokensMax ?? tokensUsual;
    if (this.#givesWayTo === undefined) return usual;
    let waiting = 0;
    for (const { ticksPending, source } of this.#streams.values())
      waiting += ticksPending * source.channels;
    return Math.min(usual, Math.max(tokensGivingWay, waiting / runsGivingWay));
  }

  attach(source: PatchSource): void {
    if (this.#streams.has(source.id)) throw new EegError('EEG_INTERNAL', `${source.id} is served`);
    const stream = new ServedStream(source, this.engine.info.tasks, {
      floats: this.#floats,
      windowsMax:
        this.#options.windowsMax ??
        (this.#options.pace === 'offline' ? offlinePendingMax : windowsPendingMax),
      readouts: this.engine.info.readouts ?? {},
    });
    this.#streams.set(source.id, stream);
  }

  /** What still waits of the stream is answered with `reason`. */
  detach(id: string, reason: NoPredictionReason = 'gap'): void {
    const stream = this.#streams.get(id);
    this.#streams.delete(id);
    for (const queue of stream?.windows ?? [])
      for (const request of queue.clear())
        this.#refuse(request, reason, 'the stream was disconnected');
  }

  /** To be given before any window: what was before this checkpoint began. */
  remember(id: string, past: readonly PastSecond[]): void {
    this.#streams.get(id)?.remember(past);
    this.#wake();
  }

  /** The second before `endSample` is complete and some task will need it. */
  tick(id: string, endSample: number): void {
    this.#streams.get(id)?.addTick(endSample);
    this.#wake();
  }

  /** Ask for a window. Its seconds' ticks must have been given before. */
  window(request: WindowRequest): void {
    const queue = this.#streams.get(request.stream)?.windows[request.task];
    if (queue === undefined || this.#closed) {
      this.#refuse(request, 'gap', 'the stream is not connected');
      return;
    }
    const dropped = queue.push(request);
    if (dropped !== undefined) this.#refuse(dropped, 'overload', 'a newer window took its place');
    this.#wake();
  }

  /** Seconds and windows that wait. */
  get pending(): number {
    let count = 0;
    for (const stream of this.#streams.values()) {
      count += stream.ticksPending;
      for (const queue of stream.windows) count += queue.length;
    }
    return count;
  }

  /** Resolves when nothing waits and nothing runs. */
  async idle(): Promise<void> {
    while (this.#lanes.size > 0) await Promise.all(this.#lanes);
  }

  /** As `idle`, but for `maxMs` at most. */
  async rest(maxMs: number): Promise<void> {
    if (this.#lanes.size === 0) return;
    let stop = () => {};
    const late = new Promise<void>((done) => {
      stop = this.#clock.setTimeout(() => done(), maxMs);
    });
    await Promise.race([this.idle(), late]);
    stop();
  }

  counters(): QueueCounters[] {
    return [...this.#streams.values()].flatMap((stream) => stream.counters());
  }

  /** Answers what waits, then stops. The engine stays its owner's. */
  async drain(): Promise<void> {
    await this.idle();
    this.#closed = true;
    for (const id of [...this.#streams.keys()]) this.detach(id);
  }

  #wake(): void {
    const lanesMax = this.#givesWayTo === undefined ? (this.engine.parallel ?? 1) : 1;
    this.#wokenInVain = this.#lanes.size >= lanesMax;
    if (this.#wokenInVain || this.#closed || this.pending === 0) return;
    const lane = this.#lane().finally(() => {
      this.#lanes.delete(lane);
      // What came after its last look; what waits for other lanes those see to.
      if (this.#lanes.size === 0 || this.#wokenInVain) this.#wake();
    });
    this.#lanes.add(lane);
  }

  async #lane(): Promise<void> {
    // One turn of the event loop, so that samples that arrived together share a run.
    await nextTurn();
    for (let ran = true; ran && !this.#closed; ) {
      if (this.#givesWayTo !== undefined) {
        await this.#givesWayTo.rest(waitGivingWayMs);
        this.#tokensMax = this.#tokensOfRun();
      }
      const startedS = this.#clock.now();
      const ranTrunk = await this.#runTrunk();
      const ranTasks = await this.#runTasks();
      ran = ranTrunk || ranTasks;
      if (ran && this.#givesWayTo !== undefined)
        await this.#sleep((this.#clock.now() - startedS) * 1000 * pauseGivingWay);
    }
  }

  async #sleep(ms: number): Promise<void> {
    if (ms > 0) await new Promise<void>((done) => this.#clock.setTimeout(() => done(), ms));
  }

  /** Whether any second waited. */
  async #runTrunk(): Promise<boolean> {
    const seconds: TrunkSecond[] = [];
    let tokens = 0;
    for (const [id, stream] of [...this.#streams]) {
      const room = Math.floor((this.#tokensMax - tokens) / stream.source.channels);
      if (stream.ticksPending === 0) continue;
      if (room < 1 && seconds.length > 0) continue;
      // To the back of the line, so that under overload every stream has its turn.
      this.#streams.delete(id);
      this.#streams.set(id, stream);
      for (const second of stream.takeTicks(Math.max(1, room))) {
        seconds.push(second);
        tokens += second.channels;
      }
    }
    if (seconds.length === 0) return false;
    this.#wake();
    seconds.sort((a, b) => b.channels - a.channels);
    for (const bucket of bucketByLength(seconds, ({ channels }) => channels, this.#tokensMax))
      await this.#tryTrunk(bucket, 2);
    return true;
  }

  async #tryTrunk(bucket: readonly TrunkSecond[], tries: number): Promise<void> {
    const { batch, packed } = packTrunk(bucket);
    if (packed.length === 0) return;
    const { rows, channels } = batch;
    const started = this.#clock.now();
    try {
      const latents = await this.engine.trunk(batch);
      this.#ran('trunk', rows, rows * channels, started);
      for (const [i, second] of packed.entries())
        second.keep(latents.subarray(i * this.#floats, (i + 1) * this.#floats));
    } catch {
      // A second is looked at for up to 30 s to come, so it is worth one more try.
      if (tries > 1) await this.#tryTrunk(packed, tries - 1);
      else for (const second of packed) second.giveUp('engine_failed');
    }
  }

  /** Whether any window was ready, or too old. */
  async #runTasks(): Promise<boolean> {
    const { picked, stale } = pickWindows(this.#streams.values(), this.engine.info, {
      nowS: this.#options.pace === 'offline' ? Number.NEGATIVE_INFINITY : this.#clock.now(),
      tokensMax: this.#tokensMax,
      staleAfterS: this.#options.staleAfterS ?? staleAfterS,
    });
    for (const request of stale) this.#refuse(request, 'stale', 'it waited too long');
    if (picked.length > 0) {
      this.#wake();
      await this.#answerPicked(picked);
    }
    return picked.length + stale.length > 0;
  }

  async #answerPicked(picked: readonly PickedWindow[]): Promise<void> {
    const rows = picked.flatMap(({ input }) => (input.row === undefined ? [] : [input.row]));
    const startedS = this.#clock.now();
    let failure: string | undefined;
    let logits = new Float32Array();
    let routing = new Float32Array();
    if (rows.length > 0) {
      const batch = packTasks(rows, this.#floats);
      try {
        const result = await this.engine.tasks(batch);
        logits = new Float32Array(result.logits);
        routing = new Float32Array(result.routing);
        const tokens = batch.rows * batch.seconds * this.engine.info.latents;
        this.#ran('tasks', batch.rows, tokens, startedS);
      } catch (error) {
        failure = toEegError(error).line;
      }
    }
    const span = { startedS, doneS: this.#clock.now() };
    const perRow = { logits: logits.length / rows.length, routing: routing.length / rows.length };
    let r = 0;
    for (const { request, input } of picked) {
      const { validity, reason } = input;
      if (reason !== undefined) {
        this.#answer({ request, validity, reason, ...span });
        continue;
      }
      const at = r++;
      const own = logits.subarray(at * perRow.logits, (at + 1) * perRow.logits);
      if (input.evidence !== undefined) this.#addEvidence(own, request.task, input.evidence);
      if (failure !== undefined) {
        this.#answer({ request, validity, reason: 'engine_failed', detail: failure, ...span });
        continue;
      }
      this.#answer({
        request,
        validity,
        logits: own,
        routing: routing.subarray(at * perRow.routing, (at + 1) * perRow.routing),
        ...span,
      });
    }
  }

  #addEvidence(logits: Float32Array, task: number, evidence: Float64Array): void {
    const before = this.engine.info.tasks.slice(0, task);
    const first = before.reduce((sum, { classes }) => sum + classes.length, 0);
    for (const [k, value] of evidence.entries()) logits[first + k] += value;
  }

  #ran(graph: 'trunk' | 'tasks', rows: number, tokens: number, startedS: number): void {
    const runMs = (this.#clock.now() - startedS) * 1000;
    this.#options.onRun?.({ graph, rows, tokens, runMs });
  }

  #refuse(request: WindowRequest, reason: NoPredictionReason, detail: string): void {
    const now = this.#clock.now();
    this.#answer({ request, validity: 0, reason, detail, startedS: now, doneS: now });
  }

  #answer(answer: WindowAnswer): void {
    this.#options.onAnswer(answer);
  }
}
