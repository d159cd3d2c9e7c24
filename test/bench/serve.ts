/**
 * `npm run bench:serve`: how many live streams of 8 channels, with all tasks, the daemon holds in
 * real time on this machine, at the shipped model's size. A level is held when no window was
 * dropped or late. Last line with `--json`: {streamsRealtime, gemmRatio, gemmRatioBeside,
 * frameOverheadMsP99}. The engine's rate is held against a large product on a machine that does
 * nothing else, and against one beside a thread as busy as the rest of the daemon is. With
 * BENCH_WITNESS=1 light loads tell `frameOverheadMsP99Undisturbed` too, of the windows while no CPU
 * stood still (stall-witness.ts); the witness wakes every CPU each millisecond, and the p99 of all
 * windows is worse for it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { quantile } from '../../src/daemon/running-figures.js';
import { loadCheckpoint } from '../../src/model/checkpoint.js';
import { taskFlops, trunkFlops } from './flops.js';
import { gemmRate, gemmRateBeside } from './gemm.js';
import { baseFolder, LiveLoad, overheadsMs, type WindowTime } from './live-load.js';
import { StallWitness } from './stall-witness.js';

const warmS = 34;
/** Two windows of sleep of each stream: with fewer, chance decides what share of all they are. */
const measureS = Number(process.env.BENCH_S ?? 60);
/** Of the engine. Its rate is held against the GEMM rate of one thread all the same. */
const threads = Number(process.env.BENCH_THREADS ?? 1);
/** Runs of the engine at once; what the daemon takes by itself where absent. */
const workers = process.env.BENCH_WORKERS ? { workers: Number(process.env.BENCH_WORKERS) } : {};
const levels = (process.env.BENCH_STREAMS ?? '1,8,32,64,128').split(',').map(Number);
/** With more, the witness of stalls would be late by the daemon's own doing. */
const witnessedMax = process.env.BENCH_WITNESS === '1' ? 8 : 0;
const { arch } = await loadCheckpoint(baseFolder);

interface Level {
  readonly streams: number;
  readonly windowsPerS: number;
  readonly dropped: number;
  readonly totalMsP50: number;
  readonly totalMsP99: number;
  readonly overheadMsP50: number;
  readonly overheadMsP99: number;
  /** Of light loads. */
  readonly overheadMsP99Undisturbed?: number;
  /** Share of one core that the engine was busy, and that the whole process used. */
  readonly engineShare: number;
  readonly cores: number;
  readonly gflops: number;
  /** GFLOP/s of a large product beside a thread that is busy as the daemon without its engine. */
  readonly gemmBeside: number;
}

async function measure(streams: number): Promise<Level> {
  const level = await measureLoad(streams);
  return { ...level, gemmBeside: await gemmRateBeside(level.cores - level.engineShare) };
}

async function measureLoad(streams: number): Promise<Omit<Level, 'gemmBeside'>> {
  const load = await LiveLoad.open({ streams, clients: 20, threads, ...workers });
  const witness = streams <= witnessedMax ? new StallWitness() : undefined;
  try {
    // Until the longest window is full, less is computed than later on.
    await sleep(warmS * 1000);
    await load.reset();
    const cpu = process.cpuUsage();
    const startedMs = performance.now();
    await sleep(measureS * 1000);
    const { windows, runs } = load;
    const used = process.cpuUsage(cpu);
    const elapsedS = (performance.now() - startedMs) / 1000;
    const times = overheadsMs(windows, await load.received());
    const totals = times.map(({ totalMs }) => totalMs);
    const undisturbed = witness?.undisturbed(times);
    const busyMs = runs.reduce((sum, run) => sum + run.bareMs, 0);
    const flops = runs.reduce((sum, run) => sum + runFlops(run), 0);
    const reasons = windows.filter(
      ({ answer }) => answer.kind === 'no_prediction' && answer.reason !== 'warming_up',
    );
    return {
      streams,
      windowsPerS: windows.length / elapsedS,
      dropped: reasons.length,
      totalMsP50: quantile(totals, 0.5),
      totalMsP99: quantile(totals, 0.99),
      overheadMsP50: quantile(overheads(times), 0.5),
      overheadMsP99: quantile(overheads(times), 0.99),
      ...(undisturbed && { overheadMsP99Undisturbed: quantile(overheads(undisturbed), 0.99) }),
      engineShare: busyMs / 1000 / elapsedS,
      cores: (used.user + used.system) / 1e6 / elapsedS,
      gflops: flops / busyMs / 1e6,
    };
  } finally {
    witness?.close();
    await load.close();
  }
}

function overheads(times: readonly WindowTime[]): number[] {
  return times.map(({ overheadMs }) => overheadMs);
}

function runFlops({ graph, rows, tokens }: { graph: string; rows: number; tokens: number }) {
  const each = tokens / rows;
  return tokens * (graph === 'trunk' ? trunkFlops(arch, each) : taskFlops(arch, each));
}

const gemm = await gemmRate();
console.log(`large GEMM, one thread: ${gemm.toFixed(0)} GFLOP/s; the engine has ${threads}`);
console.log(
  'streams  windows/s  dropped  total p50/p99 ms  overhead p50/p99 ms  engine  cores  GEMM  beside',
);
const measured: Level[] = [];
for (const streams of levels) {
  const level = await measure(streams);
  measured.push(level);
  const { windowsPerS, dropped, totalMsP50, totalMsP99, overheadMsP50, overheadMsP99 } = level;
  const undisturbed = level.overheadMsP99Undisturbed;
  console.log(
    `${String(streams).padStart(7)}  ${windowsPerS.toFixed(0).padStart(9)}  ` +
      `${String(dropped).padStart(7)}  ${totalMsP50.toFixed(1)} / ${totalMsP99.toFixed(1)}  ` +
      `${overheadMsP50.toFixed(1)} / ${overheadMsP99.toFixed(1)}` +
      `${undisturbed === undefined ? '' : ` (undisturbed ${undisturbed.toFixed(1)})`}  ` +
      `${level.engineShare.toFixed(2)}  ${level.cores.toFixed(2)}  ${(level.gflops / gemm).toFixed(2)}  ` +
      (level.gflops / level.gemmBeside).toFixed(2),
  );
}
const held = measured.filter(({ dropped }) => dropped === 0);
const largest = held[held.length - 1];
const eight = measured.find(({ streams }) => streams === 8) ?? measured[0];
if (process.argv.includes('--json'))
  console.log(
    JSON.stringify({
      streamsRealtime: largest?.streams ?? 0,
      gemmRatio: (largest?.gflops ?? 0) / gemm,
      gemmRatioBeside: largest === undefined ? 0 : largest.gflops / largest.gemmBeside,
      frameOverheadMsP99: eight?.overheadMsP99,
      frameOverheadMsP99Undisturbed: eight?.overheadMsP99Undisturbed,
      levels: measured,
    }),
  );
process.exit(0);
