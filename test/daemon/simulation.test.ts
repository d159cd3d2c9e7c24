/**
 * F17: a daemon lives through seeded faults on virtual time. `EEGD_SEEDS=10000` for more lives,
 * `EEGD_SEED=17` for one. A failure names its seed and the commit.
 */
import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { packageRoot } from '../../src/core/paths.js';
import { type Life, live } from './simulation.js';

const lives = Number(process.env.EEGD_SEEDS ?? 200);
const only = process.env.EEGD_SEED;
const groupSize = Math.ceil(lives / 10);
const groups = only === undefined ? [...Array(10).keys()] : [0];

function seedsOf(group: number): number[] {
  if (only !== undefined) return [Number(only)];
  const all = Array.from({ length: groupSize }, (_, i) => group * groupSize + i);
  return all.filter((seed) => seed < lives);
}

function commit(): string {
  const { stdout } = spawnSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: packageRoot() });
  return String(stdout ?? '').trim() || 'unknown';
}

test.each(groups)(
  'lives of group %i keep every invariant',
  { timeout: 3_600_000 },
  async (group) => {
    const seen: Life[] = [];
    for (const seed of seedsOf(group)) {
      try {
        seen.push(await live(seed));
      } catch (cause) {
        const what = cause instanceof Error ? cause.message : String(cause);
        throw new Error(`seed ${seed}, commit ${commit()}: ${what}`, { cause });
      }
    }
    const sum = (key: keyof Life) => seen.reduce((total, life) => total + life[key], 0);
    const figures = { lives: seen.length, answers: sum('answers') };
    console.info({ ...figures, predictions: sum('predictions'), changes: sum('changes') });
    // The storm must not be so bad that nothing was tested.
    expect(sum('predictions')).toBeGreaterThan(0.2 * sum('answers'));
    if (seen.length >= 10) expect(sum('changes')).toBeGreaterThan(seen.length / 4);
  },
);
