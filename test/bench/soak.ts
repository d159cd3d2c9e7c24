/**
 * `npm run soak -- --minutes 20`: two streams, two clients and a swap every 15 s, for as long as is
 * asked, with the allocator's arenas bounded as systemd/eegd.service has it. Prints memory, handles and threads, and fails where they grow or a window is lost. Last
 * line with `--json`: {minutes, swaps, rssMb, rssMbPerHour, handles, threads, lost, answeredTwice}.
 */
import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { quantile } from '../../src/daemon/running-figures.js';
import { LiveLoad } from './live-load.js';
import { judgeWindows, twoCheckpoints } from './two-checkpoints.js';

interface Sample {
  readonly atS: number;
  readonly rssMb: number;
  /** JavaScript's heap and its buffers, of the main thread. */
  readonly heapMb: number;
  readonly handles: number;
  readonly threads: number;
}

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '20' }, json: { type: 'boolean' } },
});
const minutes = Number(values.minutes);
const everyS = 15;
/** What the process may grow by after its warm-up, MB: pages come and go by as much. */
const growthMbMax = 25;

const { store, tasks } = await twoCheckpoints();
const load = await LiveLoad.open({ streams: 2, clients: 2, store });
const samples: Sample[] = [];
const totals = { swaps: 0, refused: 0, windows: 0, lost: 0, answeredTwice: 0, dropped: 0 };
const startedMs = performance.now();
const elapsedS = () => (performance.now() - startedMs) / 1000;

function sample(): Sample {
  // With --expose-gc what could be collected is not counted.
  global.gc?.();
  const { rss, heapUsed, external } = process.memoryUsage();
  return {
    atS: elapsedS(),
    rssMb: rss / 2 ** 20,
    heapMb: (heapUsed + external) / 2 ** 20,
    handles: readdirSync('/proc/self/fd').length,
    threads: readdirSync('/proc/self/task').length,
  };
}

/** Answers are judged round by round, so that what is kept for it does not look like a leak. */
async function judge(): Promise<void> {
  const real = load.windows.filter(
    ({ answer }) => answer.kind === 'prediction' || answer.reason !== 'warming_up',
  );
  const { lost, answeredTwice, dropped } = judgeWindows(real, tasks);
  totals.windows += load.windows.length;
  totals.lost += lost;
  totals.answeredTwice += answeredTwice;
  totals.dropped += dropped;
  await load.reset();
}

while (elapsedS() < minutes * 60) {
  await sleep(everyS * 1000);
  await load.daemon.activate(`swap@${1 + (totals.swaps % 2)}`).then(
    () => totals.swaps++,
    // A starved machine may not load in time; the old one serves on, which is what counts here.
    () => totals.refused++,
  );
  // The worker that was replaced ends a moment later.
  await sleep(2000);
  await judge();
  const now = sample();
  samples.push(now);
  console.log(
    `${(now.atS / 60).toFixed(1).padStart(5)} min  ${totals.swaps} swaps  ` +
      `${now.rssMb.toFixed(1)} MB (heap ${now.heapMb.toFixed(1)})  ${now.handles} handles  ${now.threads} threads`,
  );
}

const of = (part: readonly Sample[], key: keyof Sample) => part.map((one) => one[key]);
const quarter = Math.max(1, Math.floor(samples.length / 4));
const warm = samples.slice(quarter, 2 * quarter + 1);
const last = samples.slice(-quarter);
const median = (part: readonly Sample[], key: keyof Sample) => quantile(of(part, key), 0.5);
const growthMb = median(last, 'rssMb') - median(warm, 'rssMb');
const result = {
  minutes,
  ...totals,
  rssMb: median(last, 'rssMb'),
  heapMb: [median(warm, 'heapMb'), median(last, 'heapMb')],
  rssMbPerHour: slope(samples.slice(quarter)) * 3600,
  handles: [median(warm, 'handles'), median(last, 'handles')],
  threads: [median(warm, 'threads'), median(last, 'threads')],
};
console.log(
  `${totals.swaps} swaps in ${minutes} min, ${totals.windows} windows: ${totals.lost} lost, ` +
    `${totals.answeredTwice} answered twice, ${totals.dropped} too late; ` +
    `${result.rssMb.toFixed(0)} MB, ${growthMb.toFixed(1)} MB more than after the warm-up ` +
    `(${result.rssMbPerHour.toFixed(1)} MB an hour), handles ${result.handles.join(' to ')}, ` +
    `threads ${result.threads.join(' to ')}`,
);
if (values.json) console.log(JSON.stringify(result));
const faults = [
  ...(growthMb > growthMbMax ? [`memory grew by ${growthMb.toFixed(1)} MB`] : []),
  ...(median(last, 'handles') > median(warm, 'handles') ? ['handles grew'] : []),
  ...(median(last, 'threads') > median(warm, 'threads') ? ['threads grew'] : []),
  ...(totals.lost > 0 ? [`${totals.lost} windows lost`] : []),
  ...(totals.answeredTwice > 0 ? [`${totals.answeredTwice} windows answered twice`] : []),
];
for (const fault of faults) console.error(`FAILED: ${fault}`);
await load.close();
process.exit(faults.length > 0 ? 1 : 0);

/** Of memory over time by least squares, MB/s. */
function slope(points: readonly Sample[]): number {
  const mean = (key: 'atS' | 'rssMb') =>
    points.reduce((sum, point) => sum + point[key], 0) / points.length;
  const [atS, rssMb] = [mean('atS'), mean('rssMb')];
  let above = 0;
  let below = 0;
  for (const point of points) {
    above += (point.atS - atS) * (point.rssMb - rssMb);
    below += (point.atS - atS) ** 2;
  }
  return below === 0 ? 0 : above / below;
}
