/** What a consumer of the ingest benchmark keeps: counters seen, and delays while measured. */
import { localClock } from '../../drivers/lsl/clock.js';
import type { Chunk, DriverEvent, StreamInfo } from '../../src/core/stream.js';
import { SignalPath } from '../../src/signal/path.js';

export interface ConsumerReport {
  /** Samples that never came, all streams together. */
  readonly lost: number;
  readonly received: number;
  readonly cores: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly rssMb: number;
}

/**
 * The whole work on one stream: condition it, and see that its counter (the first channel) has no
 * hole. A board's own counter is seen to by its driver, which says what is missing.
 */
export class StreamTally {
  readonly #path: SignalPath;
  readonly #channels: number;
  readonly #delaysMs: number[];
  #next = -1;
  #first = -1;
  readonly #hasCounter: boolean;
  #holes = 0;

  constructor(info: StreamInfo, delaysMs: number[]) {
    this.#hasCounter = info.driver === 'lsl';
    this.#path = new SignalPath(info);
    this.#channels = info.channels.length;
    this.#delaysMs = delaysMs;
  }

  /** Counter behind the last sample. */
  get next(): number {
    return this.#next;
  }

  get lost(): number {
    return this.#hasCounter ? this.#holes : this.#path.lostSamples;
  }

  get received(): number {
    if (!this.#hasCounter) return this.#path.samples - this.#path.lostSamples;
    return this.#next - this.#first - this.#holes;
  }

  push(event: DriverEvent): void {
    this.#path.push(event);
  }

  take(chunk: Chunk, isMeasured: boolean): void {
    this.push({ kind: 'chunk', chunk });
    const pushedS = chunk.stamps?.at(-1);
    if (isMeasured && pushedS !== undefined) this.#delaysMs.push((localClock() - pushedS) * 1000);
    if (!this.#hasCounter) return;
    for (let f = 0; f < chunk.frames; f++) {
      const counter = chunk.data[f * this.#channels] ?? Number.NaN;
      if (this.#next < 0) this.#first = counter;
      else this.#holes += Math.abs(counter - this.#next);
      this.#next = counter + 1;
    }
  }
}

export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** Measures from its making on. */
export class Meter {
  readonly #cpu = process.cpuUsage();
  readonly #startNs = process.hrtime.bigint();

  report(tallies: readonly StreamTally[], delaysMs: number[]): ConsumerReport {
    const { user, system } = process.cpuUsage(this.#cpu);
    const wallUs = Number(process.hrtime.bigint() - this.#startNs) / 1e3;
    const sorted = delaysMs.sort((a, b) => a - b);
    return {
      lost: tallies.reduce((sum, one) => sum + one.lost, 0),
      received: tallies.reduce((sum, one) => sum + one.received, 0),
      cores: (user + system) / wallUs,
      p50Ms: percentile(sorted, 0.5),
      p99Ms: percentile(sorted, 0.99),
      rssMb: process.memoryUsage.rss() / 2 ** 20,
    };
  }
}
