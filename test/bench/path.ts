/**
 * `npm run bench`: the whole path in ratios of one run. Last line with `--json`: {gemmRatio1,
 * gemmRatio16, moeOverDense1, moeOverDense16, frameOverheadMsP50, frameOverheadMsP99,
 * conditionerRealtime32x500}. Overheads are from the arrival of a window's last sample to its
 * frame at a WebSocket client, less the bare time of the runs it was part of.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { quantile } from '../../src/daemon/running-figures.js';
import { benchConditioner } from './conditioner.js';
import { benchForward, type ForwardFigures } from './forward.js';
import { LiveLoad, overheadsMs } from './live-load.js';

const liveS = Number(process.env.BENCH_S ?? 40);

const forward = await benchForward();
console.log('rows  model  GFLOP/s  over GEMM  task blocks ms');
for (const { rows, moe, gflops, gemmRatio, tasksMs } of forward)
  console.log(
    `${String(rows).padStart(4)}  ${moe ? 'MoE  ' : 'dense'}  ${gflops.toFixed(1).padStart(7)}  ` +
      `${gemmRatio.toFixed(2).padStart(9)}  ${tasksMs.toFixed(2)}`,
  );

const conditioner = benchConditioner();
for (const [what, times] of Object.entries(conditioner))
  console.log(`conditioner ${what}: ${times} times real time`);

const load = await LiveLoad.open({ streams: 1, clients: 1 });
await sleep(12_000);
await load.reset();
await sleep(liveS * 1000);
const overheads = overheadsMs(load.windows, await load.received()).map((one) => one.overheadMs);
await load.close();
const frameOverheadMsP50 = quantile(overheads, 0.5);
const frameOverheadMsP99 = quantile(overheads, 0.99);
console.log(
  `last sample to client frame, less the run: p50 ${frameOverheadMsP50.toFixed(2)} ms, ` +
    `p99 ${frameOverheadMsP99.toFixed(2)} ms (${overheads.length} windows)`,
);

function find(rows: number, moe: boolean): ForwardFigures {
  return forward.find((one) => one.rows === rows && one.moe === moe) as ForwardFigures;
}

if (process.argv.includes('--json'))
  console.log(
    JSON.stringify({
      gemmRatio1: find(1, false).gemmRatio,
      gemmRatio16: find(16, false).gemmRatio,
      moeOverDense1: find(1, true).tasksMs / find(1, false).tasksMs,
      moeOverDense16: find(16, true).tasksMs / find(16, false).tasksMs,
      frameOverheadMsP50,
      frameOverheadMsP99,
      conditionerRealtime32x500: conditioner.realtime32x500,
    }),
  );
process.exit(0);
