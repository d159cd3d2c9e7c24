/**
 * `npm run bench:train`: a supervised training step (forward, backward; AdamW apart) at the shipped
 * size on one thread, windows of 10 s and 8 channels. All ratios of one run: each step is measured
 * beside its forward pass and the GEMM rate, so that load on the machine falls on all. 32 rows are
 * run as the loop runs them, in parts of 8 whose gradients are summed (src/training/batch.ts). Then
 * `prepare`, and memory. Last line with `--json`: {stepOverForward, moeStepOverDense, gemmRatio,
 * rssGrowthMb} at 8 rows, with what else was measured.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Rng } from '../../src/core/rng.js';
import { openRecording } from '../../src/formats/recording.js';
import { AdamW } from '../../src/graph/adamw.js';
import { Accumulator } from '../../src/graph/training-arithmetic.js';
import { type Architecture, baseArchitecture } from '../../src/model/architecture.js';
import { initialWeights } from '../../src/model/serving.js';
import { baseTasks } from '../../src/model/tasks.js';
import { makeTargets, type TrainingBatch } from '../../src/model/training-batch.js';
import { TrainingSession } from '../../src/model/training-session.js';
import { prepareRecording } from '../../src/training/prepare.js';
import { writeEdf } from '../training/made-edf.js';
import { taskFlops, trunkFlops } from './flops.js';
import { gemmRate } from './gemm.js';

const moe = { blocks: [1, 3], experts: 8, topK: 2, taskAware: true };
const dense: Architecture = { ...baseArchitecture, tasks: baseTasks };
const mixed: Architecture = { ...dense, moe };
const router = { balance: 1e-2, z: 1e-3 };

interface Size {
  readonly rows: number;
  readonly seconds: number;
  readonly channels: number;
}

function makeBatch(arch: Architecture, { rows, seconds, channels }: Size): TrainingBatch {
  const rng = new Rng(rows);
  const normal = (length: number) => Float32Array.from({ length }, () => rng.normal());
  const units = rows * seconds;
  const task = Int32Array.from({ length: rows }, (_, i) => i % arch.tasks.length);
  return {
    rows,
    seconds,
    times: Float32Array.from({ length: units }, (_, i) => (i % seconds) - seconds + 1),
    mask: new Float32Array(units).fill(1),
    task,
    target: makeTargets(arch, task, new Array<number>(rows).fill(0), 0.1),
    rowWeight: new Float32Array(rows).fill(1 / rows),
    signal: {
      units,
      channels,
      patches: normal(units * channels * 200),
      positions: normal(units * channels * 6),
      channelMask: new Float32Array(units * channels).fill(1),
      context: new Float32Array(0),
      index: Int32Array.from({ length: units }, (_, i) => i),
    },
  };
}

function forwardFlops(arch: Architecture, { rows, seconds, channels }: Size): number {
  const tokens = seconds * arch.latents;
  const trunk = seconds * channels * trunkFlops(arch, channels);
  return rows * (trunk + tokens * taskFlops(arch, tokens));
}

interface StepFigures {
  readonly stepMs: number;
  readonly forwardMs: number;
  readonly gemmRatio: number;
}

/** Dense, mixture and GEMM in turns, the best of some runs each: load falls on all alike. */
async function measure(whole: Size, parts: number, runs: number): Promise<StepFigures[]> {
  const size = { ...whole, rows: whole.rows / parts };
  const accumulator = new Accumulator();
  const subjects = await Promise.all(
    [dense, mixed].map(async (arch) => ({
      arch,
      session: await TrainingSession.open(arch, { trunk: true }),
      weights: initialWeights(arch, new Rng(1)),
      batch: makeBatch(arch, size),
      stepMs: Number.POSITIVE_INFINITY,
      forwardMs: Number.POSITIVE_INFINITY,
    })),
  );
  let gemm = 0;
  for (let run = 0; run < runs; run++) {
    for (const one of subjects) {
      const started = performance.now();
      for (let part = 0; part < parts; part++) {
        const { gradients } = await one.session.step(one.weights, one.batch, router);
        if (parts > 1) accumulator.add(gradients);
      }
      if (parts > 1) accumulator.take();
      const between = performance.now();
      for (let part = 0; part < parts; part++) await one.session.evaluate(one.weights, one.batch);
      one.stepMs = Math.min(one.stepMs, between - started);
      one.forwardMs = Math.min(one.forwardMs, performance.now() - between);
    }
    gemm = Math.max(gemm, await gemmRate(2));
  }
  for (const { session } of subjects) await session.close();
  return subjects.map(({ arch, stepMs, forwardMs }) => {
    // Backward is twice the forward's products: by inputs and by weights.
    const rate = (3 * forwardFlops(arch, whole)) / stepMs / 1e6;
    return { stepMs, forwardMs, gemmRatio: rate / gemm };
  });
}

