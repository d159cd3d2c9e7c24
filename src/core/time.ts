/** The LSL clock: seconds of the machine's monotonic clock, as liblsl's `local_clock` has it. */
export function localClock(): number {
  return Number(process.hrtime.bigint()) / 1e9;
}

/** A source of time that tests replace by a virtual one. */
export interface Clock {
  /** LSL seconds, monotonic. */
  now(): number;
  /** Wall clock in ms since the epoch: for file headers and logs, never for durations. */
  wallMs(): number;
  setTimeout(callback: () => void, ms: number): () => void;
}

export const systemClock: Clock = {
  now: localClock,
  wallMs: Date.now,
  setTimeout(callback, ms) {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};
