/**
 * Which engine computes a checkpoint, and where. `auto` opens every device that can be had, runs
 * the same batch on each and keeps the fastest: the golden output has held on all of them.
 */
import type { EegError } from '../core/errors.js';
import { localClock } from '../core/time.js';
import type { Engine } from './engine.js';
import { WorkerEngine } from './worker-engine.js';
import type { Device, EngineKind } from './worker-protocol.js';

export type { EngineKind } from './worker-protocol.js';
export { engineKinds } from './worker-protocol.js';

export const devices = ['auto', 'cpu', 'webgpu', 'cuda'] as const;
export type DeviceChoice = (typeof devices)[number];

export interface EngineOptions {
  readonly kind: EngineKind;
  readonly device: DeviceChoice;
  /** Folders of expert packs to attach, in this order. */
  readonly packs?: readonly string[];
  /** Intra-op threads of a session; scale by batches and workers first. */
  readonly threads: number;
  readonly onFailure?: (error: EegError, again: boolean) => void;
  /** With `auto`: what each device took for the same batch, or why it cannot be had. */
  readonly onChoice?: (tried: readonly DeviceTrial[]) => void;
}

export interface DeviceTrial {
  readonly device: Device;
  readonly ms?: number;
  readonly error?: string;
}

/**
 * Verifies, loads and warms the checkpoint in `folder`. Rejects with `EEG_MODEL_INVALID`,
 * `EEG_MODEL_NOT_FOUND` or `EEG_ENGINE_UNAVAILABLE`.
 */
export async function createEngine(folder: string, options: EngineOptions): Promise<Engine> {
  const { kind, device } = options;
  if (kind !== 'onnx') return open(folder, 'cpu', options);
  return device === 'auto' ? fastest(folder, options) : open(folder, device, options);
}

function open(folder: string, device: Device, options: EngineOptions): Promise<WorkerEngine> {
  const { kind, packs, threads, onFailure } = options;
  return WorkerEngine.open({
    worker: new URL('./engine-worker.js', import.meta.url),
    start: { folder, kind, device, threads, ...(packs === undefined ? {} : { packs }) },
    ...(onFailure === undefined ? {} : { onFailure }),
  });
}

async function fastest(folder: string, options: EngineOptions): Promise<Engine> {
  let best = await open(folder, 'cpu', options);
  let bestMs = await timeRun(best);
  const tried: DeviceTrial[] = [{ device: 'cpu', ms: bestMs }];
  for (const device of ['webgpu', 'cuda'] as const) {
    let candidate: WorkerEngine;
    try {
      candidate = await open(folder, device, options);
    } catch (error) {
      tried.push({ device, error: error instanceof Error ? error.message : String(error) });
      continue;
    }
    const ms = await timeRun(candidate);
    tried.push({ device, ms });
    const [kept, other] = ms < bestMs ? [candidate, best] : [best, candidate];
    best = kept;
    bestMs = Math.min(ms, bestMs);
    await other.close();
  }
  options.onChoice?.(tried);
  return best;
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
