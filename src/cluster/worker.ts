/**
 * A worker: pulls steps from the partitions it owns, keeps the signal of their streams, answers
 * their windows in batches over all edges, publishes each step's result under an id of its own and
 * only then acknowledges the step. Killed at any moment it leaves nothing unanswered: what it did
 * not acknowledge is given to another worker, which reads the signal again from JetStream.
 */
import type { JsMsg, PubAck } from '@nats-io/jetstream';
import { toEegError } from '../core/errors.js';
import type { Logger } from '../core/log.js';
import type { TaskSpec } from '../core/tasks.js';
import { systemClock } from '../core/time.js';
import type { EngineRun } from '../windows/serving.js';
import type { Link } from './connection.js';
import { Counters } from './counters.js';
import { ownerOf, Pulse, type Roster } from './membership.js';
import type { ModelBoard } from './model-board.js';
import { addressOf, keyOf, subjects } from './names.js';
import { PartitionFeed, readAgain } from './partition-feed.js';
import { encodeResult, messageId, type Result, type ResultWindow } from './result-message.js';
import { decodeStep, endSampleOf, type Step } from './step-message.js';
import { StepServer } from './step-server.js';

export interface WorkerOptions {
  readonly link: Link;
  readonly name: string;
  readonly sites: readonly string[];
  readonly partitions: number;
  readonly board: ModelBoard;
  readonly roster: Roster;
  readonly log: Logger;
  readonly staleAfterS?: (task: TaskSpec) => number;
  readonly onRun?: (run: EngineRun) => void;
  /** Windows of somebody with a pack of their own. */
  readonly onPerson?: (person: string) => void;
}

interface Work {
  readonly step: Step;
  /** The delivery to acknowledge: the last one, where a step came again. */
  message: JsMsg;
}

/** Answered steps that are remembered, in case their acknowledgement was lost. */
const answeredMax = 8192;
const publishTimeoutMs = 1000;
/** A result is sent until it is confirmed, or nobody looks at it any more. */
const publishAgainMs = 200;
const publishS = 30;
const sweepEveryMs = 10_000;
/** A hole in one stream is looked for so far back. */
const holeMs = 40_000;

export class Worker {
  readonly server: StepServer;
  readonly counters: Counters;
  readonly #options: WorkerOptions;
  readonly #feeds = new Map<string, { site: string; partition: number; feed: PartitionFeed }>();
  readonly #inFlight = new Map<string, Work>();
  readonly #answered = new Set<string>();
  /** Steps that wait until the signal before them was read again, by stream. */
  readonly #waiting = new Map<string, Work[]>();
  readonly #pulse: Pulse;
  #sweep: NodeJS.Timeout | undefined;
  #closed = false;
  #stopRoster: () => void = () => undefined;

