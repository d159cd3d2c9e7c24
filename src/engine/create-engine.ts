/**
 * Which engine computes a checkpoint, and where. `auto` opens every device that can be had, runs
 * the same batch on each and keeps the fastest: the golden output has held on all of them.
 */
import { availableParallelism } from 'node:os';
import type { EegError } from '../core/errors.js';
import { localClock } from '../core/time.js';
import type { Device } from '../graph/session.js';
import type { Engine } from './engine.js';
import { FallbackEngine } from './fallback-engine.js';
import { WorkerEngine } from './worker-engine.js';
import { WorkerPool } from './worker-pool.js';
import type { EngineKind } from './worker-protocol.js';

export type { EngineKind } from './worker-protocol.js';

/** `auto` never takes TensorRT: it builds an engine for each shape, which takes minutes. */
export const devices = ['auto', 'cpu', 'webgpu', 'cuda', 'tensorrt'] as const;
export type DeviceChoice = (typeof devices)[number];

export interface EngineOptions {
  readonly kind: EngineKind;
  readonly device: DeviceChoice;
  /** Folders of expert packs to attach, in this order. */
  readonly packs?: readonly string[];
  /** Intra-op threads of a session; scale by batches and workers first. */
  readonly threads: number;
  /** Most runs at once on the CPU; `usualWorkers` where absent. */
  readonly workers?: number | undefined;
  /** So many of them from the beginning; 1 where absent. */
  readonly workersFirst?: number;
  /** Told when the CPU has got another worker, so that the next checkpoint begins with as many. */
  readonly onGrowth?: (workers: number) => void;
  /** Whoever gives a batch does not look at it again, so it need not be copied. */
  readonly movesBatches?: boolean;
  readonly onFailure?: (error: EegError, again: boolean) => void;
  /** Told when a device was lost and the CPU goes on. */
  readonly onDegraded?: (reason: string) => void;
  /** With `auto`: what each device took for the same batch, or why it cannot be had. */
  readonly onChoice?: (tried: readonly DeviceTrial[]) => void;
}

export interface DeviceTrial {
  readonly device: Device;
  readonly ms?: number;
  readonly error?: string;
}

/** Beyond four, few have the streams for more. */
export function usualWorkers(cores: number): number {
  return Math.max(1, Math.min(4, cores));
}

/**
 * Verifies, loads and warms the checkpoint in `folder`. Rejects with `EEG_MODEL_INVALID`,
 * `EEG_MODEL_NOT_FOUND` or `EEG_ENGINE_UNAVAILABLE`.
 */
export async function createEngine(folder: string, options: EngineOptions): Promise<Engine> {
  const { kind, device, onDegraded } = options;
  if (kind !== 'onnx') return open(folder, 'cpu', options);
  if (device === 'cpu') return openCpu(folder, options);
  if (device === 'auto') return fastest(folder, options);
  const engine = await openDevice(folder, device, options);
  return new FallbackEngine(engine, openCpu(folder, options), onDegraded);
}

function openCpu(folder: string, options: EngineOptions): Promise<WorkerPool> {
  const { threads, workersFirst = 1, onFailure, onGrowth } = options;
  const most = options.workers ?? usualWorkers(Math.floor(availableParallelism() / threads));
  return WorkerPool.open({
    workers: { first: Math.min(workersFirst, most), most },
    openWorker: () => open(folder, 'cpu', options),
    ...(onFailure === undefined ? {} : { onFailure }),
    ...(onGrowth === undefined ? {} : { onGrowth }),
  });
}

function open(
  folder: string,
  device: Device,
  { kind, packs, threads, onFailure, movesBatches = false }: EngineOptions,
  limits: { readonly hangMs?: number; readonly loadMs?: number } = {},
): Promise<WorkerEngine> {
  return WorkerEngine.open({
    worker: new URL('./engine-worker.js', import.meta.url),
    start: { folder, kind, device, threads, ...(packs === undefined ? {} : { packs }) },
    ...(onFailure === undefined ? {} : { onFailure }),
    ...limits,
    // What a device did not answer, the CPU tries.
    movesBatches: movesBatches && device === 'cpu',
  });
}

/**
 * A run of a device that takes longer is a hang: the CPU, warm beside it, then still answers within
 * a second. A device that needs so long for a batch is of no use for live streams anyway.
 */
export const deviceHangMs = 800;
const deviceLoadMs = 60_000;
/** It builds its engines when the golden output is computed. */
const tensorrtLoadMs = 600_000;

/** What befalls a device is told by `onDegraded`, or by its trial. */
function openDevice(folder: string, device: Device, options: EngineOptions): Promise<WorkerEngine> {
  const { onFailure: _told, ...rest } = options;
  const loadMs = device === 'tensorrt' ? tensorrtLoadMs : deviceLoadMs;
  return open(folder, device, rest, { hangMs: deviceHangMs, loadMs });
}

async function fastest(folder: string, options: EngineOptions): Promise<Engine> {
  const cpu = await openCpu(folder, options);
  let bestMs = await timeRun(cpu);
  let best: WorkerEngine | undefined;
  const tried: DeviceTrial[] = [{ device: 'cpu', ms: bestMs }];
  for (const device of ['webgpu', 'cuda'] as const) {
    const { result, engine } = await tryDevice(folder, device, options);
    tried.push(result);
    if (engine === undefined) continue;
    const { ms = Number.POSITIVE_INFINITY } = result;
    const slower = ms < bestMs ? best : engine;
    await slower?.close();
    if (slower === engine) continue;
    best = engine;
    bestMs = ms;
  }
  options.onChoice?.(tried);
  if (best === undefined) return cpu;
  return new FallbackEngine(best, Promise.resolve(cpu), options.onDegraded);
}

async function tryDevice(
  folder: string,
  device: Device,
  options: EngineOptions,
): Promise<{ engine?: WorkerEngine; result: DeviceTrial }> {
  let engine: WorkerEngine | undefined;
  try {
    engine = await openDevice(folder, device, options);
    return { engine, result: { device, ms: await timeRun(engine) } };
  } catch (error) {
    await engine?.close();
    return { result: { device, error: error instanceof Error ? error.message : String(error) } };
  }
}

/** One line: `cpu 12.1 ms, webgpu 3.4 ms, cuda: ...`. */
export function describeTrials(tried: readonly DeviceTrial[]): string {
  const each = tried.map(({ device, ms, error }) =>
    ms === undefined ? `${device}: ${error?.split('\n')[0]}` : `${device} ${ms.toFixed(1)} ms`,
  );
  return each.join(', ');
}

const trialRows = 16;
const trialSeconds = 10;

/** Best of three runs of sixteen windows of ten seconds, ms. */
async function timeRun(engine: Engine): Promise<number> {
  const { latents, width } = engine.info;
  const batch = () => ({
    rows: trialRows,
    seconds: trialSeconds,
    latents: new Float32Array(trialRows * trialSeconds * latents * width).fill(0.1),
    times: new Float32Array(trialRows * trialSeconds),
    mask: new Float32Array(trialRows * trialSeconds).fill(1),
    task: new Int32Array(trialRows),
  });
  let best = Number.POSITIVE_INFINITY;
  for (let run = 0; run < 3; run++) {
    const startS = localClock();
    await engine.tasks(batch());
    best = Math.min(best, (localClock() - startS) * 1000);
  }
  return best;
}
