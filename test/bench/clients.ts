/**
 * `npm run bench:clients`: as many clients as the server takes, each of which is sent 20 predictions
 * a second, for 10 s. Last line with `--json`: {clients, p50Ms, p99Ms, rssMb, lost}; the memory is
 * that of server and clients together.
 */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { silentLogger } from '../../src/core/log.js';
import { spawnWorker } from '../../src/core/spawn.js';
import { localClock } from '../../src/core/time.js';
import { quantile } from '../../src/daemon/running-figures.js';
import { limits } from '../../src/server/limits.js';
import { startServer } from '../../src/server/server.js';
import { FakeDaemon, fakePrediction } from '../support/fake-daemon.js';
import type { ClientsStart, Received } from './clients-worker.js';

const clients = Number(process.env.BENCH_CLIENTS ?? limits.clientsMax);
const rateHz = 20;
const seconds = 10;
const daemon = new FakeDaemon();
const server = await startServer(daemon, { port: 0 }, silentLogger);
const workerData: ClientsStart = {
  url: `${server.address.replace('http', 'ws')}/ws`,
  streams: Array.from({ length: clients }, () => ['s1']),
};
const worker = spawnWorker(new URL('./clients-worker.js', import.meta.url), { workerData });
await once(worker, 'message');
const sentS: number[] = [];
const startS = localClock();
while (sentS.length < rateHz * seconds) {
  const dueS = startS + sentS.length / rateHz;
  await sleep(Math.max(0, (dueS - localClock()) * 1000));
  sentS.push(localClock());
  daemon.emit(fakePrediction({ seq: sentS.length - 1 }));
}
await sleep(1000);
const rssMb = process.memoryUsage.rss() / 2 ** 20;
worker.postMessage('take');
const [received] = (await once(worker, 'message')) as [Received[]];
const times = received.map(
  ({ key, receivedS }) => (receivedS - (sentS[Number(key.split(' ')[2])] ?? 0)) * 1000,
);
const result = {
  clients,
  p50Ms: quantile(times, 0.5),
  p99Ms: quantile(times, 0.99),
  rssMb,
  lost: clients * sentS.length - times.length,
};
console.log(
  `${clients} clients at ${rateHz} Hz: p50 ${result.p50Ms.toFixed(1)} ms, ` +
    `p99 ${result.p99Ms.toFixed(1)} ms, ${result.lost} lost, ${rssMb.toFixed(0)} MB`,
);
if (process.argv.includes('--json')) console.log(JSON.stringify(result));
process.exit(0);
