/** A small laboratory: edges, workers and a gateway in this process, on real nats-servers. */
import { type ChildProcess, fork } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startGateway, startWorker } from '../../src/cluster/roles.js';
import { startEdge } from '../../src/cluster/start-edge.js';
import { parseConfig } from '../../src/config/load.js';
import type { Config } from '../../src/config/schema.js';
import type { DaemonEvent, NoPrediction, Prediction } from '../../src/core/events.js';
import { createLogger, silentLogger } from '../../src/core/log.js';
import { Rng } from '../../src/core/rng.js';
import type { TaskSpec } from '../../src/core/tasks.js';
import { saveCheckpoint } from '../../src/model/checkpoint.js';
import { initialWeights } from '../../src/model/serving.js';
import { taskSpec } from '../support/fake-engine.js';
import { tinyMoe } from '../support/model-fixture.js';
import type { NatsCluster } from './nats-cluster.js';

export const labTasks: readonly TaskSpec[] = [
  taskSpec('seizure', { windowS: 4, hopS: 1 }),
  taskSpec('motor_imagery', { windowS: 2, hopS: 0.25, classes: ['left', 'right', 'feet'] }),
];

export const labLog = process.env.LAB_LOG ? createLogger('info', false) : silentLogger;

/** A folder of checkpoints `tiny@1`, `tiny@2`, ... of weights of their own. */
export async function tinyModels(releases: readonly string[], tasks = labTasks): Promise<string> {
  const folder = join(mkdtempSync(join(tmpdir(), 'eegd-lab-')), 'models');
  for (const release of releases) await saveTiny(folder, 'tiny', release, tasks);
  return folder;
}

export async function saveTiny(
  folder: string,
  name: string,
  release: string,
  tasks = labTasks,
): Promise<void> {
  const arch = { ...tinyMoe, tasks };
  const weights = initialWeights(arch, new Rng(100 + Number(release)));
  const parts = { name, release, trained: true, arch, weights };
  await saveCheckpoint(join(folder, `${name}@${release}`), parts);
}

export interface LabSettings {
  readonly servers: readonly string[];
  readonly models?: string | undefined;
  readonly active?: string;
  readonly streams?: readonly string[];
  /** More lines of `cluster:`, `key: value`. */
  readonly cluster?: Readonly<Record<string, unknown>>;
}

export function labConfig(settings: LabSettings): Config {
  const state = mkdtempSync(join(tmpdir(), 'eegd-lab-'));
  const { servers, models, active, streams = [], cluster = {} } = settings;
  return parseConfig(
    JSON.stringify({
      server: { port: 0 },
      state: { folder: state },
      streams: streams.map((address) => ({ address })),
      models: { ...(models && { folder: models }), ...(active && { active }) },
      cluster: {
        servers: servers.join(','),
        site: 'lab',
        partitions: 2,
        stepBytesMax: 2 ** 24,
        ...cluster,
      },
    }),
    'lab.yaml',
  );
}

export interface LabOptions {
  readonly nats: NatsCluster;
  readonly models: string;
  readonly replicas?: number;
  readonly staleS?: number;
}

type Closing = { close(): Promise<void> };

/** Starts roles with settings in common, and stops what is left at the end. */
export class Lab {
  readonly #options: LabOptions;
  readonly #open = new Set<Closing>();

  constructor(options: LabOptions) {
    this.#options = options;
  }

  /** Each with an empty folder of its own, but for a worker that brings the first checkpoint. */
  config(name: string, more: Partial<LabSettings> = {}): Config {
    const { nats, models, replicas = nats.nodes.length, staleS = 0 } = this.#options;
    const cluster = { name, replicas, staleS, ...more.cluster };
    return labConfig({ servers: nats.urls, models, active: 'tiny@1', ...more, cluster });
  }

  async worker(name: string, more?: Partial<LabSettings>, fork?: () => ChildProcess) {
    return this.#kept(await startWorker(this.config(name, more), labLog, fork));
  }

  /** A worker in a process of its own; gives how to signal it. */
  forkWorker(name: string, more?: Partial<LabSettings>): Promise<(signal: NodeJS.Signals) => void> {
    const file = join(mkdtempSync(join(tmpdir(), 'eegd-worker-')), 'worker.json');
    writeFileSync(file, JSON.stringify(this.config(name, more)));
    const path = new URL('./worker-process.ts', import.meta.url).pathname;
    const child = fork(path, [file], { execArgv: ['--import', 'tsx'] });
    const signal = (what: NodeJS.Signals) => void child.kill(what);
    this.#open.add({ close: async () => signal('SIGKILL') });
    return new Promise((resolve, reject) => {
      child.once('message', () => resolve(signal));
      child.once('exit', (code) => reject(new Error(`worker ${name} ended: ${code}`)));
    });
  }

  async gateway(more?: Partial<LabSettings>) {
    return this.#kept(await startGateway(this.config('gate', more), labLog));
  }

  async edge(name: string, more?: Partial<LabSettings>) {
    return this.#kept(await startEdge(this.config(name, more), labLog));
  }

  async stop(): Promise<void> {
    for (const each of [...this.#open].reverse()) await each.close();
    this.#open.clear();
  }

  forget(each: Closing): void {
    this.#open.delete(each);
  }

  #kept<T extends Closing>(each: T): T {
    this.#open.add(each);
    return each;
  }
}

export type Answered = Prediction | NoPrediction;

/** What a gateway says, and how that compares with one answer a window, in order. */
export class Answers {
  readonly all: Answered[] = [];
  readonly others: DaemonEvent[] = [];

  constructor(events: { subscribe(next: (event: DaemonEvent) => void): unknown }) {
    events.subscribe((event) => {
      if (event.kind === 'prediction' || event.kind === 'no_prediction') this.all.push(event);
      else if (event.kind !== 'signal') this.others.push(event);
    });
  }

  of(stream: string, task: string): Answered[] {
    return this.all.filter((each) => each.stream === stream && each.task === task);
  }

  get predictions(): Prediction[] {
    return this.all.filter((each) => each.kind === 'prediction');
  }

  stale(): number {
    return this.all.filter((each) => each.kind === 'no_prediction' && each.reason === 'stale')
      .length;
  }

  /** Windows that came twice or out of order, and numbers that are missing. */
  faults(): { twice: number; disordered: number; missing: number } {
    const faults = { twice: 0, disordered: 0, missing: 0 };
    const last = new Map<string, number>();
    for (const { stream, task, seq } of this.all) {
      const before = last.get(`${stream} ${task}`);
      last.set(`${stream} ${task}`, seq);
      if (before === undefined) continue;
      if (seq === before) faults.twice++;
      else if (seq < before) faults.disordered++;
      else faults.missing += seq - before - 1;
    }
    return faults;
  }
}
