/**
 * Every engine that can be had here, with the weights of models/base and the same windows: latency,
 * rows a second, error against float64, memory; and PyTorch of the same weights. A row is one 10 s
 * window of 8 channels with nothing cached; then fine-tuning steps of eight. Each engine runs in a
 * process of its own. `npm run bench:engines -- [--json]`; on a machine with a GPU with
 * EEGD_TEST_GPU=1 before it.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { Rng } from '../../src/core/rng.js';
import type { TaskBatch, TrunkBatch } from '../../src/engine/engine.js';
import { openSessions, type Sessions } from '../../src/engine/sessions.js';
import type { EngineKind } from '../../src/engine/worker-protocol.js';
import type { Device } from '../../src/graph/session.js';
import { type Checkpoint, loadCheckpoint } from '../../src/model/checkpoint.js';
import { scalpSpiral } from '../../src/model/local.js';
import { Float64Model } from '../support/float64-model.js';
import { benchTorch } from './engines-torch.js';
import { firstLossOf, timeTraining, trainingRows } from './engines-training.js';

const seconds = 10;
const channels = 8;
const rowCounts = [1, 16, 128];
/** Runs of one figure end after so long; a row count that would take longer a run is left out. */
const spendMs = 6000;
const runsMax = 200;
const softwareVulkan = '/usr/lib/chromium/vk_swiftshader_icd.json';

interface Candidate {
  readonly kind: EngineKind;
  readonly device: Device;
  readonly threads: number;
  /** In the table. */
  readonly label: string;
  readonly backend?: string;
  readonly int8?: boolean;
  /** Steps of fine-tuning instead of serving runs. */
  readonly trains?: boolean;
}

const candidates: readonly Candidate[] = [
  { kind: 'onnx', device: 'cpu', threads: 1, label: 'cpu, 1 thread' },
  { kind: 'onnx', device: 'cpu', threads: 2, label: 'cpu, 2 threads' },
  { kind: 'onnx', device: 'cpu', threads: 1, label: 'cpu, int8, 1 thread', int8: true },
  { kind: 'onnx', device: 'cpu', threads: 2, label: 'cpu, int8, 2 threads', int8: true },
  { kind: 'onnx', device: 'webgpu', threads: 1, label: 'webgpu' },
  { kind: 'onnx', device: 'cuda', threads: 1, label: 'cuda' },
  { kind: 'onnx', device: 'tensorrt', threads: 1, label: 'tensorrt' },
  { kind: 'onnx', device: 'cpu', threads: 1, label: 'cpu, training step', trains: true },
  { kind: 'onnx', device: 'webgpu', threads: 1, label: 'webgpu, training step', trains: true },
  { kind: 'tfjs-node-gpu', device: 'cpu', threads: 1, label: 'tensorflow, gpu' },
  { kind: 'tfjs-node', device: 'cpu', threads: 1, label: 'tensorflow, cpu' },
  { kind: 'tfjs', device: 'cpu', threads: 1, label: 'wasm', backend: 'wasm' },
  { kind: 'tfjs', device: 'cpu', threads: 1, label: 'javascript', backend: 'cpu' },
];

export interface EngineFigures {
  readonly engine: string;
  readonly device: string;
  readonly rows: number;
  readonly msP50: number;
  readonly msP99: number;
  readonly rowsPerS: number;
  /** Largest difference of a logit of the first window from float64. */
  readonly maxError: number;
  /** Largest resident set of the process, MB. */
  readonly memoryMb: number;
}

export interface Windows {
  readonly trunk: TrunkBatch;
  readonly tasks: Omit<TaskBatch, 'latents'>;
}

