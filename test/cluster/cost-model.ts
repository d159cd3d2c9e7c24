/**
 * What a cluster of so many headsets needs, from figures of one headset, and a simulation of the
 * workers' queues that checks it. Each headset sends a step every quarter of a second.
 */
import type { Rng } from '../../src/core/rng.js';

export interface HeadsetFigures {
  /** Of one step of 0.25 s, one result, and the status and quality of a second. */
  readonly stepBytes: number;
  readonly resultBytes: number;
  readonly eventBytesPerS: number;
  /** A worker's time for one step, in a batch, and for a batch however small, ms. */
  readonly stepMs: number;
  readonly batchMs: number;
  /** Of a recording, bytes a second. */
  readonly recordedBytesPerS: number;
}

export interface Cost {
  /** From the edges to the servers, Mbit/s; the servers' copies come on top. */
  readonly inMbitPerS: number;
  /** From the servers to workers and one gateway. */
  readonly outMbitPerS: number;
  readonly messagesPerS: number;
  readonly workers: number;
  /** What JetStream keeps in memory of the last minute, one copy, MB. */
  readonly memoryMb: number;
  readonly recordedGbPerHour: number;
}

export const stepsPerS = 4;
/** Share of a worker that may be busy; the rest is for batches that come together. */
const busyMax = 0.7;
const keptS = 60;
/** A death is noticed, and what was not acknowledged is given again, within so long. */
const missedS = 0.6;
const givenS = 0.1;

export function costOf(headsets: number, figures: HeadsetFigures): Cost {
  const { stepBytes, resultBytes, eventBytesPerS, stepMs, recordedBytesPerS } = figures;
  const inBytes = headsets * (stepsPerS * stepBytes + eventBytesPerS);
  const outBytes = headsets * (stepsPerS * (2 * stepBytes + resultBytes) + eventBytesPerS);
  // One more than the load needs, so that one may die.
  const workers = 1 + Math.ceil((headsets * stepsPerS * stepMs) / 1000 / busyMax);
  return {
    inMbitPerS: (8 * inBytes) / 1e6,
    outMbitPerS: (8 * outBytes) / 1e6,
    messagesPerS: headsets * stepsPerS * 3,
    workers,
    memoryMb: (headsets * stepsPerS * (stepBytes + resultBytes) * keptS) / 1e6,
    recordedGbPerHour: (headsets * recordedBytesPerS * 3600) / 1e9,
  };
}

export interface Simulated {
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Steps answered later than a second, the shortest stale limit. */
  readonly stale: number;
  readonly steps: number;
}

/**
 * `seconds` of life: steps of random phase are dealt out to workers, each of which takes what waits
 * in one batch. With `killAtS` one worker dies then, and its share moves to the others after the
 * half second in which it is missed.
 */
export function simulate(
  { headsets, workers, seconds, killAtS }: SimulatedCluster,
  { stepMs, batchMs }: HeadsetFigures,
  rng: Rng,
): Simulated {
  const queues = Array.from({ length: workers }, () => [] as Waiting[]);
  for (let h = 0; h < headsets; h++) {
    const home = h % workers;
    const other = workers === 1 ? 0 : 1 + (h % (workers - 1));
    for (let at = rng.uniform() / stepsPerS; at < seconds; at += 1 / stepsPerS) {
      // What the dead one had just been given is given again with the rest.
      const isOrphan = killAtS !== undefined && home === 0 && at > killAtS - givenS;
      const readyAt = isOrphan ? Math.max(at, (killAtS as number) + missedS) : at;
      queues[isOrphan ? other : home]?.push({ at, readyAt });
    }
  }
  const waits = queues.flatMap((queue) =>
    served(
      queue.sort((a, b) => a.readyAt - b.readyAt),
      { stepS: stepMs / 1000, batchS: batchMs / 1000 },
    ),
  );
  waits.sort((a, b) => a - b);
  const at = (q: number) => 1000 * (waits[Math.floor(q * (waits.length - 1))] ?? 0);
  const stale = waits.filter((wait) => wait > 1).length;
  return { p50Ms: at(0.5), p99Ms: at(0.99), stale, steps: waits.length };
}

export interface SimulatedCluster {
  readonly headsets: number;
  readonly workers: number;
  readonly seconds: number;
  readonly killAtS?: number;
}

interface Waiting {
  readonly at: number;
  readonly readyAt: number;
}

/** From arrival to answer of each, s. */
function served(
  ready: readonly Waiting[],
  { stepS, batchS }: { stepS: number; batchS: number },
): number[] {
  const waits: number[] = [];
  let freeS = 0;
  for (let i = 0; i < ready.length; ) {
    const startS = Math.max(freeS, (ready[i] as Waiting).readyAt);
    let end = i;
    while (end < ready.length && (ready[end] as Waiting).readyAt <= startS) end++;
    freeS = startS + batchS + (end - i) * stepS;
    for (; i < end; i++) waits.push(freeS - (ready[i] as Waiting).at);
  }
  return waits;
}
