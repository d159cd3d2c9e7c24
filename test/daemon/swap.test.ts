/** Exchanging checkpoints under running streams. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import type { CheckpointChange } from '../../src/core/events.js';
import { Rng } from '../../src/core/rng.js';
import type { TaskSpec } from '../../src/core/tasks.js';
import { CheckpointStore } from '../../src/daemon/checkpoint-store.js';
import type { Daemon } from '../../src/daemon/daemon.js';
import { FakeEngine, taskSpec, threeTasks } from '../support/fake-engine.js';
import {
  daemonOn,
  Listener,
  openTiny,
  type TinyStore,
  tinyStore,
  windowEnds,
} from '../support/tiny-checkpoint.js';

/** F10: `EEGD_SWAPS=1000` for as many as are asked for. */
const swaps = Number(process.env.EEGD_SWAPS ?? 20);
const close: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const each of close.splice(0).reverse()) await each();
});

/** Engines that take a random number of turns, so that swaps meet runs in every phase. */
function slowEngine(id: string, rng: Rng, tasks?: readonly TaskSpec[]): FakeEngine {
  const engine = new FakeEngine(tasks, id, rng.uniform());
  engine.before = async () => {
    for (let turns = rng.below(5); turns > 0; turns--) await turn();
  };
  return engine;
}

interface SetUp extends TinyStore {
  readonly daemon: Daemon;
  readonly listener: Listener;
  readonly engines: FakeEngine[];
}

async function setUp(
  releases: readonly string[],
  seed: number,
  tasks: (release: string) => readonly TaskSpec[] = () => threeTasks,
): Promise<SetUp> {
  const tiny = await tinyStore(releases, tasks);
  const rng = new Rng(seed);
  const held = { daemon: undefined as Daemon | undefined };
  const ready = async () => {
    if ((held.daemon?.pending ?? 0) > 30) await held.daemon?.idle();
  };
  const engines: FakeEngine[] = [];
  const openEngine = async (folder: string) => {
    const id = basename(folder);
    const engine = slowEngine(id, rng, tasks(id.split('@')[1] as string));
    engines.push(engine);
    await turn();
    return engine;
  };
  const first = await openEngine(join(tiny.folder, `tiny@${releases[0]}`));
  const daemon = daemonOn(first, tiny.store, { openEngine, context: { ready } });
  held.daemon = daemon;
  close.push(() => daemon.close());
  return { ...tiny, daemon, listener: new Listener(daemon), engines };
}

/** Resolves after `count` more answers. */
async function more(daemon: Daemon, count: number): Promise<void> {
  await new Promise<void>((resolve) => {
    let left = count;
    const subscription = daemon.events$.subscribe(({ kind }) => {
      if (kind !== 'prediction' && kind !== 'no_prediction') return;
      if (--left > 0) return;
      subscription.unsubscribe();
      resolve();
    });
  });
}

