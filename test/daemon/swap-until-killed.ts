/**
 * A process that adds, loads, activates and rolls back checkpoints as fast as it can, and says
 * before and after each. swap-killed.test.ts kills it.
 */
import { once } from 'node:events';
import { join } from 'node:path';
import { silentLogger } from '../../src/core/log.js';
import { Rng } from '../../src/core/rng.js';
import { CheckpointStore } from '../../src/daemon/checkpoint-store.js';
import { Daemon } from '../../src/daemon/daemon.js';
import { loadCheckpoint } from '../../src/model/checkpoint.js';
import { FakeEngine, threeTasks } from '../support/fake-engine.js';

const [root, source, seed] = process.argv.slice(2) as [string, string, string];
const releases = ['1', '2', '3'];

/** Verified as every engine does it; computed by a fake. */
async function openEngine(folder: string): Promise<FakeEngine> {
  const { manifest } = await loadCheckpoint(folder);
  return new FakeEngine(threeTasks, `${manifest.name}@${manifest.release}`);
}

async function swap(): Promise<void> {
  const rng = new Rng(Number(seed));
  const folder = join(root, 'models');
  const store = new CheckpointStore({ folder, shipped: [], stateFolder: join(root, 'state') });
  const sourceOf = (release: string) => join(source, `tiny@${release}`);
  await once(process, 'message');
  await store.sweep();
  const choice = await store.choice();
  const first = choice === undefined ? sourceOf('1') : (await store.find(choice.active)).folder;
  const daemon = new Daemon(await openEngine(first), choice?.previous, {
    ...{ store, openEngine, log: silentLogger, version: '0' },
    driverFor: () => Promise.reject(new Error('no streams here')),
    discover: () => Promise.resolve([]),
  });
  for (;;) {
    const release = releases[rng.below(releases.length)] as string;
    const id = `tiny@${release}`;
    const turns = [
      () => store.add(sourceOf(release)),
      () => store.add(sourceOf(release)),
      () => daemon.load(id),
      () => daemon.activate(id),
      () => daemon.rollback(),
    ];
    process.send?.('begins');
    // What is not there yet, or has no previous one, is refused.
    await turns[rng.below(turns.length)]?.().catch(() => undefined);
    process.send?.('ended');
  }
}

void swap();
