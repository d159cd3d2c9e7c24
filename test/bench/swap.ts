/**
 * `npm run bench:swap`: checkpoints of the shipped size exchanged under 8 live streams, one swap
 * after the other, in blocks of 30 s with blocks without swaps between them. Last line with
 * `--json`: {swaps, lost, answeredTwice, p99Ratio}.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { localClock } from '../../src/core/time.js';
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

/** Sample to client of what was answered since the last call, ms. */
async function taken(): Promise<number[]> {
  const received = await load.received();
  const totals = overheadsMs(load.windows, received).map(({ totalMs }) => totalMs);
  all.push(...load.windows);
  load.windows = [];
  return totals;
}

/** One sleep epoch of every stream: its windows are those that wait longest. */
const blockS = 30;
const times = { without: [] as number[], with: [] as number[] };
let swap = 0;
// In turns, so that what else this machine does falls on both.
while (swap < swaps) {
  await sleep(blockS * 1000);
  times.without.push(...(await taken()));
  const endS = localClock() + blockS;
  while (swap < swaps && localClock() < endS)
    await load.daemon.activate(`swap@${1 + (++swap % 2)}`);
  times.with.push(...(await taken()));
}
await sleep(1000);
await taken();
const before = quantile(times.without, 0.99);
const during = quantile(times.with, 0.99);
const { lost, answeredTwice, dropped } = judgeWindows(all, tasks);
console.log(
  `${swaps} swaps under ${streams} streams, ${all.length} windows: ${lost} lost, ` +
    `${answeredTwice} answered twice, ${dropped} too late for this machine's load; p99 ${before.toFixed(1)} ms without, ${during.toFixed(1)} with`,
);
if (process.argv.includes('--json'))
  console.log(JSON.stringify({ swaps, lost, answeredTwice, p99Ratio: during / before, dropped }));
await load.close();
process.exit(0);
