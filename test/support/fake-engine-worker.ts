/**
 * A worker of the engine's protocol that fails on command: a batch of so many rows makes it die,
 * hang, throw or refuse. `folder` says what it does at the start.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { EegError } from '../../src/core/errors.js';
import type { WorkerReply, WorkerRequest } from '../../src/engine/worker-protocol.js';
import { errorMessage } from '../../src/engine/worker-protocol.js';
import { FakeEngine } from './fake-engine.js';
import {
  deviceHangs,
  deviceLost,
  dieRows,
  diesAlways,
  errorRows,
  hangRows,
  hangS,
  runsBeforeLoss,
} from './fake-engine-rows.js';

const engine = new FakeEngine();
const reply = (message: WorkerReply) => parentPort?.postMessage(message);
let folder = '';
let device = '';
let served = 0;

/** As a run inside ONNX Runtime: nothing can be told to this thread meanwhile. */
function hang(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, hangS * 1000);
}

function loseDevice(): void {
  if (folder === deviceLost) process.exit(4);
  hang();
}

/** Not for a lost device: live batches have any number of rows. */
function failOnCommand(rows: number): void {
  if (rows === dieRows) process.exit(3);
  if (rows === hangRows) hang();
  if (rows === errorRows) throw new EegError('EEG_INTERNAL', 'a bad batch');
}

/** `once:HOW:FLAG`: the first worker that comes so far makes the file FLAG, and fails so. */
function failOnce(how: string): void {
  const [, kind, flag = ''] = how.split(':');
  if (++served <= runsBeforeLoss || existsSync(flag)) return;
  writeFileSync(flag, '');
  if (kind === 'exit') process.exit(3);
  if (kind === 'hang') hang();
  const hoard: number[][] = [];
  for (;;) hoard.push(new Array(10_000).fill(served));
}

async function answer(request: WorkerRequest): Promise<void> {
  if (request.op === 'open') {
    ({ folder, device } = request.start);
    open();
    return;
  }
  if (request.op === 'close') {
    reply({ op: 'closed' });
    return;
  }
  if (request.op === 'end') {
    parentPort?.close();
    return;
  }
  if (request.op === 'serve') return;
  const { rows } = request.batch;
  if (folder.startsWith('once:')) failOnce(folder);
  else if (folder === diesAlways) process.exit(5);
  else if (folder === deviceLost || folder === deviceHangs) {
    if (device !== 'cpu' && ++served > runsBeforeLoss) loseDevice();
  } else failOnCommand(rows);
  if (request.op === 'trunk')
    reply({ op: 'latents', id: request.id, runMs: 0, latents: await engine.trunk(request.batch) });
  else reply({ op: 'result', id: request.id, runMs: 0, result: await engine.tasks(request.batch) });
}

function open(): void {
  served = 0;
  if (folder === 'refused')
    reply({ op: 'refused', error: errorMessage(new EegError('EEG_MODEL_INVALID', 'a bad hash')) });
  else if (folder === 'silent') setInterval(() => undefined, 1000);
  else reply({ op: 'ready', info: { ...engine.info, engine: `fake/${device}` } });
}

parentPort?.on('message', (request: WorkerRequest) => {
  answer(request).catch((error: unknown) => {
    if ('id' in request) reply({ op: 'error', id: request.id, error: errorMessage(error) });
  });
});
