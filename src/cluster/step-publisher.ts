/**
 * Sends one edge's steps, those of a stream in order and each until JetStream has it. Tells when
 * the link is down: from then on the windows of new steps are not the cluster's any more (they are
 * answered here, or counted), and what waits is sent later as signal only.
 */
import type { Counters } from './counters.js';
import { type StreamAddress, subjects } from './names.js';
import { messageId } from './result-message.js';
import { encodeStep, endSampleOf, type Step } from './step-message.js';
import { wallNowS } from './wall-time.js';

export interface PublisherOptions {
  /** Resolves when JetStream has it; rejects where that is not known. */
  readonly publish: (subject: string, bytes: Uint8Array, id: string) => Promise<void>;
  readonly counters: Counters;
  /** The link went down or came back. */
  readonly onLink: (isUp: boolean) => void;
  /** A step whose windows are not the cluster's. */
  readonly onUnsent: (step: Step) => void;
  /** How old the cluster lets every window grow, s: so long there is no hurry. */
  readonly staleS?: number;
}

/** A step that JetStream does not confirm for so long means: the link is down. */
const downAfterSMin = 1;
/** Of the stale limit; the rest is for the answers to what waited. */
const downShare = 0.75;
const againMs = 100;
/** What waits beyond this is too old for any window. */
const keptS = 35;
/** A step that was tried for so long is given up; its windows are stale everywhere. */
const givenUpSMin = 15;

interface Waiting {
  step: Step;
  tried: boolean;
}

interface Lane {
  readonly subject: string;
  readonly queue: Waiting[];
  /** End of the last step that was tried. */
  sentEnd: number;
  running: boolean;
}

export class StepPublisher {
  readonly #options: PublisherOptions;
  readonly #lanes = new Map<string, Lane>();
  #up = true;
  #closed = false;
  /** Wall clock seconds since when the oldest try is unconfirmed. */
  readonly #tryingSinceS = new Map<Lane, number>();
  readonly #timer: NodeJS.Timeout;

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#check(), againMs);
  }

  get isUp(): boolean {
    return this.#up;
  }

  open(address: StreamAddress, partition: number): void {
    const subject = subjects.steps(address, partition);
    this.#lanes.set(address.stream, { subject, queue: [], sentEnd: 0, running: false });
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
  }

  /** Resolves when everything was sent, or after so many ms. */
  async flush(msMax: number): Promise<void> {
    const endS = wallNowS() + msMax / 1000;
    while (this.#up && wallNowS() < endS && [...this.#lanes.values()].some((l) => l.running))
      await pause(10);
  }

  push(step: Step): void {
    const lane = this.#lanes.get(step.stream);
    if (lane === undefined || this.#closed) return;
    lane.queue.push({ step: this.#up ? step : this.#withhold(step), tried: false });
    while (lane.queue.length > 1 && isOld(lane.queue[0] as Waiting)) lane.queue.shift();
    if (!lane.running) void this.#send(lane);
  }

  async #send(lane: Lane): Promise<void> {
    lane.running = true;
    while (!this.#closed) {
      const [next] = lane.queue;
      if (next === undefined) break;
      const isSent = await this.#try(lane, next);
      if (isSent || this.#isHopeless(next)) {
        if (lane.queue[0] === next) lane.queue.shift();
        if (!isSent) this.#options.counters.add('steps_given_up');
      } else await pause(againMs);
    }
    lane.running = false;
    this.#tryingSinceS.delete(lane);
  }

  async #try(lane: Lane, waiting: Waiting): Promise<boolean> {
    const { publish, counters } = this.#options;
    if (!this.#tryingSinceS.has(lane)) this.#tryingSinceS.set(lane, wallNowS());
    if (!waiting.tried) waiting.step = { ...waiting.step, previousEnd: lane.sentEnd };
    const { step } = waiting;
    waiting.tried = true;
    lane.sentEnd = Math.max(lane.sentEnd, endSampleOf(step));
    try {
      const bytes = encodeStep(step);
      const endSample = endSampleOf(step);
      await publish(lane.subject, bytes, messageId({ ...step, endSample }));
      counters.add('steps');
      counters.add('step_bytes', bytes.length);
      counters.add('windows_sent', step.windows.length);
      this.#tryingSinceS.delete(lane);
      this.#setUp(true);
      return true;
    } catch {
      counters.add('steps_not_confirmed');
      return false;
    }
  }

  #check(): void {
    const [oldestS] = [...this.#tryingSinceS.values()].sort((a, b) => a - b);
    const { staleS = 0 } = this.#options;
    const downAfterS = Math.max(downAfterSMin, downShare * staleS);
    if (oldestS !== undefined && wallNowS() - oldestS > downAfterS) this.#setUp(false);
  }

  #isHopeless({ step }: Waiting): boolean {
    const givenUpS = Math.max(givenUpSMin, this.#options.staleS ?? 0);
    return step.windows.length > 0 && wallNowS() - step.arrivalWallS > givenUpS;
  }

  #setUp(isUp: boolean): void {
    if (isUp === this.#up) return;
    this.#up = isUp;
    this.#options.onLink(isUp);
    if (isUp) return;
    // What was tried may have arrived: it stays the cluster's.
    for (const { queue } of this.#lanes.values())
      for (const [i, { step, tried }] of queue.entries())
        if (!tried) queue[i] = { step: this.#withhold(step), tried };
  }

  #withhold(step: Step): Step {
    if (step.windows.length === 0) return step;
    this.#options.onUnsent(step);
    return { ...step, windows: [] };
  }
}

function isOld({ step, tried }: Waiting): boolean {
  return !tried && wallNowS() - step.arrivalWallS > keptS;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
