/**
 * F8: a process that changes checkpoints is killed at random moments. What is chosen is always a
 * checkpoint that verifies, what it had before is kept, and little is left lying about.
 * `EEGD_KILLS` asks for more kills than 40.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Rng } from '../../src/core/rng.js';
import { forkProcess } from '../../src/core/spawn.js';
import { CheckpointStore } from '../../src/daemon/checkpoint-store.js';
import { loadCheckpoint } from '../../src/model/checkpoint.js';
import { tinyStore } from '../support/tiny-checkpoint.js';

const kills = Number(process.env.EEGD_KILLS ?? 40);
const seed = Math.floor(Math.random() * 2 ** 31);
const rng = new Rng(seed);
const root = mkdtempSync(join(tmpdir(), 'eegd-killed-'));
const folder = join(root, 'models');
const stateFolder = join(root, 'state');

/** A process that waits for its first message. */
function waiting(source: string): ChildProcess {
  const url = new URL('./swap-until-killed.js', import.meta.url);
  return forkProcess(url, [root, source, String(rng.below(2 ** 31))]);
}

/** Lets it run for a random number of reports and some event-loop turns, then kills it. */
async function kill(child: ChildProcess): Promise<void> {
  let reports = 1 + rng.below(12);
  await new Promise<void>((resolve) => {
    child.on('message', () => {
      if (--reports === 0) resolve();
    });
    child.send('go');
  });
  // Every second one is caught while something half-written is there; it is so for moments only.
  const caught = rng.below(2) === 0;
  const turnsMax = caught ? 20_000 : rng.below(100);
  for (let turns = 0; turns < turnsMax && !(caught && leftovers().length > 0); turns++)
    await new Promise((resolve) => setImmediate(resolve));
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  expect((await ended)[1]).toBe('SIGKILL');
}

const namesIn = (parent: string) => {
  try {
    return readdirSync(parent);
  } catch {
    return [];
  }
};
const leftovers = () => [
  ...namesIn(folder).filter((name) => /partial|previous/.test(name)),
  ...namesIn(stateFolder).filter((name) => name !== 'active.json'),
];

test(`killed ${kills} times, the choice always verifies (seed ${seed})`, {
  timeout: 600_000,
}, async () => {
  const source = (await tinyStore(['1', '2', '3'])).folder;
  const figures = { chosen: 0, interrupted: 0 };
  let known = new Set<string>();
  let next = waiting(source);
  for (let i = 0; i < kills; i++) {
    const child = next;
    next = waiting(source);
    await kill(child);
    const left = leftovers();
    // A folder being written, its predecessor, and the choice: never two of a kind.
    expect(left.filter((name) => name.includes('partial')).length, left.join()).toBeLessThan(2);
    expect(left.length, left.join()).toBeLessThanOrEqual(2);
    if (left.length > 0) figures.interrupted++;
    const store = new CheckpointStore({ folder, shipped: [], stateFolder });
    await store.sweep();
    expect(leftovers()).toEqual([]);
    const bad: unknown[] = [];
    const all = await store.list((_, error) => bad.push(error));
    expect(bad).toEqual([]);
    for (const stored of all) await loadCheckpoint(stored.folder);
    const ids = new Set(all.map(({ id }) => id));
    expect(
      [...known].filter((id) => !ids.has(id)),
      'nothing that was there is lost',
    ).toEqual([]);
    known = ids;
    const choice = await store.choice();
    if (choice === undefined) continue;
    figures.chosen++;
    expect(ids).toContain(choice.active);
    if (choice.previous !== undefined) expect(choice.previous).not.toBe(choice.active);
  }
  next.kill('SIGKILL');
  console.info(`killed ${kills} times: ${JSON.stringify(figures)}`);
  expect(figures.chosen).toBeGreaterThan(kills / 3);
  if (kills >= 40) expect(figures.interrupted).toBeGreaterThan(0);
});
