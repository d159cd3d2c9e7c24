/** Time that passes only when a test says so. */
import type { Clock } from '../../src/core/time.js';

export class VirtualClock implements Clock {
  #now = 1_000;
  #timers: { atS: number; callback: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  wallMs(): number {
    return Date.UTC(2026, 0, 1) + this.#now * 1000;
  }

  setTimeout(callback: () => void, ms: number): () => void {
    const timer = { atS: this.#now + ms / 1000, callback };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((each) => each !== timer);
    };
  }

  /** Runs every timer that falls due on the way, in order. */
  advance(seconds: number): void {
    const untilS = this.#now + seconds;
    for (;;) {
      const due = this.#timers.filter(({ atS }) => atS <= untilS).sort((a, b) => a.atS - b.atS);
      const first = due[0];
      if (first === undefined) break;
      this.#timers = this.#timers.filter((each) => each !== first);
      this.#now = first.atS;
      first.callback();
    }
    this.#now = untilS;
  }
}
