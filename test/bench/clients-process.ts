/** Starts the clients of `clients-worker.ts` in a process of their own, whose memory is not ours. */
import { spawnWorker } from '../../src/core/spawn.js';

process.once('message', (workerData) => {
  const worker = spawnWorker(new URL('./clients-worker.js', import.meta.url), { workerData });
  worker.on('message', (message) => process.send?.(message));
  process.on('message', (order) => worker.postMessage(order));
});
