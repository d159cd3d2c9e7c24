/**
 * Notices that a stream has fallen silent: nothing for twice the time that usually lies between two
 * arrivals. What is usual is learned: the longest recent interval, slowly forgotten.
 */
import type { LslClock } from './clock.js';

interface SilenceListener {
  readonly clock: LslClock;
  onSilent(forS: number): void;
  onFlowing(): void;
}

export interface SilenceOptions extends SilenceListener {
  /** Nominal rate in Hz, above 0. */
  readonly rateHz: number;
}

/** No busy system keeps time better than this, s. */
const intervalMinS = 0.05;
/** Longest interval until the usual one is known, s. */
const firstS = 1;
const arrivalsToLearn = 8;
const pauseFactor = 4;
/** Per arrival: a long interval counts half after 35 arrivals. */
const forget = 0.98;
/** A timer that is late because this process was busy must not be taken for silence, ms. */
const graceMs = 2;

export class SilenceWatch {
  readonly #options: SilenceOptions;
  #usualS: number;
  #lastS: number;
  #arrivals = 0;
  #silent = false;
  #cancel: () => void = () => undefined;
  #closed = false;

  constructor(options: SilenceOptions) {
    this.#options = options;
    this.#usualS = this.#floorS;
    this.#lastS = options.clock.now();
    this.#arm(2 * firstS);
  }

  get isSilent(): boolean {
    return this.#silent;
  }

  arrived(atS: number): void {
    const intervalS = atS - this.#lastS;
    const wasUsualS = this.#usualS;
    this.#lastS = atS;
    this.#arrivals++;
    // A pause is learned in part only: it may be how the stream is now, or an accident.
    const learnedS = this.#silent ? Math.min(intervalS, pauseFactor * wasUsualS) : intervalS;
    if (this.#arrivals > 1) this.#usualS = Math.max(learnedS, wasUsualS * forget, this.#floorS);
    if (this.#silent) {
      this.#silent = false;
      this.#options.onFlowing();
      this.#arm(this.#limitS);
    } else if (this.#arrivals === arrivalsToLearn) this.#arm(this.#limitS);
  }

  close(): void {
    this.#closed = true;
    this.#cancel();
  }

  get #floorS(): number {
    return Math.max(intervalMinS, 1 / this.#options.rateHz);
  }

  get #limitS(): number {
    return this.#arrivals < arrivalsToLearn ? 2 * firstS : 2 * this.#usualS;
  }

  /** One timer that looks when it fires, rather than one for each arrival. */
  #arm(seconds: number): void {
    this.#cancel();
    this.#cancel = this.#options.clock.setTimeout(() => this.#look(false), seconds * 1000);
  }

  #look(isSecond: boolean): void {
    if (this.#closed || this.#silent) return;
    const silentS = this.#options.clock.now() - this.#lastS;
    const leftS = this.#limitS - silentS;
    if (leftS > 1e-6) {
      this.#arm(leftS);
      return;
    }
    if (!isSecond) {
      // Sockets are read between two timers: what waits there comes first.
      this.#cancel = this.#options.clock.setTimeout(() => this.#look(true), graceMs);
      return;
    }
    this.#silent = true;
    this.#options.onSilent(silentS);
  }
}

export interface HostOptions extends SilenceListener {
  readonly answerIntervalS: number;
  /** When the outlet's clock last answered; -Infinity = never. */
  lastAnswerS(): number;
}

/** Answers missed in a row before a host is taken to be away. */
const answersMissed = 3;

/**
 * For irregular streams, which may rightly say nothing for hours: is the outlet's machine still
 * answering time requests?
 */
export class HostWatch {
  readonly #options: HostOptions;
  #silent = false;
  #cancel: () => void = () => undefined;

  constructor(options: HostOptions) {
    this.#options = options;
    this.#arm();
  }

  get isSilent(): boolean {
    return this.#silent;
  }

  arrived(): void {
    this.#tell(false, 0);
  }

  close(): void {
    this.#cancel();
  }

  #arm(): void {
    const { clock, answerIntervalS } = this.#options;
    this.#cancel = clock.setTimeout(() => {
      this.#arm();
      const silentS = clock.now() - this.#options.lastAnswerS();
      // A host that never answered has no time service: nothing can be said.
      if (Number.isFinite(silentS)) this.#tell(silentS > answersMissed * answerIntervalS, silentS);
    }, answerIntervalS * 1000);
  }

  #tell(silent: boolean, forS: number): void {
    if (silent === this.#silent) return;
    this.#silent = silent;
    if (silent) this.#options.onSilent(forS);
    else this.#options.onFlowing();
  }
}