/** The first row is the same whatever `rows` is. */
function windowsOf(rows: number, tasks: number): Windows {
  const rng = new Rng(1);
  const normal = (length: number) => Float32Array.from({ length }, () => rng.normal());
  const units = rows * seconds;
  const patches = new Float32Array(units * channels * 200);
  const positions = new Float32Array(units * channels * 6);
  for (let row = 0; row < rows; row++) {
    patches.set(normal(seconds * channels * 200), row * seconds * channels * 200);
    positions.set(normal(seconds * channels * 6), row * seconds * channels * 6);
  }
  for (let i = 0; i < positions.length; i += 3) {
    const size = Math.hypot(...positions.subarray(i, i + 3));
    for (let j = i; j < i + 3; j++) positions[j] = (positions[j] as number) / size;
  }
  return {
    trunk: { rows: units, channels, patches, positions, mask: ones(units * channels) },
    tasks: {
      rows,
      seconds,
      times: Float32Array.from({ length: units }, (_, i) => (i % seconds) - seconds + 1),
      mask: ones(units),
      task: Int32Array.from({ length: rows }, (_, i) => i % tasks),
    },
  };
}

const ones = (length: number) => new Float32Array(length).fill(1);

function float64Logits({ arch, weights }: Checkpoint, { trunk, tasks }: Windows): number[] {
  const model = new Float64Model(arch, weights);
  const unit = arch.latents * arch.width;
  const latents = new Float64Array(seconds * unit);
  for (let i = 0; i < seconds; i++) {
    const of = (array: Float32Array, size: number) =>
      array.subarray(i * channels * size, (i + 1) * channels * size);
    latents.set(model.trunk(of(trunk.patches, 200), of(trunk.positions, 6)), i * unit);
  }
  return model.tasks(latents, [...tasks.times.subarray(0, seconds)], tasks.task[0] as number);
}

async function runOnce(sessions: Sessions, { trunk, tasks }: Windows): Promise<Float32Array> {
  const latents = await sessions.trunk(trunk);
  return (await sessions.tasks({ ...tasks, latents })).logits;
}

async function timeRuns(sessions: Sessions, windows: Windows): Promise<number[]> {
  const times: number[] = [];
  const startedMs = performance.now();
  while (times.length < runsMax && performance.now() - startedMs < spendMs) {
    const beganMs = performance.now();
    await runOnce(sessions, windows);
    times.push(performance.now() - beganMs);
  }
  return times.sort((a, b) => a - b);
}

/** One engine, in this process. */
async function measure(candidate: Candidate): Promise<EngineFigures[]> {
  const checkpoint = await loadCheckpoint(join(import.meta.dirname, '../../models/base'));
  const { kind, device, threads, label, backend, int8 } = candidate;
  if (candidate.trains === true) return [await measureTraining(checkpoint, candidate)];
  const start = { kind, device, threads, folder: '' };
  const { sessions } = await openSessions(
    { ...checkpoint, arithmetic: int8 === true ? 'int8' : 'float32' },
    start,
  );
  if (backend !== undefined) await (await import('@tensorflow/tfjs')).setBackend(backend);
  const out: EngineFigures[] = [];
  let reference: number[] | undefined;
  let msPerRow = 0;
  for (const rows of rowCounts) {
    if (msPerRow * rows > 2 * spendMs) break;
    const windows = windowsOf(rows, checkpoint.arch.tasks.length);
    const logits = await runOnce(sessions, windows);
    reference ??= float64Logits(checkpoint, windows);
    const errors = reference.map((value, i) => Math.abs(value - (logits[i] as number)));
    const times = await timeRuns(sessions, windows);
    const msP50 = times[Math.floor(times.length / 2)] as number;
    msPerRow = msP50 / rows;
    out.push({
      engine: kind,
      device: label,
      rows,
      msP50: digits(msP50),
      msP99: digits(times[Math.ceil(0.99 * times.length) - 1] as number),
      rowsPerS: digits((1000 * rows) / msP50),
      maxError: digits(Math.max(...errors)),
      memoryMb: Math.round(process.resourceUsage().maxRSS / 1024),
    });
  }
  await sessions.close();
  return out;
}

