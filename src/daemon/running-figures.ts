/** Figures that the snapshot shows: routing shares and latencies, as running averages. */
import type { EngineInfo } from '../engine/engine.js';

const latenciesKept = 256;
/** Weight of one more window in the routing averages. */
const routingWeight = 0.02;

/** Running share of tokens, `[moeBlocks][tasks][experts]`. */
export class RoutingShares {
  readonly #info: EngineInfo;
  readonly #shares: number[][][];
  readonly #seen: boolean[];

  constructor(info: EngineInfo) {
    this.#info = info;
    const row = () => new Array<number>(info.experts).fill(0);
    this.#shares = Array.from({ length: info.moeBlocks }, () => info.tasks.map(row));
    this.#seen = info.tasks.map(() => false);
  }

  /** `routing` `[moeBlocks, experts]` of one window. */
  add(task: number, routing: Float32Array): void {
    const { experts } = this.#info;
    const weight = this.#seen[task] ? routingWeight : 1;
    for (const [block, tasks] of this.#shares.entries()) {
      const row = tasks[task] ?? [];
      for (let e = 0; e < row.length; e++)
        row[e] += weight * ((routing[block * experts + e] ?? 0) - (row[e] ?? 0));
    }
    this.#seen[task] = true;
  }

  get shares(): readonly (readonly (readonly number[])[])[] {
    return this.#shares;
  }
}

/** The last latencies of each task, ms. */
export class Latencies {
  readonly #kept = new Map<string, number[]>();

  add(task: string, ms: number): void {
    let kept = this.#kept.get(task);
    if (kept === undefined) {
      kept = [];
      this.#kept.set(task, kept);
    }
    kept.push(ms);
    if (kept.length > latenciesKept) kept.shift();
  }

  medians(): Record<string, number> {
    return Object.fromEntries([...this.#kept].map(([task, kept]) => [task, quantile(kept, 0.5)]));
  }
}

/** Nearest-rank quantile; 0 of nothing. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0;
}