describe('a swap', () => {
  test.each([1, 2, 3])(
    `loses no window and answers none twice, ${swaps} times (seed %i)`,
    async (seed) => {
      const { daemon, listener, engines } = await setUp(['1', '2'], seed);
      const rng = new Rng(seed);
      for (const id of ['a', 'b', 'c'])
        await daemon.connect(`synthetic:${id}?speed=max&channels=2&seed=${seed}`);
      for (let swap = 1; swap <= swaps; swap++) {
        await more(daemon, 1 + rng.below(60));
        await daemon.activate(`tiny@${1 + (swap % 2)}`);
      }
      for (const id of ['a', 'b', 'c']) await daemon.disconnect(id);
      await daemon.idle();
      for (const id of ['a', 'b', 'c'])
        for (const task of threeTasks) {
          const own = listener.answers.filter((a) => a.stream === id && a.task === task.name);
          const samples = listener.samples.get(id) as number;
          expect(own.map((a) => a.endSample)).toEqual(windowEnds(task, samples));
          expect(own.map((a) => a.seq)).toEqual(own.map((_, i) => i));
        }
      const changes = listener.answers.filter(
        (a, i, all) =>
          a.kind === 'prediction' &&
          all[i - 1]?.kind === 'prediction' &&
          a.checkpoint !== (all[i - 1] as { checkpoint?: string }).checkpoint,
      );
      expect(changes.length).toBeGreaterThanOrEqual(swaps);
      const late = listener.answers.filter(
        (a) => a.kind === 'no_prediction' && a.startSample > 400,
      );
      expect(late, 'the new one has seen what the old one had').toEqual([]);
      expect(engines.filter((engine) => !engine.closed)).toHaveLength(1);
    },
  );

  test('to other tasks and windows tells the tasks and serves them', async () => {
    const tasks = (release: string) =>
      release === '1' ? threeTasks : [taskSpec('workload', { windowS: 2, hopS: 0.5 })];
    const { daemon, listener } = await setUp(['1', '2'], 4, tasks);
    await daemon.connect('synthetic:a?speed=max&channels=2');
    await more(daemon, 50);
    const change = await daemon.activate('tiny@2');
    expect(change).toMatchObject({ phase: 'active', tasks: ['workload'], previous: 'tiny@1' });
    await more(daemon, 50);
    const workload = listener.answers.filter((a) => a.task === 'workload');
    expect(workload.length).toBeGreaterThan(0);
    expect(workload.map((a) => a.seq)).toEqual(workload.map((_, i) => i));
    expect(workload.every((a) => a.endSample % 100 === 0)).toBe(true);
  });

  test('that fails leaves the old one serving and says why', async () => {
    const { daemon, listener, folder } = await setUp(['1', '2'], 5);
    await daemon.connect('synthetic:a?speed=max&channels=2');
    await more(daemon, 10);
    await expect(daemon.activate('tiny@9')).rejects.toMatchObject({ code: 'EEG_MODEL_NOT_FOUND' });
    await expect(daemon.activate('../../etc')).rejects.toMatchObject({
      code: 'EEG_MODEL_NOT_FOUND',
    });
    rmSync(join(folder, 'tiny@2', 'manifest.json'));
    await expect(daemon.load('tiny@2')).rejects.toMatchObject({ code: 'EEG_MODEL_NOT_FOUND' });
    const phases = listener.others.filter((e) => e.kind === 'checkpoint').map((e) => e.phase);
    expect(phases).toEqual(['failed', 'failed', 'failed']);
    await more(daemon, 10);
    expect(daemon.snapshot().checkpoint).toBe('tiny@1');
  });

  test('is one at a time, and can be rolled back', async () => {
    const { daemon, store } = await setUp(['1', '2'], 6);
    await expect(daemon.rollback()).rejects.toMatchObject({ code: 'EEG_MODEL_NOT_FOUND' });
    const swapping = daemon.activate('tiny@2');
    await expect(daemon.activate('tiny@1')).rejects.toMatchObject({ code: 'EEG_MODEL_BUSY' });
    await swapping;
    expect(await store.choice()).toEqual({ active: 'tiny@2', previous: 'tiny@1' });
    const back: CheckpointChange = await daemon.rollback();
    expect(back).toMatchObject({ phase: 'rolled_back', checkpoint: 'tiny@1' });
    expect(await store.choice()).toEqual({ active: 'tiny@1', previous: 'tiny@2' });
    const listed = await daemon.checkpoints();
    expect(listed.map((c) => [c.checkpoint, c.active, c.previous])).toEqual([
      ['tiny@1', true, false],
      ['tiny@2', false, true],
    ]);
  });

  test('in shadow compares on the same windows and answers none of them', async () => {
    // What is before the swap is only nearly the same to the new one: no context here.
    const tasks = threeTasks.map((task) => ({ ...task, contextWindows: 0 }));
    const { daemon, listener } = await setUp(['1', '2'], 7, () => tasks);
    await daemon.connect('synthetic:a?speed=max&channels=2');
    await more(daemon, 5);
    const report = await daemon.load('tiny@2', { shadowS: 0.3 });
    expect(report.phase).toBe('shadow');
    const compared = Number(/^(\d+) windows compared/.exec(report.detail ?? '')?.[1]);
    expect(compared).toBeGreaterThan(0);
    expect(report.detail).toContain('100.0 % the same class');
    expect(daemon.snapshot().checkpoint).toBe('tiny@1');
    await daemon.activate('tiny@2');
    await more(daemon, 20);
    await daemon.disconnect('a');
    await daemon.idle();
    const samples = listener.samples.get('a') as number;
    const own = listener.answers.filter((a) => a.task === 'seizure');
    const ends = windowEnds(threeTasks[1] as TaskSpec, samples);
    expect(own.map((a) => a.endSample)).toEqual(ends);
  });
});