async function measureTraining(
  checkpoint: Checkpoint,
  { kind, device, label }: Candidate,
): Promise<EngineFigures> {
  const windows = windowsOf(trainingRows, checkpoint.arch.tasks.length);
  const limits = { device, spendMs, runsMax };
  const { times, firstLoss } = await timeTraining(checkpoint, windows, limits);
  const expected = firstLossOf(checkpoint, float64Logits(checkpoint, windows), 0);
  const msP50 = times[Math.floor(times.length / 2)] as number;
  return {
    ...{ engine: kind, device: label, rows: trainingRows, msP50: digits(msP50) },
    msP99: digits(times[Math.ceil(0.99 * times.length) - 1] as number),
    rowsPerS: digits((1000 * trainingRows) / msP50),
    maxError: digits(Math.abs(firstLoss - expected)),
    memoryMb: Math.round(process.resourceUsage().maxRSS / 1024),
  };
}

/** The same first window for PyTorch. */
async function torchFigures(): Promise<EngineFigures[]> {
  const folder = join(import.meta.dirname, '../../models/base');
  const checkpoint = await loadCheckpoint(folder);
  const one = windowsOf(1, checkpoint.arch.tasks.length);
  const found = await benchTorch(folder, {
    ...{ seconds, channels, rowCounts, spendMs, runsMax, trainingRows },
    patches: [...one.trunk.patches],
    positions: [...one.trunk.positions],
    times: [...one.tasks.times],
    task: one.tasks.task[0] as number,
    logits: float64Logits(checkpoint, one),
    firstLoss: firstLossOf(checkpoint, float64Logits(checkpoint, one), 0),
    sites: [...scalpSpiral()].flat(),
  });
  return found.map((figures) => ({
    ...figures,
    msP50: digits(figures.msP50),
    msP99: digits(figures.msP99),
    rowsPerS: digits(figures.rowsPerS),
    maxError: digits(figures.maxError),
  }));
}

const digits = (value: number) => Number(value.toPrecision(4));

/** All engines, one after the other; what cannot be had is said on stderr. */
export async function benchEngines(): Promise<EngineFigures[]> {
  const out: EngineFigures[] = [];
  for (const [i, { kind, label }] of candidates.entries()) {
    const env = { ...process.env };
    const software =
      label.startsWith('webgpu') && env.EEGD_TEST_GPU !== '1' && existsSync(softwareVulkan);
    if (software) env.VK_ICD_FILENAMES = softwareVulkan;
    try {
      const args = ['--import', 'tsx', import.meta.filename, '--only', String(i)];
      const { stdout } = await promisify(execFile)(process.execPath, args, { env });
      const last = stdout.trim().split('\n').at(-1) ?? '[]';
      for (const figures of JSON.parse(last) as EngineFigures[])
        out.push(software ? { ...figures, device: `${label} (software Vulkan)` } : figures);
    } catch (error) {
      const lines = String((error as { stderr?: string }).stderr ?? error).split('\n');
      const reason = lines.find((line) => line.startsWith('EegError:')) ?? lines[0];
      process.stderr.write(`${kind}, ${label}: not measured: ${reason?.trim()}\n`);
    }
  }
  return [...out, ...(await torchFigures())];
}

function table(all: readonly EngineFigures[]): string {
  const head = '| engine | device | rows | p50, ms | p99, ms | rows/s | error | memory, MB |';
  const lines = all.map(
    (f) =>
      `| ${f.engine} | ${f.device} | ${f.rows} | ${f.msP50} | ${f.msP99} | ${f.rowsPerS} | ` +
      `${f.maxError} | ${f.memoryMb} |`,
  );
  return [head, '| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |', ...lines].join('\n');
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const only = process.argv.indexOf('--only');
  if (only > 0) {
    const candidate = candidates[Number(process.argv[only + 1])] as Candidate;
    process.stdout.write(`${JSON.stringify(await measure(candidate))}\n`);
    // Dawn's threads keep a process alive.
    process.exit(0);
  }
  const all = await benchEngines();
  const json = process.argv.includes('--json');
  process.stdout.write(`${json ? JSON.stringify(all) : table(all)}\n`);
}
