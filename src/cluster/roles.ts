/**
 * The one place that decides where a call crosses a process. `eegd serve` puts signal, model and
 * server into one process (src/daemon/start.ts); here the same parts stand behind NATS: an edge has
 * `Streams` that give windows to a `StepTarget`, a worker answers them with `Serving`, a gateway is
 * a `DaemonApi` for the same server.
 */
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { KV } from '@nats-io/kv';
import type { Config } from '../config/schema.js';
import { EegError } from '../core/errors.js';
import { createLogger, type Logger } from '../core/log.js';
import type { TaskSpec } from '../core/tasks.js';
import type { CheckpointStore } from '../daemon/checkpoint-store.js';
import { engineOpener, foldersOf, serverOptions, storeOf, version } from '../daemon/start.js';
import type { Engine } from '../engine/engine.js';
import { type RunningServer, startServer } from '../server/server.js';
import { staleAfterS } from '../windows/urgency.js';
import { Activation } from './activation.js';
import { AdaptJobs, type AdaptJobsOptions } from './adapt-jobs.js';
import { openLink, type Role } from './connection.js';
import { Counters } from './counters.js';
import { Gateway } from './gateway.js';
import { Roster } from './membership.js';
import { ModelBoard, plainInfo } from './model-board.js';
import { requireName } from './names.js';
import { ensureSite, openModels } from './resources.js';
import { Shelf } from './shelf.js';
import { Worker } from './worker.js';
import { WorkerModels } from './worker-models.js';

export interface RunningWorker {
  readonly worker: Worker;
  close(): Promise<void>;
}

export interface RunningGateway {
  readonly gateway: Gateway;
  readonly server: RunningServer;
  close(): Promise<void>;
}

/** Resolves when the active checkpoint is warm and work is pulled. */
export async function startWorker(
  config: Config,
  log: Logger,
  fork?: AdaptJobsOptions['fork'],
): Promise<RunningWorker> {
  const { partitions } = config.cluster;
  const name = nameOf(config, 'worker');
  const { link, board, shelf, store } = await openShared(config, 'worker', name, log);
  await bootstrap(config, board, shelf, log);
  const roster = new Roster(link);
  roster.start();
  const worker = new Worker({
    ...{ link, name, sites: sitesOf(config), partitions, board, roster, log },
    staleAfterS: staleLimits(config),
    onPerson: (person) => models.want(person),
  });
  const models = new WorkerModels({
    ...{ worker: name, board, shelf, server: worker.server, log },
    openEngine: engineOpener(config, log),
  });
  await models.start();
  worker.start();
  const { enabled, threads, engine = config.engine.kind } = config.adaptation;
  const jobs = new AdaptJobs({
    ...{ link, worker: name, sites: sitesOf(config), board, shelf, store, threads, engine },
    folder: join(foldersOf(config).state, 'adaptation'),
    describe: (checkpoint) => describeCheckpoint(config, shelf, checkpoint),
    counters: worker.counters,
    ...(fork === undefined ? {} : { fork }),
  });
  if (enabled) jobs.start();
  const close = async () => {
    await jobs.close();
    await models.close();
    await worker.close();
    roster.close();
    board.close();
    await link.close();
  };
  return { worker, close };
}

export async function startGateway(config: Config, log: Logger): Promise<RunningGateway> {
  const name = nameOf(config, 'worker');
  const { link, board, shelf, store } = await openShared(config, 'gateway', name, log);
  const roster = new Roster(link);
  roster.start();
  const activation: Activation = new Activation({
    ...{ board, roster },
    provide: (checkpoint) => provide(shelf, checkpoint),
    onChange: (change) => gateway.changed(change),
  });
  const gateway: Gateway = new Gateway({
    ...{ link, sites: sitesOf(config), board, roster, activation, log },
    shelved: () => listShelved(shelf, store),
    counters: new Counters(log),
    version: version(),
    staleAfterS: staleLimits(config),
  });
  gateway.start();
  const server = await startServer(gateway, serverOptions(config), log);
  const close = async () => {
    await server.close();
    await gateway.close();
    roster.close();
    board.close();
    await link.close();
  };
  return { gateway, server, close };
}

