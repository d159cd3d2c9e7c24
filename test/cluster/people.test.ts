/**
 * A person's expert pack in a cluster: it comes from the object store to the worker that serves the
 * person, answers as in one process, and a worker holds a bounded number of them.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BehaviorSubject } from 'rxjs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { BoardState, ModelBoard, PersonPack } from '../../src/cluster/model-board.js';
import { describeCheckpoint, openOperator, provide } from '../../src/cluster/roles.js';
import type { Shelf } from '../../src/cluster/shelf.js';
import { StepServer } from '../../src/cluster/step-server.js';
import { WorkerModels } from '../../src/cluster/worker-models.js';
import type { DaemonEvent } from '../../src/core/events.js';
import { silentLogger } from '../../src/core/log.js';
import { Rng } from '../../src/core/rng.js';
import { systemClock } from '../../src/core/time.js';
import { startDaemon } from '../../src/daemon/start.js';
import { loadCheckpoint } from '../../src/model/checkpoint.js';
import { grow } from '../../src/model/growing.js';
import { encodePack, publishPack } from '../../src/model/pack-checkpoint.js';
import { bandCount } from '../../src/windows/spectra.js';
import { FakeEngine, taskSpec } from '../support/fake-engine.js';
import { Answers, Lab, tinyModels } from './lab.js';
import { hasNats, NatsCluster, until } from './nats-cluster.js';

const clench = taskSpec('clench', { windowS: 2, hopS: 0.5, classes: ['rest', 'clench'] });
const channels = ['Fp1', 'Fp2', 'C3', 'C4'];
const synthetic = (id: string) => `synthetic:${id}?channels=4&rateHz=250&seed=3`;

/** `NAME@1` on `tiny@1`, with a read-out of the person's aligned channels that decides alone. */
async function savePack(models: string, name: string): Promise<void> {
  const base = await loadCheckpoint(join(models, 'tiny@1'));
  const rng = new Rng(5);
  const features = channels.length * bandCount;
  const readout = {
    ...({ alignment: 'euclidean', channels, bias: [0.5, -0.5] } as const),
    mean: new Array<number>(features).fill(-3),
    sd: new Array<number>(features).fill(2),
    weights: Array.from({ length: 2 * features }, () => 0.3 * rng.normal()),
  };
  const pack = { ...grow(base, { name, task: clench, experts: 1 }, rng), readout };
  const notes = { release: '1', trained: true };
  await publishPack(join(models, 'packs', `${name}@1`), await encodePack(base, pack), notes);
}

/** The first covariance, of ten seconds, is in use for all of a window that ends later. */
const alignedFrom = 2500;

/** Probability of `clench` by her pack, by the 200 Hz index of the window's end. */
class Hers {
  readonly windows = new Map<number, number>();
  /** Where the signal's blocks ended, in samples, and when; stamps move a little with time. */
  readonly #ends: { readonly index: number; readonly stampS: number }[] = [];

  constructor(events: { subscribe(next: (event: DaemonEvent) => void): unknown }) {
    events.subscribe((event) => {
      if (!('stream' in event) || !event.stream.endsWith('hers')) return;
      if (event.kind === 'signal') {
        const { index, stampS, samples } = event;
        this.#ends.push({ index: index + samples, stampS: stampS + samples / 200 });
      }
      if (event.kind !== 'prediction' || event.checkpoint !== 'tiny@1+anna@1') return;
      if (event.task !== 'clench') return;
      this.windows.set(this.#indexAt(event.windowEndS), event.probabilities.clench as number);
    });
  }

  #indexAt(stampS: number): number {
    const far = (end: { stampS: number }) => Math.abs(end.stampS - stampS);
    const near = this.#ends.reduce((best, end) => (far(end) < far(best) ? end : best));
    return 50 * Math.round((near.index + (stampS - near.stampS) * 200) / 50);
  }
}