  constructor(options: WorkerOptions) {
    this.#options = options;
    const { board, log, name, staleAfterS, onRun } = options;
    this.counters = new Counters(log);
    this.server = new StepServer({
      modelAt: (stampWallS, person) => board.modelAt(stampWallS, person)?.checkpoint,
      clock: systemClock,
      ...(staleAfterS === undefined ? {} : { staleAfterS }),
      ...(onRun === undefined ? {} : { onRun }),
    });
    this.#pulse = new Pulse(options.link, () => ({
      worker: name,
      counters: { ...this.counters.all(), streams: this.server.streams.size },
    }));
  }

  /** Call once a checkpoint serves. */
  start(): void {
    const { sites, partitions, roster, link, log } = this.#options;
    for (const site of sites)
      for (let partition = 0; partition < partitions; partition++) {
        const feed = new PartitionFeed({
          ...{ link, site, partition, log },
          onWork: (message) => this.#work(message),
          onHistory: (message) => this.#history(message),
        });
        this.#feeds.set(`${site}/${partition}`, { site, partition, feed });
      }
    this.#pulse.start();
    const subscription = roster.live$.subscribe((live) => this.#deal(live));
    this.#stopRoster = () => subscription.unsubscribe();
    this.#sweep = setInterval(() => this.server.sweep(), sweepEveryMs);
  }

  /** Hands its share over, answers what it has, then stops. */
  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#sweep);
    this.#stopRoster();
    this.#pulse.stop();
    await Promise.all([...this.#feeds.values()].map(({ feed }) => feed.close()));
    await this.server.close();
  }

  #deal(live: readonly string[]): void {
    const { name } = this.#options;
    const others = live.includes(name) ? live : [...live, name];
    for (const { site, partition, feed } of this.#feeds.values())
      feed.owned = ownerOf(site, partition, others) === name;
  }

  #history(message: JsMsg): void {
    const step = this.#decode(message);
    if (step !== undefined) this.counters.read(message.subject, () => this.server.apply(step));
  }

  #decode(message: JsMsg): Step | undefined {
    const { subject, data } = message;
    return this.counters.read(subject, () => decodeStep(data, addressOf(subject)));
  }

  #work(message: JsMsg): void {
    this.counters.add('steps');
    if (message.redelivered) this.counters.add('redelivered');
    const step = this.#decode(message);
    if (step === undefined) {
      message.term('refused');
      return;
    }
    const id = idOf(step);
    const known = this.#inFlight.get(id);
    if (known !== undefined) known.message = message;
    else if (this.#answered.has(id)) message.ack();
    else this.#begin({ step, message });
  }

  /** Steps of one stream go on in order; where signal is missing, once it was read again. */
  #begin(work: Work): void {
    const key = keyOf(work.step);
    this.#inFlight.set(idOf(work.step), work);
    const waiting = this.#waiting.get(key);
    if (waiting !== undefined) waiting.push(work);
    else if (!this.server.misses(work.step)) this.#serve(work);
    else {
      const queue = [work];
      this.#waiting.set(key, queue);
      void this.#fillHole(work).then(() => {
        this.#waiting.delete(key);
        for (const each of queue) this.#serve(each);
      });
    }
  }

  async #fillHole({ step, message }: Work): Promise<void> {
    this.counters.add('holes_read_again');
    const { link, log } = this.#options;
    const filter = message.subject;
    try {
      await readAgain(link, step.site, { filter, sinceMs: holeMs }, (each) => this.#history(each));
    } catch (error) {
      log.warn({ stream: keyOf(step) }, `signal was not read again: ${toEegError(error).message}`);
    }
  }

  #serve(work: Work): void {
    const { step } = work;
    if (step.person !== '') this.#options.onPerson?.(step.person);
    const given = this.counters.read(work.message.subject, () => {
      this.server.take(step, (windows) => void this.#publish(work, windows));
      return true;
    });
    if (given !== undefined) return;
    this.#inFlight.delete(idOf(step));
    work.message.term('refused');
  }

  async #publish(work: Work, windows: readonly ResultWindow[]): Promise<void> {
    const id = idOf(work.step);
    try {
      if (windows.length > 0) await this.#send(work.step, windows);
      this.#remember(id);
      work.message.ack();
    } catch (error) {
      // Not acknowledged: it comes again, here or elsewhere.
      this.counters.add('results_not_sent');
      this.#options.log.warn(`a result was not sent: ${toEegError(error).message}`);
    } finally {
      this.#inFlight.delete(id);
    }
  }

  async #send(step: Step, windows: readonly ResultWindow[]): Promise<void> {
    const { name } = this.#options;
    const { site, edge, stream, epoch, stampWallS, arrivalWallS } = step;
    const result: Result = {
      ...{ site, edge, stream, epoch, stampWallS, arrivalWallS, windows },
      endSample: endSampleOf(step),
      worker: name,
    };
    const ack = await this.#store(subjects.result(step), result);
    this.counters.add(ack.duplicate ? 'results_duplicate' : 'results');
    this.counters.add('windows', windows.length);
    const stale = windows.filter(({ reason }) => reason === 'stale').length;
    if (stale > 0) this.counters.add('windows_stale', stale);
  }

  async #store(subject: string, result: Result): Promise<PubAck> {
    const { js } = this.#options.link;
    const options = { msgID: messageId(result), timeout: publishTimeoutMs };
    const bytes = encodeResult(result);
    const endMs = Date.now() + publishS * 1000;
    for (;;) {
      try {
        return await js.publish(subject, bytes, options);
      } catch (error) {
        if (this.#closed || Date.now() > endMs) throw error;
        this.counters.add('results_sent_again');
        await new Promise((resolve) => setTimeout(resolve, publishAgainMs));
      }
    }
  }

  #remember(id: string): void {
    this.#answered.add(id);
    if (this.#answered.size <= answeredMax) return;
    for (const oldest of this.#answered) {
      this.#answered.delete(oldest);
      return;
    }
  }
}

function idOf(step: Step): string {
  return messageId({ ...step, endSample: endSampleOf(step) });
}
