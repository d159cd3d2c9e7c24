/** Whether windows are answered in time wherever samples come: what the watchdog asks. */
import type { StreamState } from '../core/events.js';
import type { WindowAnswer } from '../windows/serving.js';
import type { ModelHost } from './model-host.js';

/** A window may be answered so much later than it ends before the path counts as stuck. */
const stuckAfterS = 5;
/** Not answers of a path that moves: a stuck engine still lets windows overflow and grow old. */
const stuckReasons: ReadonlySet<string> = new Set(['overload', 'stale', 'engine_failed']);

interface Stream {
  readonly id: string;
  readonly state: StreamState;
  /** LSL seconds of the last change of state. */
  readonly stateSinceS: number;
}

export class DataFlow {
  #movedS = Number.NEGATIVE_INFINITY;

  answered({ reason }: WindowAnswer, nowS: number): void {
    if (reason === undefined || !stuckReasons.has(reason)) this.#movedS = nowS;
  }

  holds(streams: Iterable<Stream>, host: ModelHost, nowS: number): boolean {
    return [...streams].every(({ id, state, stateSinceS }) => {
      if (state !== 'streaming') return true;
      return nowS < host.nextWindowS(id, stateSinceS, this.#movedS) + stuckAfterS;
    });
  }
}
