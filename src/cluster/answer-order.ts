/**
 * One stream's windows as the gateway lets their answers out: in order and each exactly once. It
 * learns which windows were asked for from the steps, and waits for an answer until the window is
 * stale; then it says so, and what comes later is counted and dropped. Windows that the edge kept
 * to itself, without a link, are holes in the numbers; nobody waits for those.
 */
import type { ResultWindow } from './result-message.js';

/** A window that was asked for. */
export interface AskedWindow {
  readonly task: string;
  readonly seq: number;
  readonly endSample: number;
  /** Wall clock seconds of its end, and of its arrival at the edge. */
  readonly stampWallS: number;
  readonly arrivalWallS: number;
}

export interface OrderOptions {
  /** Hop of a task and the time that an answer is waited for, s; undefined = no such task. */
  readonly timesOf: (task: string) => { hopS: number; waitS: number } | undefined;
  /** Without an answer: none came in time, or the edge withheld the window. */
  readonly onAnswer: (window: AskedWindow, answer: ResultWindow | Unanswered) => void;
  readonly onLate: () => void;
  readonly onTwice: () => void;
}

export type Unanswered = 'withheld' | 'late';

interface Slot {
  readonly window: AskedWindow;
  /** A step or an answer named it; else it is a hole in the numbers. */
  named: boolean;
  answer?: ResultWindow;
}

interface Lane {
  /** The window that is due next. */
  next: number;
  readonly slots: Map<number, Slot>;
  /** After the last window that was asked for. */
  end: number;
}

/** A longer hole in the numbers, an edge's outage, is leapt over. */
const holeMax = 64;

export class AnswerOrder {
  readonly #options: OrderOptions;
  readonly #lanes = new Map<string, Lane>();
  /** Every step between these samples was seen. */
  #seenFrom = 0;
  #seenTo = 0;

  constructor(options: OrderOptions) {
    this.#options = options;
  }

  /** A step that follows on the one that was seen before it leaves no doubt about what was sent. */
  saw(step: { previousEnd: number; startSample: number }, endSample: number): void {
    if (step.previousEnd !== this.#seenTo) this.#seenFrom = step.startSample;
    this.#seenTo = Math.max(this.#seenTo, endSample);
  }

  /** Windows between the last one asked for and this one are holes. */
  asked(window: AskedWindow, nowWallS: number): void {
    const { task, seq } = window;
    let lane = this.#lanes.get(task);
    if (lane === undefined) {
      lane = { next: seq, slots: new Map(), end: seq };
      this.#lanes.set(task, lane);
    }
    const known = lane.slots.get(seq);
    if (known !== undefined) known.named = true;
    if (seq < lane.end) return;
    const hopS = this.#options.timesOf(task)?.hopS ?? 0;
    for (let hole = Math.max(lane.end, seq - holeMax); hole < seq; hole++)
      lane.slots.set(hole, { window: earlier(window, seq - hole, hopS), named: false });
    lane.slots.set(seq, { window, named: true });
    lane.end = seq + 1;
    this.#release(task, lane, nowWallS);
  }

  /** `window` as the answer's message has it, in case the step itself was not seen. */
  answered(answer: ResultWindow, window: AskedWindow, nowWallS: number): void {
    const { task, seq } = answer;
    this.asked(window, nowWallS);
    const lane = this.#lanes.get(task) as Lane;
    const slot = lane.slots.get(seq);
    if (slot === undefined) this.#options.onLate();
    else if (slot.answer !== undefined) this.#options.onTwice();
    else {
      slot.answer = answer;
      this.#release(task, lane, nowWallS);
    }
  }

  /** Lets out what is due; to be called now and then. */
  tick(nowWallS: number): void {
    for (const [task, lane] of this.#lanes) this.#release(task, lane, nowWallS);
  }

  /** The stream is over: what is still waited for is answered as it stands. */
  finish(): void {
    this.tick(Number.POSITIVE_INFINITY);
  }

  #release(task: string, lane: Lane, nowWallS: number): void {
    const waitS = this.#options.timesOf(task)?.waitS ?? 0;
    while (lane.next < lane.end) {
      const slot = lane.slots.get(lane.next);
      if (slot !== undefined) {
        const isLate = nowWallS > slot.window.arrivalWallS + waitS;
        const without = this.#isWithheld(slot) ? 'withheld' : isLate ? 'late' : undefined;
        const given = slot.answer ?? without;
        if (given === undefined) return;
        this.#options.onAnswer(slot.window, given);
        lane.slots.delete(lane.next);
      }
      lane.next++;
    }
  }

  #isWithheld({ named, window: { endSample } }: Slot): boolean {
    return !named && endSample > this.#seenFrom && endSample <= this.#seenTo;
  }
}

function earlier(window: AskedWindow, hops: number, hopS: number): AskedWindow {
  const backS = hops * hopS;
  return {
    task: window.task,
    seq: window.seq - hops,
    endSample: Math.max(0, window.endSample - Math.round(backS * 200)),
    stampWallS: window.stampWallS - backS,
    arrivalWallS: window.arrivalWallS - backS,
  };
}
