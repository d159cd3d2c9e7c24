/** A clock that stands still until a test moves it; timers fire in order, promises in between. */
import type { Clock } from '../../src/core/time.js';

interface Timer {
  readonly atS: number;
  readonly order: number;
  readonly callback: () => void;
}

export class FakeClock implements Clock {
  /** Wall clock, ms; tests may move it as they like, since nothing may depend on it. */
  wall = Date.UTC(2026, 0, 1);
  #nowS: number;
  #order = 0;
  readonly #timers = new Set<Timer>();

  constructor(nowS = 1000) {
    this.#nowS = nowS;
  }

  now(): number {
    return this.#nowS;
  }

  wallMs(): number {
    return this.wall;
  }

  setTimeout(callback: () => void, ms: number): () => void {
    const timer = { atS: this.#nowS + Math.max(0, ms) / 1000, order: this.#order++, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  async advance(ms: number): Promise<void> {
    const end = this.#nowS + ms / 1000;
    await settled();
    for (;;) {
      const next = [...this.#timers].sort((a, b) => a.atS - b.atS || a.order - b.order)[0];
      if (next === undefined || next.atS > end) break;
      this.#timers.delete(next);
      this.#nowS = Math.max(this.#nowS, next.atS);
      next.callback();
      await settled();
    }
    this.#nowS = end;
  }

  /** Let time pass until something holds; the test's own time limit bounds it. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await this.advance(20);
  }

  /** Let time pass until the promise is settled, real input and output included. */
  async through<T>(promise: Promise<T>): Promise<T> {
    let done = false;
    const end = () => {
      done = true;
    };
    promise.then(end, end);
    while (!done) await this.advance(50);
    return await promise;
  }
}

/** Let everything run that waits for nothing but a promise. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 4; i++) await new Promise((resolve) => setImmediate(resolve));
}
