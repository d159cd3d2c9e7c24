/** Intervals over people: what spreads is the person, so people are drawn, not windows. */
import { Rng } from '../core/rng.js';

export interface Interval {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/**
 * Percentile bootstrap (Efron 1979), 95 %: groups (people) are drawn with replacement, and
 * `statistic` is computed on the drawn ones. With one group the interval is NaN: one person says
 * nothing of others.
 */
export function bootstrap<T>(
  groups: readonly T[],
  statistic: (drawn: readonly T[]) => number,
  options: { draws?: number; seed?: number } = {},
): Interval {
  const value = statistic(groups);
  if (groups.length < 2) return { value, low: Number.NaN, high: Number.NaN };
  const rng = new Rng(options.seed ?? 1);
  const values: number[] = [];
  for (let i = 0; i < (options.draws ?? 1000); i++) {
    const drawn = groups.map(() => groups[rng.below(groups.length)]);
    const one = statistic(drawn);
    if (!Number.isNaN(one)) values.push(one);
  }
  values.sort((a, b) => a - b);
  return { value, low: percentile(values, 0.025), high: percentile(values, 0.975) };
}

/** Linear between neighbours; `sorted` ascending. */
export function percentile(sorted: ArrayLike<number>, share: number): number {
  if (sorted.length === 0) return Number.NaN;
  const at = (sorted.length - 1) * share;
  const low = Math.floor(at);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low] + (sorted[high] - sorted[low]) * (at - low);
}

export function meanAndSd(values: readonly number[]): { mean: number; sd: number } {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const square = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, sd: Math.sqrt(square / Math.max(1, values.length - 1)) };
}
