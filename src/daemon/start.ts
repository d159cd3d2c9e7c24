/**
 * From a configuration to a running daemon: checkpoint, engine, streams, server. What can be done
 * without is logged and left out; what cannot rejects with an `EegError`.
 */
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { discoverDevices, driverFor } from '../../drivers/registry.js';
import type { Config, StreamConfig } from '../config/schema.js';
import { EegError, toEegError } from '../core/errors.js';
import type { Logger } from '../core/log.js';
import { packageRoot } from '../core/paths.js';
import { createEngine, describeTrials } from '../engine/create-engine.js';
import type { Engine } from '../engine/engine.js';
import { type RunningServer, startServer } from '../server/server.js';
import { Recordings } from '../sinks/recordings.js';
import type { Pace } from '../windows/serving.js';
import { adaptationHost } from './adaptation-parts.js';
import { CheckpointStore } from './checkpoint-store.js';
import { Daemon } from './daemon.js';
import { openLslOut } from './lsl-out.js';
import { searchStreams } from './search.js';
import type { OpenEngine } from './swapper.js';

export interface RunningDaemon {
  readonly daemon: Daemon;
  readonly server: RunningServer;
  close(): Promise<void>;
}

export interface Folders {
  readonly state: string;
  readonly models: string;
  readonly recordings: string;
}

/** systemd names the state folder; else the user's own (XDG base directories). */
export function foldersOf(config: Config, env: NodeJS.ProcessEnv = process.env): Folders {
  const home = env.XDG_STATE_HOME ?? join(homedir(), '.local', 'state');
  const state = config.state.folder ?? env.STATE_DIRECTORY?.split(':')[0] ?? join(home, 'eegd');
  return {
    state,
    models: config.models.folder ?? join(state, 'models'),
    recordings: config.recordings.folder ?? join(state, 'recordings'),
  };
}

export function storeOf(config: Config): CheckpointStore {
  const { state, models } = foldersOf(config);
  return new CheckpointStore({
    folder: models,
    shipped: [join(packageRoot(), 'models')],
    stateFolder: state,
  });
}

