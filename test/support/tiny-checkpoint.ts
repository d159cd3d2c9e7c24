/** Checkpoints small enough to be loaded in a test, and a daemon on top of them. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DriverContext, driverFor } from '../../drivers/registry.js';
import type { DaemonEvent, NoPrediction, Prediction } from '../../src/core/events.js';
import { silentLogger } from '../../src/core/log.js';
import { Rng } from '../../src/core/rng.js';
import { modelRateHz, type TaskSpec } from '../../src/core/tasks.js';
import { CheckpointStore } from '../../src/daemon/checkpoint-store.js';
import { Daemon, type DaemonOptions } from '../../src/daemon/daemon.js';
import { createEngine, type EngineKind } from '../../src/engine/create-engine.js';
import type { Engine } from '../../src/engine/engine.js';
import { saveCheckpoint } from '../../src/model/checkpoint.js';
import { initialWeights } from '../../src/model/serving.js';
import { threeTasks } from './fake-engine.js';
import { tinyMoe } from './model-fixture.js';

export interface TinyStore {
  readonly store: CheckpointStore;
  readonly folder: string;
  readonly stateFolder: string;
}

/** A store with checkpoints `tiny@NAME`, each of weights of its own. */
export async function tinyStore(
  releases: readonly string[],
  tasks: (release: string) => readonly TaskSpec[] = () => threeTasks,
): Promise<TinyStore> {
  const root = mkdtempSync(join(tmpdir(), 'eegd-store-'));
  const folder = join(root, 'models');
  for (const [i, release] of releases.entries()) {
    const arch = { ...tinyMoe, tasks: tasks(release) };
    await saveCheckpoint(join(folder, `tiny@${release}`), {
      name: 'tiny',
      release,
      trained: true,
      arch,
      weights: initialWeights(arch, new Rng(100 + i)),
    });
  }
  const stateFolder = join(root, 'state');
  return { store: new CheckpointStore({ folder, shipped: [], stateFolder }), folder, stateFolder };
}

export function openTiny(folder: string, kind: EngineKind = 'onnx'): Promise<Engine> {
  return createEngine(folder, { kind, device: 'cpu', threads: 1 });
}

export interface Held {
  /** Holds paced sources back; set before connecting. */
  ready?: () => Promise<void>;
}

export function daemonOn(
  engine: Engine,
  store: CheckpointStore,
  options: Partial<DaemonOptions> & { context?: DriverContext } = {},
): Daemon {
  const { context = {}, ...rest } = options;
  return new Daemon(engine, undefined, {
    store,
    openEngine: (checkpoint) => openTiny(checkpoint),
    driverFor: (address) => driverFor(address, context),
    discover: () => Promise.resolve([]),
    log: silentLogger,
    version: '0',
    pace: 'offline',
    ...rest,
  });
}

export type Answered = Prediction | NoPrediction;

/** What the daemon says from now on. */
export class Listener {
  readonly answers: Answered[] = [];
  readonly others: DaemonEvent[] = [];
  /** 200 Hz samples each stream has had. */
  readonly samples = new Map<string, number>();

  constructor(daemon: Daemon) {
    daemon.events$.subscribe((event) => {
      if (event.kind === 'prediction' || event.kind === 'no_prediction') this.answers.push(event);
      else if (event.kind === 'signal') this.samples.set(event.stream, event.index + event.samples);
      else this.others.push(event);
    });
  }
}

/** End samples of every window of `task` in a stream of `samples`. */
export function windowEnds(task: TaskSpec, samples: number): number[] {
  const ends: number[] = [];
  const hop = task.hopS * modelRateHz;
  for (let end = task.windowS * modelRateHz; end <= samples; end += hop) ends.push(end);
  return ends;
}
