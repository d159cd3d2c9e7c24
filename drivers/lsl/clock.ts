/** LSL time: seconds of this machine's monotonic clock, the same clock as liblsl's `local_clock`. */

export interface LslClock {
  /** LSL seconds. */
  now(): number;
  /** Returns what cancels it. */
  setTimeout(callback: () => void, ms: number): () => void;
}

export function localClock(): number {
  return Number(process.hrtime.bigint()) / 1e9;
}

export const systemLslClock: LslClock = {
  now: localClock,
  setTimeout(callback, ms) {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};
