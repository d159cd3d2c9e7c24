/**
 * `npm run bench:swap`: checkpoints of the shipped size exchanged under 8 live streams, one swap
 * after the other. Last line with `--json`: {swaps, lost, answeredTwice, p99Ratio}.
 */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Rng } from '../../src/core/rng.js';
import { modelRateHz } from '../../src/core/tasks.js';
import { CheckpointStore } from '../../src/daemon/checkpoint-store.js';
import { quantile } from '../../src/daemon/running-figures.js';
import { loadCheckpoint, saveCheckpoint } from '../../src/model/checkpoint.js';
import { initialWeights } from '../../src/model/serving.js';
import { baseFolder, LiveLoad, overheadsMs, type WindowRecord } from './live-load.js';

const swaps = Number(process.env.BENCH_SWAPS ?? 200);
const streams = 8;
const root = mkdtempSync(join(tmpdir(), 'eegd-swap-'));
const folder = join(root, 'models');
const { arch } = await loadCheckpoint(baseFolder);
// Other weights each: nothing that was computed by one may serve the other.
for (const release of ['1', '2'])
  await saveCheckpoint(join(folder, `swap@${release}`), {
    name: 'swap',
    release,
    trained: false,
    arch,
    weights: initialWeights(arch, new Rng(Number(release))),
  });
const store = new CheckpointStore({ folder, shipped: [], stateFolder: root });

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

await sleep(20_000);
const before = await p99();
for (let swap = 1; swap <= swaps; swap++) await load.daemon.activate(`swap@${1 + (swap % 2)}`);
const during = await p99();
await sleep(1000);
await p99();
const { lost, answeredTwice, dropped } = judge(all);
console.log(
  `${swaps} swaps under ${streams} streams, ${all.length} windows: ${lost} lost, ` +
    `${answeredTwice} answered twice, ${dropped} too late for this machine's load; p99 ${before.toFixed(1)} ms without, ${during.toFixed(1)} with`,
);
if (process.argv.includes('--json'))
  console.log(JSON.stringify({ swaps, lost, answeredTwice, p99Ratio: during / before, dropped }));
await load.close();
process.exit(0);

/**
 * Each stream and task must have every end sample of its grid once, and a prediction there. What
 * waited too long because the machine is too slow is counted for itself.
 */
function judge(windows: readonly WindowRecord[]) {
  const lanes = new Map<string, { ends: number[]; hopSamples: number }>();
  let lost = 0;
  let dropped = 0;
  for (const { answer } of windows) {
    if (answer.kind === 'no_prediction') {
      if (answer.reason === 'stale' || answer.reason === 'overload') dropped++;
      else lost++;
    }
    const task = arch.tasks.find(({ name }) => name === answer.task);
    const hopSamples = Math.round((task?.hopS ?? 1) * modelRateHz);
    const key = `${answer.stream} ${answer.task}`;
    const lane = lanes.get(key) ?? { ends: [], hopSamples };
    lane.ends.push(answer.endSample);
    lanes.set(key, lane);
  }
  let answeredTwice = 0;
  for (const { ends, hopSamples } of lanes.values()) {
    const unique = new Set(ends);
    answeredTwice += ends.length - unique.size;
    const first = Math.min(...ends);
    const expected = (Math.max(...ends) - first) / hopSamples + 1;
    lost += expected - unique.size;
  }
  return { lost, answeredTwice, dropped };
}
