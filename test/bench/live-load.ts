/**
 * The daemon under a live load: streams of noise in, the shipped model, WebSocket clients out. What
 * happened to each window is noted at both ends; all clocks are this machine's monotonic one.
 */
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import type { NoPrediction, Prediction } from '../../src/core/events.js';
import { silentLogger } from '../../src/core/log.js';
import { packageRoot } from '../../src/core/paths.js';
import { spawnWorker } from '../../src/core/spawn.js';
import { localClock } from '../../src/core/time.js';
import { CheckpointStore } from '../../src/daemon/checkpoint-store.js';
import { Daemon } from '../../src/daemon/daemon.js';
import { createEngine } from '../../src/engine/create-engine.js';
import { WorkerPool } from '../../src/engine/worker-pool.js';
import { type RunningServer, startServer } from '../../src/server/server.js';
import type { EngineRun } from '../../src/windows/serving.js';
import type { ClientsStart, Received } from './clients-worker.js';
import { NoiseDriver } from './noise-driver.js';

export interface WindowRecord {
  readonly key: string;
  readonly answer: Prediction | NoPrediction;
  readonly emittedS: number;
  /** Bare time of the trunk and the task run that this window was part of, ms. */
  readonly bareMs: number;
}

export interface BareRun extends EngineRun {
  readonly bareMs: number;
}

export const baseFolder = join(packageRoot(), 'models', 'base');

/** Folder of the checkpoint to load the daemon with, and more for its store. */
export interface LoadOptions {
  readonly streams: number;
  readonly clients: number;
  readonly store?: CheckpointStore;
  /** Of the engine; 1 where absent. */
  readonly threads?: number;
  readonly workers?: number;
}

export class LiveLoad {
  readonly daemon: Daemon;
  windows: WindowRecord[] = [];
  runs: BareRun[] = [];
  readonly #server: RunningServer;
  readonly #clients: Worker;

  private constructor(daemon: Daemon, server: RunningServer, clients: Worker) {
    this.daemon = daemon;
    this.#server = server;
    this.#clients = clients;
  }

  static async open(options: LoadOptions): Promise<LiveLoad> {
    const { streams, clients, store } = options;
    const ids = Array.from({ length: streams }, (_, i) => `s${i}`);
    const own = { engine: await openEngine(baseFolder, options) };
    const note: { load?: LiveLoad; bare: Record<string, number> } = { bare: {} };
    const daemon = new Daemon(own.engine, undefined, {
      store: store ?? emptyStore(),
      openEngine: async (folder) => {
        own.engine = await openEngine(folder, options);
        return own.engine;
      },
      driverFor: async (address) => {
        const id = address.split(':')[1] ?? '';
        return new NoiseDriver(id, ids.indexOf(id) / streams);
      },
      discover: async () => [],
      log: silentLogger,
      version: 'bench',
      onRun: (run) => {
        const bareMs = own.engine.lastRunMs;
        note.bare[run.graph] = bareMs;
        note.load?.runs.push({ ...run, bareMs });
      },
    });
    const server = await startServer(daemon, { port: 0 }, silentLogger);
    const shares = Array.from({ length: Math.min(clients, streams) }, (_, c) =>
      ids.filter((_, i) => i % Math.min(clients, streams) === c),
    );
    const url = `${server.address.replace('http', 'ws')}/ws`;
    const workerData: ClientsStart = { url, streams: shares };
    const worker = spawnWorker(new URL('./clients-worker.js', import.meta.url), { workerData });
    await once(worker, 'message');
    const load = new LiveLoad(daemon, server, worker);
    note.load = load;
    daemon.events$.subscribe((event) => {
      if (event.kind !== 'prediction' && event.kind !== 'no_prediction') return;
      const key = `${event.stream} ${event.task} ${event.seq}`;
      const bareMs = (note.bare.trunk ?? 0) + (note.bare.tasks ?? 0);
      load.windows.push({ key, answer: event, emittedS: localClock(), bareMs });
    });
    for (const id of ids) await daemon.connect(`noise:${id}`);
    return load;
  }

  /** Forget what was noted, e.g. after the warm-up. */
  async reset(): Promise<void> {
    await this.received();
    this.windows = [];
    this.runs = [];
  }

  /** What the clients have had since the last call. */
  async received(): Promise<Received[]> {
    this.#clients.postMessage('take');
    const [list] = (await once(this.#clients, 'message')) as [Received[]];
    return list;
  }

  async close(): Promise<void> {
    await this.#clients.terminate();
    await this.#server.close();
    await this.daemon.close();
  }
}

async function openEngine(
  folder: string,
  { threads = 1, workers }: LoadOptions,
): Promise<WorkerPool> {
  const engine = await createEngine(folder, {
    ...{ kind: 'onnx', device: 'cpu', movesBatches: true, threads },
    ...(workers === undefined ? {} : { workers }),
  });
  if (engine instanceof WorkerPool) return engine;
  throw new Error('expected a pool of workers');
}

function emptyStore(): CheckpointStore {
  const folder = mkdtempSync(join(tmpdir(), 'eegd-bench-'));
  return new CheckpointStore({ folder, shipped: [], stateFolder: folder });
}

/** ms from the arrival of a window's last sample to the client, beyond the bare run time. */
export interface WindowTime {
  readonly totalMs: number;
  readonly overheadMs: number;
  /** When the client had it, seconds of `localClock`. */
  readonly receivedS: number;
}

export function overheadsMs(
  windows: readonly WindowRecord[],
  received: readonly Received[],
): WindowTime[] {
  const receivedS = new Map(received.map((one) => [one.key, one.receivedS]));
  return windows.flatMap(({ key, answer, emittedS, bareMs }) => {
    const atS = receivedS.get(key);
    if (atS === undefined || answer.kind !== 'prediction') return [];
    const totalMs = answer.latency.totalMs + (atS - emittedS) * 1000;
    return [{ totalMs, overheadMs: totalMs - bareMs, receivedS: atS }];
  });
}
