/**
 * What waits for one client. Up to `queueBytesMax` everything is sent as it comes. Above it, only
 * the latest of each kind is kept (a prediction of each stream and task, a status of each stream);
 * signal is left out, and events, markers and results wait in a bounded line. A client above the
 * mark for `slowMsMax` is given up. So a client that stops reading costs memory within bounds and
 * nobody else's time.
 */
import type { Clock } from '../core/time.js';
import { limits } from './limits.js';

export interface Wire {
  readonly bufferedAmount: number;
  send(data: string | Uint8Array, done: () => void): void;
}

/** How a message is kept while the client lags: `latest` by key, `keep` in order, `drop` not. */
export type Keep = { readonly latest: string } | 'keep' | 'drop';

export interface OutboxHooks {
  /** The client has been too slow for too long. */
  onSlow(): void;
  onDropped(count: number): void;
  /** The message that tells the client how much was left out. */
  lagged(dropped: number): string;
}

export class Outbox {
  readonly #wire: Wire;
  readonly #clock: Clock;
  readonly #hooks: OutboxHooks;
  #latest = new Map<string, string | Uint8Array>();
  #kept: (string | Uint8Array)[] = [];
  #dropped = 0;
  #stopTimer: (() => void) | undefined;

  constructor(wire: Wire, clock: Clock, hooks: OutboxHooks) {
    this.#wire = wire;
    this.#clock = clock;
    this.#hooks = hooks;
  }

  get lagging(): boolean {
    return this.#stopTimer !== undefined;
  }

  send(data: string | Uint8Array, keep: Keep, written?: () => void): void {
    if (!this.lagging && this.#wire.bufferedAmount + data.length <= limits.queueBytesMax) {
      this.#wire.send(data, written ?? noop);
      return;
    }
    this.#hold(data, keep);
    if (!this.lagging) this.#watch();
  }

  /** Look ten times a second whether the client has caught up; give it up when it does not. */
  #watch(): void {
    const sinceS = this.#clock.now();
    const look = () => {
      if (this.#wire.bufferedAmount <= limits.queueBytesMax / 2) this.#flush();
      else if ((this.#clock.now() - sinceS) * 1000 >= limits.slowMsMax) this.#hooks.onSlow();
      else this.#stopTimer = this.#clock.setTimeout(look, limits.drainMs);
    };
    this.#stopTimer = this.#clock.setTimeout(look, limits.drainMs);
  }

  close(): void {
    this.#stopTimer?.();
    this.#stopTimer = undefined;
    this.#latest.clear();
    this.#kept = [];
  }

  #hold(data: string | Uint8Array, keep: Keep): void {
    if (keep === 'keep') {
      this.#kept.push(data);
      if (this.#kept.length > limits.backlogMax) {
        this.#kept.shift();
        this.#drop();
      }
    } else if (keep === 'drop') {
      this.#drop();
    } else {
      if (this.#latest.delete(keep.latest)) this.#drop();
      this.#latest.set(keep.latest, data);
    }
  }

  #drop(): void {
    this.#dropped += 1;
    this.#hooks.onDropped(1);
  }

  #flush(): void {
    const waiting = [...this.#kept, ...this.#latest.values()];
    const dropped = this.#dropped;
    this.close();
    this.#dropped = 0;
    if (dropped > 0) this.#wire.send(this.#hooks.lagged(dropped), noop);
    for (const data of waiting) this.#wire.send(data, noop);
  }
}

const noop = () => {};
