/**
 * A worker of the engine's protocol that fails on command: a batch of so many rows makes it die,
 * hang, throw or refuse. `folder` says what it does at the start.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { EegError } from '../../src/core/errors.js';
import type { WorkerReply, WorkerRequest, WorkerStart } from '../../src/engine/worker-protocol.js';
import { errorMessage } from '../../src/engine/worker-protocol.js';
import { FakeEngine } from './fake-engine.js';
import {
  deviceHangs,
  deviceLost,
  dieRows,
  errorRows,
  hangRows,
  runsBeforeLoss,
} from './fake-engine-rows.js';

const engine = new FakeEngine();
const reply = (message: WorkerReply) => parentPort?.postMessage(message);
const { folder, device } = workerData as WorkerStart;
let served = 0;

function loseDevice(): void {
  if (folder === deviceLost) process.exit(4);
  for (;;);
}

/** Not for a lost device: live batches have any number of rows. */
function failOnCommand(rows: number): void {
  if (rows === dieRows) process.exit(3);
  if (rows === hangRows) for (;;);
  if (rows === errorRows) throw new EegError('EEG_INTERNAL', 'a bad batch');
}

async function answer(request: WorkerRequest): Promise<void> {
  if (request.op === 'close') {
    parentPort?.close();
    return;
  }
  const { rows } = request.batch;
  if (folder === deviceLost || folder === deviceHangs) {
    if (device !== 'cpu' && ++served > runsBeforeLoss) loseDevice();
  } else failOnCommand(rows);
  if (request.op === 'trunk')
    reply({ op: 'latents', id: request.id, runMs: 0, latents: await engine.trunk(request.batch) });
  else reply({ op: 'result', id: request.id, runMs: 0, result: await engine.tasks(request.batch) });
}

if (folder === 'refused')
  reply({ op: 'refused', error: errorMessage(new EegError('EEG_MODEL_INVALID', 'a bad hash')) });
else if (folder === 'silent') setInterval(() => undefined, 1000);
else reply({ op: 'ready', info: { ...engine.info, engine: `fake/${device}` } });

parentPort?.on('message', (request: WorkerRequest) => {
  answer(request).catch((error: unknown) => {
    if (request.op !== 'close') reply({ op: 'error', id: request.id, error: errorMessage(error) });
  });
});
