/** Intervals over people: what spreads is the person, so people are drawn, not windows. */
import { Rng } from '../core/rng.js';

export interface Interval {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/**
 * Percentile bootstrap (Efron 1979), 95 %: groups (people) are drawn with replacement, and the
 * `statistics` are computed on the drawn ones. With one group the intervals are NaN: one person
 * says nothing of others.
 */
export function bootstrapAll<T, K extends string>(
  groups: readonly T[],
  statistics: (drawn: readonly T[]) => Readonly<Record<K, number>>,
  options: { draws?: number; seed?: number } = {},
): Record<K, Interval> {
  const value = statistics(groups);
  const names = Object.keys(value) as K[];
  const drawn = new Map<K, number[]>(names.map((name) => [name, []]));
  const rng = new Rng(options.seed ?? 1);
  for (let i = 0; groups.length > 1 && i < (options.draws ?? 1000); i++) {
    const found = statistics(groups.map(() => groups[rng.below(groups.length)]));
    for (const name of names) if (!Number.isNaN(found[name])) drawn.get(name)?.push(found[name]);
  }
  const intervals = names.map((name) => {
    const sorted = (drawn.get(name) ?? []).sort((a, b) => a - b);
    const [low, high] = [percentile(sorted, 0.025), percentile(sorted, 0.975)];
    return [name, { value: value[name], low, high }] as const;
  });
  return Object.fromEntries(intervals) as Record<K, Interval>;
}

/** One statistic of the groups. */
export function bootstrap<T>(
  groups: readonly T[],
  statistic: (drawn: readonly T[]) => number,
  options: { draws?: number; seed?: number } = {},
): Interval {
  return bootstrapAll(groups, (drawn) => ({ one: statistic(drawn) }), options).one;
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
