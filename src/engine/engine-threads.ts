/**
 * The threads that hold sessions. One that an engine leaves waits for the next engine: its modules
 * are loaded and its code is compiled, so a checkpoint opens there in a third of the time, and V8,
 * whose compiler threads give way to nobody, has nothing to do.
 */
import type { Worker } from 'node:worker_threads';
import { spawnWorker } from '../core/spawn.js';
import type { WorkerReply, WorkerRequest } from './worker-protocol.js';

export interface ThreadKind {
  /** Module of the worker. */
  readonly worker: URL;
  /** JavaScript heap, MB; above it the thread ends as if it had crashed. */
  readonly heapMb: number;
}

/**
 * A thread allocates little but buffers, which are freed with the young objects that hold them:
 * those are collected the sooner the fewer have room. Saves tens of MB after a
 * hundred swaps.
 */
const youngMb = 6;

/** Threads that wait, of each kind. */
const sparesMax = 2;
const closeMs = 2000;

const spares = new Map<string, Worker[]>();

/** One that waits, or a new one; to be told to open a checkpoint. */
export function takeThread(kind: ThreadKind): Worker {
  const spare = spares.get(keyOf(kind))?.pop();
  if (spare === undefined)
    return spawnWorker(kind.worker, {
      resourceLimits: { maxOldGenerationSizeMb: kind.heapMb, maxYoungGenerationSizeMb: youngMb },
    });
  deafen(spare);
  spare.ref();
  return spare;
}

/**
 * Closes the thread's sessions and keeps it for the next engine. False where it did not answer in
 * time: it may hang in a run, and is the caller's to `endThread`.
 */
export async function leaveThread(kind: ThreadKind, worker: Worker): Promise<boolean> {
  deafen(worker);
  const left = await closed(worker);
  if (left !== 'closed') return left === 'ended';
  const waiting = spares.get(keyOf(kind)) ?? [];
  spares.set(keyOf(kind), waiting);
  if (waiting.length >= sparesMax) {
    endThread(worker);
    return true;
  }
  deafen(worker);
  worker.unref();
  const forget = () => {
    const at = waiting.indexOf(worker);
    if (at >= 0) waiting.splice(at, 1);
  };
  // Whoever takes it listens for itself.
  worker.once('error', forget);
  worker.once('exit', forget);
  waiting.push(worker);
  return true;
}

/** It ends when it comes to its next message, and keeps no process alive until then. */
export function endThread(worker: Worker): void {
  worker.postMessage({ op: 'end' } satisfies WorkerRequest);
  worker.unref();
}

/** All at once would take Node's own listeners too. */
function deafen(worker: Worker): void {
  for (const event of ['message', 'error', 'exit']) worker.removeAllListeners(event);
}

function closed(worker: Worker): Promise<'closed' | 'ended' | 'late'> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve('late'), closeMs);
    const answer = (how: 'closed' | 'ended') => {
      clearTimeout(timer);
      resolve(how);
    };
    worker.on('message', ({ op }: WorkerReply) => {
      if (op === 'closed') answer('closed');
    });
    worker.once('exit', () => answer('ended'));
    worker.postMessage({ op: 'close' } satisfies WorkerRequest);
  });
}

function keyOf({ worker, heapMb }: ThreadKind): string {
  return `${worker.href} ${heapMb}`;
}