/** Growth of the resident set from step 200 to 1,000, steps of changing shapes, MB. */
async function memoryGrowth(): Promise<number> {
  const session = await TrainingSession.open(mixed, { trunk: true });
  const weights = initialWeights(mixed, new Rng(1));
  const adam = new AdamW();
  const batches = [1, 2, 3, 4].map((seconds) =>
    makeBatch(mixed, { rows: 2, seconds, channels: 5 - seconds }),
  );
  let before = 0;
  for (let step = 0; step < 1000; step++) {
    const { gradients } = await session.step(weights, batches[step % 4] as TrainingBatch, router);
    if (step % 50 === 0) adam.step(weights, gradients, 1e-4);
    if (step === 200) before = process.memoryUsage.rss();
  }
  const growth = (process.memoryUsage.rss() - before) / 2 ** 20;
  await session.close();
  return growth;
}

interface PrepareFigures {
  /** Windows of 10 s and 8 channels. */
  readonly windowsPerS: number;
}

/** Ten minutes of 8 channels at 250 Hz through the live path, to disk. */
async function prepareRate(): Promise<PrepareFigures> {
  const root = mkdtempSync(join(tmpdir(), 'eegd-bench-'));
  try {
    const labels = ['Fp1', 'Fp2', 'C3', 'C4', 'P7', 'P8', 'O1', 'O2'];
    const path = writeEdf(root, 'x.edf', { seconds: 600, labels, rateHz: 250 });
    const open = () => openRecording(path);
    const ref = { set: 'x', id: 'x', subject: 'x', run: '', path, spans: [], open };
    const started = performance.now();
    await prepareRecording({ ...ref, side: 'train', gain: 1 }, { folder: join(root, 'store') });
    return { windowsPerS: 60_000 / (performance.now() - started) };
  } finally {
    rmSync(root, { recursive: true });
  }
}

const print = (line: string) => process.stdout.write(`${line}\n`);
print('rows        step ms  forward ms  step/forward  of GEMM');
const figures = new Map<string, StepFigures>();
for (const rows of [8, 32]) {
  const both = await measure({ rows, seconds: 10, channels: 8 }, rows / 8, rows === 8 ? 15 : 6);
  for (const [i, name] of ['dense', 'MoE'].entries()) {
    const one = both[i] as StepFigures;
    figures.set(`${name} ${rows}`, one);
    const ratio = one.stepMs / one.forwardMs;
    print(
      `${`${name} ${rows}`.padEnd(10)} ${one.stepMs.toFixed(0).padStart(8)}  ` +
        `${one.forwardMs.toFixed(0).padStart(10)}  ${ratio.toFixed(2).padStart(12)}  ` +
        `${one.gemmRatio.toFixed(2).padStart(7)}`,
    );
  }
}
const { windowsPerS } = await prepareRate();
print(`prepare: ${windowsPerS.toFixed(0)} windows of 10 s and 8 channels a second`);
const rssGrowthMb = await memoryGrowth();
print(`resident memory, step 200 to 1,000: ${rssGrowthMb.toFixed(1)} MB`);
const peakMb = process.resourceUsage().maxRSS / 1024;
print(`peak resident memory of all of the above: ${peakMb.toFixed(0)} MB`);
const at = (name: string) => figures.get(name) as StepFigures;
if (process.argv.includes('--json'))
  print(
    JSON.stringify({
      stepOverForward: at('dense 8').stepMs / at('dense 8').forwardMs,
      moeStepOverDense: at('MoE 8').stepMs / at('dense 8').stepMs,
      gemmRatio: at('dense 8').gemmRatio,
      rssGrowthMb,
      gemmRatio32: at('dense 32').gemmRatio,
      prepareWindowsPerS: windowsPerS,
      peakMb,
    }),
  );
