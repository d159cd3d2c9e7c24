/**
 * The worker thread behind every engine: loads and verifies the checkpoint, holds its sessions,
 * answers one request after the other.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { EegError } from '../core/errors.js';
import { expertCount } from '../model/architecture.js';
import { type Checkpoint, loadCheckpoint } from '../model/checkpoint.js';
import { cutColumns, goldenLatents, goldenTolerance, int8Tolerance } from '../model/golden.js';
import { loadPack, withPacks } from '../model/pack-checkpoint.js';
import type { EngineInfo } from './engine.js';
import { openSessions, type Sessions } from './sessions.js';
import { toBackground, toForeground } from './thread-priority.js';
import {
  errorMessage,
  type WorkerReply,
  type WorkerRequest,
  type WorkerStart,
} from './worker-protocol.js';

const port = parentPort;
if (port === null) throw new EegError('EEG_INTERNAL', 'expected to be a worker thread');

function reply(message: WorkerReply, transfer: ArrayBuffer[] = []): void {
  port?.postMessage(message, transfer);
}

/** Between the steps of a load that gives way, ms. */
const pauseMs = 40;

async function open(start: WorkerStart): Promise<{ sessions: Sessions; info: EngineInfo }> {
  const pause = () => (start.background === true ? sleep(pauseMs) : undefined);
  const base = await loadCheckpoint(start.folder);
  await pause();
  const packs = await Promise.all((start.packs ?? []).map((folder) => loadPack(folder, base)));
  const checkpoint = packs.length > 0 ? withPacks(base, packs) : base;
  const { arch } = checkpoint;
  const { sessions, engine, arithmetic } = await openSessions(checkpoint, start);
  await pause();
  const tolerance = arithmetic === 'int8' ? int8Tolerance : goldenTolerance;
  await checkGolden(checkpoint, sessions, tolerance);
  const info: EngineInfo = {
    checkpoint: checkpoint.id,
    trained: checkpoint.trained,
    tasks: arch.tasks,
    readouts: checkpoint.readouts ?? {},
    latents: arch.latents,
    width: arch.width,
    moeBlocks: arch.moe?.blocks.length ?? 0,
    experts: expertCount(arch),
    engine,
  };
  return { sessions, info };
}

/** The sessions must compute what the checkpoint's maker saw; this also warms them. */
async function checkGolden(
  checkpoint: Checkpoint,
  sessions: Sessions,
  tolerance: number,
): Promise<void> {
  for (const { batch, columns, ...expected } of checkpoint.checks) {
    const latents = await sessions.trunk(batch.trunk);
    compare('latents', latents, expected.latents, tolerance);
    const { logits } = await sessions.tasks({
      ...batch.tasks,
      latents: goldenLatents(batch, latents),
    });
    compare('logits', cutColumns(logits, columns), expected.logits, tolerance);
  }
}

function compare(what: string, got: Float32Array, expected: Float32Array, tolerance: number): void {
  const scale = expected.reduce((peak, value) => Math.max(peak, Math.abs(value)), 1e-6);
  let worst = got.length === expected.length ? 0 : Number.POSITIVE_INFINITY;
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(got[i] - expected[i]) / scale;
    // Written so that NaN fails too.
    if (!(error <= worst)) worst = error;
  }
  if (worst <= tolerance) return;
  const message = `expected the golden ${what} within ${tolerance}, got ${worst} off`;
  throw new EegError('EEG_MODEL_INVALID', message);
}

async function answer(sessions: Sessions, request: WorkerRequest): Promise<void> {
  if (request.op === 'close') {
    await sessions.close();
    port?.close();
    return;
  }
  if (request.op === 'serve') {
    toForeground();
    return;
  }
  const started = performance.now();
  try {
    if (request.op === 'trunk') {
      const latents = await sessions.trunk(request.batch);
      const runMs = performance.now() - started;
      reply({ op: 'latents', id: request.id, runMs, latents }, [latents.buffer as ArrayBuffer]);
    } else {
      const result = await sessions.tasks(request.batch);
      const buffers = [result.logits.buffer, result.routing.buffer] as ArrayBuffer[];
      const runMs = performance.now() - started;
      reply({ op: 'result', id: request.id, runMs, result }, buffers);
    }
  } catch (error) {
    reply({ op: 'error', id: request.id, error: errorMessage(error) });
    // A GPU that failed a run is lost: ending here makes the CPU go on.
    if ((workerData as WorkerStart).device !== 'cpu') process.exit(1);
  }
}

try {
  const start = workerData as WorkerStart;
  // Threads that ONNX Runtime starts would keep the priority of this one.
  if (start.background === true && start.threads === 1) toBackground();
  const { sessions, info } = await open(start);
  port.on('message', (request: WorkerRequest) => void answer(sessions, request));
  reply({ op: 'ready', info });
} catch (error) {
  reply({ op: 'refused', error: errorMessage(error) });
}
