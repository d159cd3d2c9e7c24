/**
 * `npm run bench:swap`: checkpoints of the shipped size exchanged under 8 live streams, one swap
 * after the other. Last line with `--json`: {swaps, lost, answeredTwice, p99Ratio}.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { quantile } from '../../src/daemon/running-figures.js';
import { LiveLoad, overheadsMs, type WindowRecord } from './live-load.js';
import { judgeWindows, twoCheckpoints } from './two-checkpoints.js';

const swaps = Number(process.env.BENCH_SWAPS ?? 200);
const streams = 8;
const { store, tasks } = await twoCheckpoints();
const load = await LiveLoad.open({ streams, clients: 20, store });
await sleep(34_000);
await load.reset();
const all: WindowRecord[] = [];

/** p99 of sample to client over what has happened since the last reset. */
async function p99(): Promise<number> {
  const received = await load.received();
  const times = overheadsMs(load.windows, received).map(({ totalMs }) => totalMs);
  all.push(...load.windows);
  load.windows = [];
  return quantile(times, 0.99);
}

// Two sleep epochs: their windows come together, and are those that wait longest.
await sleep(60_000);
const before = await p99();
for (let swap = 1; swap <= swaps; swap++) await load.daemon.activate(`swap@${1 + (swap % 2)}`);
const during = await p99();
await sleep(1000);
await p99();
const { lost, answeredTwice, dropped } = judgeWindows(all, tasks);
console.log(
  `${swaps} swaps under ${streams} streams, ${all.length} windows: ${lost} lost, ` +
    `${answeredTwice} answered twice, ${dropped} too late for this machine's load; p99 ${before.toFixed(1)} ms without, ${during.toFixed(1)} with`,
);
if (process.argv.includes('--json'))
  console.log(JSON.stringify({ swaps, lost, answeredTwice, p99Ratio: during / before, dropped }));
await load.close();
process.exit(0);