describe.skipIf(!hasNats)('in a cluster', () => {
  let nats: NatsCluster;
  let lab: Lab;
  let models: string;

  beforeAll(async () => {
    nats = await NatsCluster.start(1);
    await nats.ready();
    models = await tinyModels(['1']);
    await savePack(models, 'anna');
    lab = new Lab({ nats, models, staleS: 20 });
  });
  afterAll(async () => {
    await lab?.stop();
    await nats?.stop();
  });

  test("a person's pack answers as in one process, and nobody else's windows", async () => {
    await lab.worker('w1', { models: await tinyModels(['1']) });
    const config = lab.config('op');
    const operator = await openOperator(config, silentLogger);
    await provide(operator.shelf, 'tiny@1+anna@1');
    const info = await describeCheckpoint(config, operator.shelf, 'tiny@1+anna@1');
    await operator.board.assign({ person: 'anna', checkpoint: 'tiny@1+anna@1', info });
    await operator.close();

    const { gateway } = await lab.gateway();
    const inCluster = new Hers(gateway.events$);
    const answers = new Answers(gateway.events$);
    const cluster = { people: { hers: 'anna' } };
    await lab.edge('bed-1', { streams: [synthetic('hers'), synthetic('his')], cluster });
    const single = lab.config('single', { streams: [synthetic('hers')], active: '' });
    const choice = JSON.stringify({ active: 'tiny@1+anna@1' });
    await writeFile(join(single.state.folder as string, 'active.json'), choice);
    const running = await startDaemon(single, silentLogger);
    const alone = new Hers(running.daemon.events$);

    const both = () => [...inCluster.windows.keys()].filter((end) => alone.windows.has(end));
    const isEnough = () =>
      both().length > 10 && both().filter((end) => end > alignedFrom).length > 4;
    await until(isEnough, 'windows that both answered', 90_000);
    const shared = both();
    const values = shared.map((end) => inCluster.windows.get(end) as number);
    for (const [i, end] of shared.entries())
      expect(values[i], `window to ${end}`).toBeCloseTo(alone.windows.get(end) as number, 2);
    expect(Math.max(...values) - Math.min(...values)).toBeGreaterThan(0.02);
    const his = answers.predictions.filter(({ stream }) => stream.endsWith('his'));
    expect(his.length).toBeGreaterThan(20);
    expect(new Set(his.map(({ checkpoint }) => checkpoint))).toEqual(new Set(['tiny@1']));
    await running.close();
  });
});

describe('a worker', () => {
  test('holds four packs, lets the one that served longest ago go, and fetches it again', async () => {
    const people = Array.from({ length: 6 }, (_, i) => `p${i}`);
    const idOf = (person: string) => `tiny@1+${person}@1`;
    const packs = people.map((person): [string, PersonPack] => {
      const { info } = new FakeEngine(undefined, idOf(person));
      return [person, { person, checkpoint: idOf(person), info }];
    });
    const { info } = new FakeEngine(undefined, 'tiny@1');
    const state: BoardState = {
      active: { revision: 1, checkpoint: 'tiny@1', fromWallS: 0, info },
      ready: [],
      people: new Map(packs),
    };
    const board = { state, state$: new BehaviorSubject(state) } as unknown as ModelBoard;
    const fetched: string[] = [];
    const get = async (id: string) => {
      fetched.push(id);
      return { id, folder: id };
    };
    const server = new StepServer({ modelAt: () => 'tiny@1', clock: systemClock });
    const worker = new WorkerModels({
      ...{ worker: 'w1', board, server, log: silentLogger },
      shelf: { get } as unknown as Shelf,
      openEngine: async (folder) => new FakeEngine(undefined, folder),
    });
    await worker.start();
    const held = () => server.infos().map(({ checkpoint }) => checkpoint);
    for (const person of people) {
      worker.want(person);
      await until(() => server.has(idOf(person)), `the pack of ${person}`);
    }
    await until(() => held().length === 5, 'the oldest to be let go');
    expect(held()).toEqual(['tiny@1', ...people.slice(2).map(idOf)]);
    worker.want('p0');
    await until(() => server.has(idOf('p0')), 'the first to be back');
    expect(fetched.filter((id) => id === idOf('p0'))).toHaveLength(2);
    await until(() => held().length === 5, 'the next to be let go');
    expect(held()).not.toContain(idOf('p2'));
    await worker.close();
    await server.close();
  });
});