export function version(): string {
  const text = readFileSync(join(packageRoot(), 'package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

export function engineOpener(config: Config, log: Logger): OpenEngine {
  let workersFirst = 1;
  return (folder, packs = []) =>
    createEngine(folder, {
      ...config.engine,
      packs,
      workersFirst,
      onGrowth: (workers) => {
        workersFirst = Math.max(workersFirst, workers);
        log.info({ workers }, 'the engine was busy for more than 70 % of the time: another worker');
      },
      movesBatches: true,
      onFailure: (error, again) => log.error({ again }, error.line),
      onDegraded: (reason) => log.warn({ degraded: reason }, `the engine is degraded: ${reason}`),
      onChoice: (tried) => log.info({ tried }, `device auto: ${describeTrials(tried)}`),
    });
}

export interface OpenOptions {
  readonly pace?: Pace;
  /** Holds paced sources back. */
  readonly ready?: () => Promise<void>;
}

/** A daemon without streams and without a server. */
export async function openDaemon(
  config: Config,
  log: Logger,
  { pace = 'live', ready }: OpenOptions = {},
): Promise<Daemon> {
  const store = storeOf(config);
  const openEngine = engineOpener(config, log);
  const { engine, previous } = await openFirst(config, { store, openEngine, log });
  const { checkpoint, trained, engine: name } = engine.info;
  if (trained) log.info({ checkpoint, engine: name }, 'checkpoint loaded');
  else log.warn({ checkpoint, engine: name }, 'an untrained checkpoint: its predictions are noise');
  const daemon = new Daemon(engine, previous, {
    ...{ store, openEngine, log, pace },
    driverFor: (address) => driverFor(address, ready === undefined ? {} : { ready }),
    discover: () => discover(log),
    version: version(),
  });
  daemon.recorder = new Recordings({
    folder: foldersOf(config).recordings,
    onUpdate: (update) => daemon.publish(update),
  });
  return daemon;
}

export async function startDaemon(config: Config, log: Logger): Promise<RunningDaemon> {
  const daemon = await openDaemon(config, log);
  if (config.adaptation.enabled) await adapt(daemon, config, log);
  let server: RunningServer;
  try {
    server = await startServer(daemon, serverOptions(config), log);
  } catch (error) {
    await daemon.close();
    throw error;
  }
  const closeLsl = openLslOut(daemon, config.lsl, log);
  for (const stream of config.streams) connect(daemon, stream, log);
  const { everyS, autoConnect = config.streams.length === 0 } = config.discovery;
  const stopSearching = autoConnect
    ? searchStreams({
        everyS,
        log,
        devices: () => daemon.devices(),
        connect: (address) => daemon.connect(address),
      })
    : () => undefined;
  const close = async () => {
    stopSearching();
    await server.close();
    await daemon.close();
    closeLsl();
  };
  return { daemon, server, close };
}

/** A session that ran when the daemon ended goes on; one that cannot is said and left. */
async function adapt(daemon: Daemon, config: Config, log: Logger): Promise<void> {
  const { Adaptation } = await import('../adaptation/adaptation.js');
  const adaptation = new Adaptation({
    folder: join(foldersOf(config).state, 'adaptation'),
    host: adaptationHost(daemon, storeOf(config)),
    threads: config.adaptation.threads,
    engine: config.adaptation.engine ?? config.engine.kind,
  });
  daemon.adaptation = (name, args) => adaptation.command(name, args);
  daemon.closeAdaptation = () => adaptation.close();
  await adaptation.resume().catch((error: unknown) => log.error(toEegError(error).line));
}

export function serverOptions({ server }: Config) {
  const { host, port, tokenFile, tls, behindProxy, hosts, origins } = server;
  return {
    ...{ host, port, behindProxy, hosts, origins },
    ...(tokenFile === undefined ? {} : { tokenFile }),
    ...(tls === undefined ? {} : { tls }),
  };
}

interface Opening {
  readonly store: CheckpointStore;
  readonly openEngine: OpenEngine;
  readonly log: Logger;
}

/** The configured checkpoint, or the last chosen, or the one before it, or a shipped one. */
async function openFirst(
  config: Config,
  { store, openEngine, log }: Opening,
): Promise<{ engine: Engine; previous: string | undefined }> {
  await store.sweep().catch((error: unknown) => log.warn(toEegError(error).line));
  const choice = await store.choice();
  const { active } = config.models;
  const others = store.inStartOrder(await store.list()).map(({ id }) => id);
  const wanted = active === undefined ? [choice?.active, choice?.previous, ...others] : [active];
  let failure = new EegError('EEG_MODEL_NOT_FOUND', 'expected a checkpoint, found none');
  const ids = [...new Set(wanted)].filter((id) => id !== undefined);
  for (const [i, id] of ids.entries()) {
    try {
      const stored = await store.find(id);
      const engine = await openEngine(stored.folder, stored.packs);
      const previous = id === choice?.active ? choice.previous : choice?.active;
      return { engine, previous };
    } catch (error) {
      failure = toEegError(error);
      // The last one's failure is thrown, and said by who asked.
      if (i + 1 < ids.length) log.error({ checkpoint: id, code: failure.code }, failure.line);
    }
  }
  throw failure;
}

function connect(daemon: Daemon, { address, mainsHz, tasks }: StreamConfig, log: Logger): void {
  daemon.connect(address, { mainsHz, tasks, waitS: Number.POSITIVE_INFINITY }).then(
    ({ stream }) => log.info({ stream, address }, 'stream connected'),
    (error: unknown) => log.error({ address }, toEegError(error).line),
  );
}

async function discover(log: Logger) {
  const { devices, failures } = await discoverDevices();
  for (const failure of failures) log.warn(failure);
  return devices;
}
