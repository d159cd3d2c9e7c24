/** Counts of what a role did, and one log line for the first of each refusal, then one a minute. */
import type { Logger } from '../core/log.js';
import { localClock } from '../core/time.js';
import { BadMessage } from './wire.js';

const logEveryS = 60;

export class Counters {
  readonly #counts = new Map<string, number>();
  readonly #logged = new Map<string, number>();
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  add(name: string, count = 1): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + count);
  }

  get(name: string): number {
    return this.#counts.get(name) ?? 0;
  }

  all(): Record<string, number> {
    return Object.fromEntries([...this.#counts].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** What `read` gives; a bad message is counted and told of, and gives undefined. */
  read<T>(subject: string, read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof BadMessage)) throw error;
      this.refuse(error.reason, { subject }, error.message);
      return undefined;
    }
  }

  refuse(reason: string, context: object, detail: string): void {
    this.add(`refused_${reason}`);
    const nowS = localClock();
    if (nowS - (this.#logged.get(reason) ?? Number.NEGATIVE_INFINITY) < logEveryS) return;
    this.#logged.set(reason, nowS);
    this.#log.warn({ ...context, reason }, `a message was refused: ${detail}`);
  }
}
