/** Time that jumps to the next timer: hours pass in milliseconds, and nothing sleeps. */
import type { Clock } from '../../src/core/time.js';

export class JumpingClock implements Clock {
  #nowS: number;
  readonly #latenessMs: () => number;

  /** `latenessMs`: how much later than asked each timer fires. */
  constructor(startS = 1000, latenessMs: () => number = () => 0) {
    this.#nowS = startS;
    this.#latenessMs = latenessMs;
  }

  now(): number {
    return this.#nowS;
  }

  wallMs(): number {
    return 1_700_000_000_000 + this.#nowS * 1000;
  }

  setTimeout(callback: () => void, ms: number): () => void {
    let isCancelled = false;
    const dueS = this.#nowS + (Math.max(0, ms) + this.#latenessMs()) / 1000;
    queueMicrotask(() => {
      if (isCancelled) return;
      this.#nowS = Math.max(this.#nowS, dueS);
      callback();
    });
    return () => {
      isCancelled = true;
    };
  }
}