/** What the command line's `eegd cluster` works with. */
export async function openOperator(config: Config, log: Logger) {
  const name = nameOf(config, 'worker');
  const shared = await openShared(config, 'operator', name, log);
  const roster = new Roster(shared.link);
  roster.start();
  const close = async () => {
    roster.close();
    shared.board.close();
    await shared.link.close();
  };
  return { ...shared, roster, close };
}

/** From this machine where the cluster has it not yet. */
export async function provide(shelf: Shelf, checkpoint: string): Promise<void> {
  const shelved = await shelf.list();
  if (shelved.includes(checkpoint)) return;
  await shelf.put(checkpoint);
}

async function openShared(config: Config, role: Role, name: string, log: Logger) {
  const { site } = config.cluster;
  const link = await openLink(linkConfig(config), { role, site, name, log });
  try {
    for (const each of sitesOf(config)) await ensureSite(link, each, config.cluster);
    const { board: kv, checkpoints } = await openModels(link, config.cluster.replicas);
    const board = await openBoard(kv, log);
    const store = storeOf(config);
    const { models } = foldersOf(config);
    return { link, board, store, shelf: new Shelf(checkpoints, store, models) };
  } catch (error) {
    await link.close();
    throw error;
  }
}

async function openBoard(kv: KV, log: Logger): Promise<ModelBoard> {
  const board = new ModelBoard(kv, log);
  await board.start();
  return board;
}

/** The first worker of a cluster brings the checkpoint that `eegd serve` would serve. */
async function bootstrap(config: Config, board: ModelBoard, shelf: Shelf, log: Logger) {
  if (board.state.active !== undefined) return;
  const engine = await localEngine(config, log);
  if (engine === undefined)
    throw new EegError('EEG_MODEL_NOT_FOUND', 'expected a checkpoint, found none');
  const info = plainInfo(engine.info);
  await engine.close();
  await shelf.put(info.checkpoint);
  await board
    .activate({ revision: 1, checkpoint: info.checkpoint, fromWallS: 0, info })
    .catch(() => log.info('another worker brought the first checkpoint'));
  await board.hasActive();
}

/** The configured checkpoint, or the last chosen, or a shipped one. */
export async function localEngine(config: Config, log: Logger): Promise<Engine | undefined> {
  const store = storeOf(config);
  const wanted = config.models.active ?? (await store.choice())?.active;
  const first = (await store.list())[0]?.id;
  const id = wanted ?? first;
  if (id === undefined) return undefined;
  const { folder, packs } = await store.find(id);
  return engineOpener(config, log)(folder, packs);
}

/** As an engine tells of it: loads, verifies and lets it go again. */
export async function describeCheckpoint(config: Config, shelf: Shelf, checkpoint: string) {
  const { folder, packs } = await shelf.get(checkpoint);
  const engine = await engineOpener(config, createLogger('warn'))(folder, packs);
  const info = plainInfo(engine.info);
  await engine.close();
  return info;
}

async function listShelved(shelf: Shelf, store: CheckpointStore) {
  const ids = await shelf.list();
  return Promise.all(
    ids.map(async (id) => {
      const { manifest, parameters } = await shelf.get(id).catch(() => store.find(id));
      const tasks = manifest.architecture.tasks.map(({ name }) => name);
      return { checkpoint: id, trained: manifest.trained, tasks, parameters };
    }),
  );
}

export function sitesOf({ cluster }: Config): string[] {
  const sites = cluster.sites?.split(',') ?? [cluster.site];
  return sites.map((site) => requireName('site', site));
}

export function linkConfig({ cluster }: Config) {
  return { ...cluster, servers: cluster.servers.split(',') };
}

function staleLimits({ cluster }: Config): (task: TaskSpec) => number {
  return (task) => Math.max(cluster.staleS, staleAfterS(task));
}

export function nameOf({ cluster }: Config, kind: 'edge' | 'worker'): string {
  if (cluster.name !== undefined) return cluster.name;
  const host = hostname()
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]/g, '-');
  if (kind === 'edge') return host.replace(/^-+/, '').slice(0, 16) || 'edge';
  // Workers of one machine must differ; their names mean nothing to anybody.
  const own = (process.pid % 46_656).toString(36).padStart(3, '0');
  return `${host.replace(/^-+/, '').slice(0, 12) || 'w'}-${own}`;
}
