/** How often something may happen: a token bucket, and failures counted by address. */
import type { Clock } from '../core/time.js';

export class TokenBucket {
  readonly #perS: number;
  readonly #burst: number;
  readonly #clock: Clock;
  #level: number;
  #lastS: number;

  constructor(perS: number, burst: number, clock: Clock) {
    this.#perS = perS;
    this.#burst = burst;
    this.#clock = clock;
    this.#level = burst;
    this.#lastS = clock.now();
  }

  /** Whether one more fits now; it is then counted. */
  take(): boolean {
    const now = this.#clock.now();
    this.#level = Math.min(this.#burst, this.#level + (now - this.#lastS) * this.#perS);
    this.#lastS = now;
    if (this.#level < 1) return false;
    this.#level -= 1;
    return true;
  }
}

/** Failures by key within a sliding window; bounded: the oldest key is forgotten first. */
export class Failures {
  static readonly #keysMax = 4_096;
  readonly #times = new Map<string, number[]>();
  readonly #max: number;
  readonly #windowS: number;
  readonly #clock: Clock;

  constructor(max: number, windowMs: number, clock: Clock) {
    this.#max = max;
    this.#windowS = windowMs / 1000;
    this.#clock = clock;
  }

  add(key: string): void {
    const times = this.#recent(key);
    times.push(this.#clock.now());
    this.#times.delete(key);
    this.#times.set(key, times.slice(-this.#max));
    const oldest = this.#times.keys().next().value;
    if (this.#times.size > Failures.#keysMax && oldest !== undefined) this.#times.delete(oldest);
  }

  tooMany(key: string): boolean {
    return this.#recent(key).length >= this.#max;
  }

  #recent(key: string): number[] {
    const since = this.#clock.now() - this.#windowS;
    return (this.#times.get(key) ?? []).filter((time) => time > since);
  }
}
