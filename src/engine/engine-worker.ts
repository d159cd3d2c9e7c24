/**
 * The worker thread behind every engine: loads and verifies the checkpoint it is told, holds its
 * sessions, answers one request after the other.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { parentPort } from 'node:worker_threads';
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

let sessions: Sessions | undefined;
let device: WorkerStart['device'] = 'cpu';

async function answer(request: WorkerRequest): Promise<void> {
  if (request.op === 'open') await load(request.start);
  else if (request.op === 'serve') toForeground();
  else if (request.op === 'close') {
    await sessions?.close();
    sessions = undefined;
    reply({ op: 'closed' });
  } else if (request.op === 'end') {
    await sessions?.close();
    port?.close();
  } else await run(request);
}

async function load(start: WorkerStart): Promise<void> {
  // Threads that ONNX Runtime starts would keep the priority of this one.
  if (start.background === true && start.threads === 1) toBackground();
  else toForeground();
  device = start.device;
  try {
    const opened = await open(start);
    sessions = opened.sessions;
    reply({ op: 'ready', info: opened.info });
  } catch (error) {
    reply({ op: 'refused', error: errorMessage(error) });
  }
}

type RunRequest = Extract<WorkerRequest, { id: number }>;

async function run(request: RunRequest): Promise<void> {
  const started = performance.now();
  try {
    if (sessions === undefined) throw new EegError('EEG_INTERNAL', 'no checkpoint is open');
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
    if (device !== 'cpu') process.exit(1);
  }
}

/** One after the other, in the order they came. */
let last = Promise.resolve();
port.on('message', (request: WorkerRequest) => {
  last = last.then(() => answer(request));
});