describe('a real checkpoint', () => {
  test('is verified, warmed and served; a damaged one is refused', async () => {
    const { store, folder } = await tinyStore(['1', '2', '3']);
    const daemon = daemonOn(await openTiny(join(folder, 'tiny@1')), store);
    close.push(() => daemon.close());
    const weights = join(folder, 'tiny@3', 'model.safetensors');
    writeFileSync(weights, Buffer.alloc(100));
    await expect(daemon.activate('tiny@3')).rejects.toMatchObject({ code: 'EEG_MODEL_INVALID' });
    await daemon.connect('synthetic:a?speed=20&channels=2');
    await daemon.activate('tiny@2');
    expect(daemon.snapshot()).toMatchObject({ checkpoint: 'tiny@2', engine: 'onnx/cpu' });
    await more(daemon, 20);
  });
});

describe('the store', () => {
  test('adds whole folders, and finds by name alone where it is clear', async () => {
    const { store, folder } = await tinyStore(['1']);
    const other = await tinyStore(['2']);
    await store.add(join(other.folder, 'tiny@2'));
    expect((await store.list()).map(({ id }) => id)).toEqual(['tiny@1', 'tiny@2']);
    await expect(store.find('tiny')).rejects.toMatchObject({ code: 'EEG_MODEL_NOT_FOUND' });
    rmSync(join(folder, 'tiny@1'), { recursive: true });
    expect((await store.find('tiny')).id).toBe('tiny@2');
    await expect(store.add(folder)).rejects.toMatchObject({ code: 'EEG_MODEL_NOT_FOUND' });
  });

  test('what was added is not started before it is chosen', async () => {
    const added = await tinyStore(['1']);
    const shipped = await tinyStore(['2']);
    const { folder, stateFolder } = added;
    const store = new CheckpointStore({ folder, shipped: [shipped.folder], stateFolder });
    const order = store.inStartOrder(await store.list());
    expect(order.map(({ id }) => id)).toEqual(['tiny@2', 'tiny@1']);
  });

  test('leaves out what cannot be read, and half-written folders', async () => {
    const { store, folder } = await tinyStore(['1']);
    mkdirSync(join(folder, '.tiny@2.partial-1'), { recursive: true });
    mkdirSync(join(folder, 'bad'));
    writeFileSync(join(folder, 'bad', 'manifest.json'), '{');
    const bad: string[] = [];
    const all = await store.list((where) => bad.push(basename(where)));
    expect(all.map(({ id }) => id)).toEqual(['tiny@1']);
    expect(bad).toEqual(['bad']);
  });

  test('refuses a choice file that somebody spoilt', async () => {
    const { store, stateFolder } = await tinyStore(['1']);
    expect(await store.choice()).toBeUndefined();
    await store.choose({ active: 'tiny@1' });
    expect(await store.choice()).toEqual({ active: 'tiny@1' });
    writeFileSync(join(stateFolder, 'active.json'), '{"active":1}');
    await expect(store.choice()).rejects.toMatchObject({ code: 'EEG_STORE_FAILED' });
  });
});
