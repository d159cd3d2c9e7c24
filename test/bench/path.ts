/**
 * `npm run bench`: the whole path in ratios of one run. Last line with `--json`: {gemmRatio1,
 * gemmRatio16, moeOverDense1, moeOverDense16, frameOverheadMsP50, frameOverheadMsP99,
 * frameOverheadMsP99Undisturbed, conditionerRealtime32x500}. Overheads are from the arrival of a
 * window's last sample to its frame at a WebSocket client, less the bare time of the runs it was
 * part of; undisturbed are the windows while no CPU of the machine stood still (stall-witness.ts).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { quantile } from '../../src/daemon/running-figures.js';
import { benchConditioner } from './conditioner.js';
import { benchForward, type ForwardFigures } from './forward.js';
import { LiveLoad, overheadsMs, type WindowTime } from './live-load.js';
import { StallWitness } from './stall-witness.js';

const liveS = Number(process.env.BENCH_S ?? 40);

const forward = await benchForward();
console.log('rows  model  GFLOP/s  over GEMM  forward ms  task blocks ms');
for (const { rows, moe, gflops, gemmRatio, forwardMs, tasksMs } of forward)
  console.log(
    `${String(rows).padStart(4)}  ${moe ? 'MoE  ' : 'dense'}  ${gflops.toFixed(1).padStart(7)}  ` +
      `${gemmRatio.toFixed(2).padStart(9)}  ${forwardMs.toFixed(2).padStart(10)}  ${tasksMs.toFixed(2)}`,
  );

const conditioner = benchConditioner();
for (const [what, times] of Object.entries(conditioner))
  console.log(`conditioner ${what}: ${times} times real time`);

const load = await LiveLoad.open({ streams: 1, clients: 1 });
const witness = new StallWitness();
await sleep(12_000);
await load.reset();
await sleep(liveS * 1000);
const times = overheadsMs(load.windows, await load.received());
const undisturbed = witness.undisturbed(times);
witness.close();
await load.close();
const [frameOverheadMsP50, frameOverheadMsP99] = overheadOf(times);
const [, frameOverheadMsP99Undisturbed] = overheadOf(undisturbed);

function overheadOf(windows: readonly WindowTime[]): [p50: number, p99: number] {
  const overheads = windows.map(({ overheadMs }) => overheadMs);
  const [p50, p99] = [quantile(overheads, 0.5), quantile(overheads, 0.99)];
  console.log(
    `last sample to client frame, less the run: p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms ` +
      `(${windows.length} ${windows === times ? 'windows' : 'while no CPU stood still'})`,
  );
  return [p50, p99];
}

function find(rows: number, moe: boolean): ForwardFigures {
  return forward.find((one) => one.rows === rows && one.moe === moe) as ForwardFigures;
}

/** Of the whole forward pass; the table shows the task blocks, where the experts are, alone. */
function moeOverDense(rows: number): number {
  return find(rows, true).forwardMs / find(rows, false).forwardMs;
}

if (process.argv.includes('--json'))
  console.log(
    JSON.stringify({
      gemmRatio1: find(1, false).gemmRatio,
      gemmRatio16: find(16, false).gemmRatio,
      moeOverDense1: moeOverDense(1),
      moeOverDense16: moeOverDense(16),
      frameOverheadMsP50,
      frameOverheadMsP99,
      frameOverheadMsP99Undisturbed,
      conditionerRealtime32x500: conditioner.realtime32x500,
    }),
  );
process.exit(0);
