/**
 * Emits the steps of a source when they are due: in real time, N times real time, or as fast as
 * the consumer takes them. Each step is scheduled against the clock and the start, never against
 * the step before, so lateness does not add up.
 */
import { setImmediate } from 'node:timers/promises';
import { Observable, type Subscriber } from 'rxjs';
import { toEegError } from '../src/core/errors.js';
import type { DriverEvent } from '../src/core/stream.js';
import type { Clock } from '../src/core/time.js';

export interface PacedStep {
  /** Seconds of stream time after the start at which the step is complete. */
  readonly dueS: number;
  events(arrivalS: number): readonly DriverEvent[];
}

export interface PacedSource {
  /** `startS` is the clock at stream time 0. */
  steps(startS: number): Iterable<PacedStep>;
  close(): void;
}

export interface PaceOptions {
  readonly clock: Clock;
  /** Stream seconds a second; `Infinity`: as fast as the consumer takes it. */
  readonly speed: number;
  /** Awaited before every step: the consumer's way to hold the source back. */
  readonly ready?: () => Promise<void>;
}

/** Errors with an `EegError` where the source cannot be opened or read; completes after its end. */
export function pace(
  open: () => Promise<PacedSource>,
  signal: AbortSignal,
  options: PaceOptions,
): Observable<DriverEvent> {
  return new Observable((subscriber) => {
    const abort = new AbortController();
    const stop = (): void => {
      abort.abort();
      subscriber.complete();
    };
    if (signal.aborted) return stop();
    signal.addEventListener('abort', stop, { once: true });
    emit(open, subscriber, abort.signal, options).then(
      () => subscriber.complete(),
      (error: unknown) => subscriber.error(toEegError(error)),
    );
    return () => {
      signal.removeEventListener('abort', stop);
      abort.abort();
    };
  });
}

async function emit(
  open: () => Promise<PacedSource>,
  subscriber: Subscriber<DriverEvent>,
  stopped: AbortSignal,
  options: PaceOptions,
): Promise<void> {
  const { clock, speed, ready } = options;
  const source = await open();
  try {
    const startS = clock.now();
    for (const step of source.steps(startS)) {
      const dueS = Number.isFinite(speed) ? startS + step.dueS / speed : -Infinity;
      if (dueS > clock.now()) await waitUntil(dueS, clock, stopped);
      else await setImmediate();
      await ready?.();
      if (stopped.aborted) return;
      for (const event of step.events(clock.now())) subscriber.next(event);
    }
  } finally {
    source.close();
  }
}

/** Timers count whole milliseconds and may fire early, so ask the clock again. */
async function waitUntil(dueS: number, clock: Clock, stopped: AbortSignal): Promise<void> {
  for (let waitMs = 1; !stopped.aborted; ) {
    waitMs = Math.ceil((dueS - clock.now()) * 1000);
    if (waitMs <= 0) return;
    await new Promise<void>((resolve) => {
      const cancel = clock.setTimeout(done, waitMs);
      function done(): void {
        stopped.removeEventListener('abort', done);
        cancel();
        resolve();
      }
      stopped.addEventListener('abort', done, { once: true });
    });
  }
}

/** A stream id of any name: lower case, `[a-z0-9][a-z0-9._-]{0,63}`. */
export function streamId(name: string): string {
  const plain = name.toLowerCase().replace(/[^a-z0-9._-]+/g, '-');
  return plain.replace(/^[^a-z0-9]+/, '').slice(0, 64) || 'stream';
}
