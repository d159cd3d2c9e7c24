/**
 * `npm run bench:clients`: as many clients as the server takes, in a process of their own, each of
 * which is sent 20 predictions a second, for 10 s. Last line with `--json`: {clients, p50Ms, p99Ms,
 * rssMb, rssIdleMb, lost}; the memory is the server's, with and before the clients.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { silentLogger } from '../../src/core/log.js';
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
const rssMb = () => process.memoryUsage.rss() / 2 ** 20;
const rssIdleMb = rssMb();
const start: ClientsStart = {
  url: `${server.address.replace('http', 'ws')}/ws`,
  streams: Array.from({ length: clients }, () => ['s1']),
};
const others = fork(new URL('./clients-process.js', import.meta.url), {
  serialization: 'advanced',
});
others.send(start);
await once(others, 'message');
const sentS: number[] = [];
const startS = localClock();
while (sentS.length < rateHz * seconds) {
  const dueS = startS + sentS.length / rateHz;
  await sleep(Math.max(0, (dueS - localClock()) * 1000));
  sentS.push(localClock());
  daemon.emit(fakePrediction({ seq: sentS.length - 1 }));
}
await sleep(1000);
const rssServingMb = rssMb();
others.send('take');
const [received] = (await once(others, 'message')) as [Received[]];
const times = received.map(
  ({ key, receivedS }) => (receivedS - (sentS[Number(key.split(' ')[2])] ?? 0)) * 1000,
);
const result = {
  clients,
  p50Ms: quantile(times, 0.5),
  p99Ms: quantile(times, 0.99),
  rssMb: rssServingMb,
  rssIdleMb,
  lost: clients * sentS.length - times.length,
};
console.log(
  `${clients} clients at ${rateHz} Hz: p50 ${result.p50Ms.toFixed(1)} ms, ` +
    `p99 ${result.p99Ms.toFixed(1)} ms, ${result.lost} lost, ` +
    `${rssServingMb.toFixed(0)} MB (${rssIdleMb.toFixed(0)} MB before they came)`,
);
if (process.argv.includes('--json')) console.log(JSON.stringify(result));
others.kill();
process.exit(0);
