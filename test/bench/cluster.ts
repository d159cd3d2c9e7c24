/**
 * `npm run bench:cluster`: what a cluster costs over one process, what a second worker brings, and
 * what one headset costs. The shipped checkpoint, 8-channel streams, nats-server and all roles on
 * this machine. The last line is JSON; --json prints nothing else.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { partitionOf, subjects } from '../../src/cluster/names.js';
import { followResults } from '../../src/cluster/result-feed.js';
import { decodeResult, messageId } from '../../src/cluster/result-message.js';
import { openOperator } from '../../src/cluster/roles.js';
import { startEdge } from '../../src/cluster/start-edge.js';
import { encodeStep, type Step } from '../../src/cluster/step-message.js';
import { wallNowS } from '../../src/cluster/wall-time.js';
import { silentLogger } from '../../src/core/log.js';
import { Rng } from '../../src/core/rng.js';
import { quantile } from '../../src/daemon/running-figures.js';
import { foldersOf, startDaemon } from '../../src/daemon/start.js';
import { Answers, Lab, type LabSettings } from '../cluster/lab.js';
import { madeStep } from '../cluster/made-step.js';
import { hasNats, NatsCluster, pause, until } from '../cluster/nats-cluster.js';

const json = process.argv.includes('--json');
const say = (line: string) => (json ? undefined : console.log(line));
const liveS = 25;
const fullS = 10;
const liveStreams = [1, 2, 3].map(
  (seed) => `synthetic:s${seed}?channels=8&rateHz=250&seed=${seed}`,
);
const shipped: Partial<LabSettings> = { models: undefined, active: 'base@4' };
const partitions = 4;

if (!hasNats) throw new Error('this benchmark needs nats-server');

/** Processor time of the workers since they began, ms. */
type Spent = () => number;

async function withWorkers<T>(
  workers: number,
  run: (lab: Lab, spent: Spent) => Promise<T>,
): Promise<T> {
  const nats = await NatsCluster.start(1);
  const children: ChildProcess[] = [];
  const lab = new Lab({ nats, models: '', staleS: 20 });
  try {
    await nats.ready();
    for (let i = 0; i < workers; i++) children.push(await forkWorker(lab, `w${i + 1}`));
    return await run(lab, () => children.reduce((ms, child) => ms + spentMs(child), 0));
  } finally {
    await lab.stop();
    for (const child of children) child.kill('SIGKILL');
    await nats.stop();
  }
}

/** User and system time of a process, in hundredths of a second in /proc (proc(5)). */
function spentMs({ pid }: ChildProcess): number {
  const [, after = ''] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ');
  const fields = after.split(' ');
  return 10 * (Number(fields[11]) + Number(fields[12]));
}

function forkWorker(lab: Lab, name: string): Promise<ChildProcess> {
  const file = join(mkdtempSync(join(tmpdir(), 'eegd-worker-')), 'worker.json');
  writeFileSync(file, JSON.stringify(lab.config(name, { ...shipped, cluster: { partitions } })));
  const path = new URL('../cluster/worker-process.ts', import.meta.url).pathname;
  const child = fork(path, [file], { execArgv: ['--import', 'tsx'] });
  return new Promise((resolve) => child.once('message', () => resolve(child)));
}

interface Spread {
  readonly p50: number;
  readonly p99: number;
}

/** Last sample's arrival to the prediction, ms. */
async function latencies(answers: Answers): Promise<Spread> {
  await until(() => answers.predictions.length > 20, 'predictions', 60_000);
  const from = answers.predictions.length;
  await pause(liveS * 1000);
  const all = answers.predictions.slice(from).map(({ latency }) => latency.totalMs);
  return { p50: quantile(all, 0.5), p99: quantile(all, 0.99) };
}

async function singleProcess(lab: Lab): Promise<Spread> {
  const config = lab.config('single', { ...shipped, streams: liveStreams });
  const running = await startDaemon(config, silentLogger);
  try {
    return await latencies(new Answers(running.daemon.events$));
  } finally {
    await running.close();
  }
}

async function overhead() {
  return withWorkers(1, async (lab, spent) => {
    const single = await singleProcess(lab);
    const more = { ...shipped, cluster: { partitions } };
    const { gateway } = await lab.gateway(more);
    const answers = new Answers(gateway.events$);
    const local = { ...more.cluster, predictLocally: false, spool: false };
    const config = lab.config('edge', { ...shipped, streams: liveStreams, cluster: local });
    const { edge, ...running } = await startEdge(config, silentLogger);
    await until(() => answers.predictions.length > 20, 'predictions', 60_000);
    const { recorder } = edge;
    if (recorder === undefined) throw new Error('this benchmark needs recordings');
    const { id } = await recorder.start('s1', 'xdf');
    const [before, startMs, spentBefore] = [edge.counters.all(), Date.now(), spent()];
    const clustered = await latencies(answers);
    const [after, seconds] = [edge.counters.all(), (Date.now() - startMs) / 1000];
    const workerMs = spent() - spentBefore;
    await recorder.stop(id);
    const recorded = statSync(join(foldersOf(config).recordings, id)).size;
    await running.close();
    const grew = (name: string) => (after[name] ?? 0) - (before[name] ?? 0);
    return {
      ...{ single, clustered, faults: answers.faults() },
      stepBytes: grew('step_bytes') / grew('steps'),
      eventBytesPerS: grew('event_bytes') / seconds / liveStreams.length,
      recordedBytesPerS: recorded / seconds,
      aloneMs: workerMs / grew('steps'),
    };
  });
}

/** Streams that send the next step when the one before is answered; windows a second. */
async function throughput(workers: number) {
  return withWorkers(workers, async (lab, spent) => {
    const config = lab.config('load', { ...shipped, cluster: { partitions } });
    const operator = await openOperator(config, silentLogger);
    const load = new Load(operator.link.js, 24);
    const stop = followResults(operator.link, 'lab', silentLogger, (_subject, data) =>
      load.answered(decodeResult(data)),
    );
    await pause(1000);
    await load.start();
    await pause(4000);
    const { windows, results } = load;
    const [startS, spentBefore] = [wallNowS(), spent()];
    await pause(fullS * 1000);
    const rate = (load.windows - windows) / (wallNowS() - startS);
    const stepMs = (spent() - spentBefore) / (load.results - results);
    load.stop();
    await until(() => load.open.size === 0, 'the last answers', 15_000).catch(() => undefined);
    stop();
    await operator.close();
    return { rate, stepMs, lost: load.open.size, twice: load.twice, refused: load.refused };
  });
}

type JetStream = Awaited<ReturnType<typeof openOperator>>['link']['js'];

class Load {
  windows = 0;
  results = 0;
  /** Windows without a prediction: they cost nothing, so there must be none. */
  refused = 0;
  twice = 0;
  readonly open = new Map<string, Step>();
  readonly #done = new Set<string>();
  readonly #js: JetStream;
  readonly #steps: Step[];
  #stopped = false;

  constructor(js: JetStream, streams: number) {
    this.#js = js;
    const rng = new Rng(1);
    const valid = new Uint8Array(400).fill(1);
    const scales = new Float32Array(8).fill(10);
    const whole = { channels: 8, ticks: 1, startSample: 0, epoch: Date.now(), valid, scales };
    const noise = (from: Rng) => Float32Array.from(valid, () => 10 * from.normal());
    this.#steps = Array.from({ length: streams }, (_, i) =>
      madeStep(rng, { ...whole, stream: `s${i}`, data: noise(rng) }),
    );
  }

  async start(): Promise<void> {
    await Promise.all(this.#steps.map((step) => this.#send({ ...step, startSample: -50 })));
  }

  stop(): void {
    this.#stopped = true;
  }

  answered(result: ReturnType<typeof decodeResult>): void {
    const id = messageId(result);
    const step = this.open.get(id);
    if (this.#done.has(id)) this.twice++;
    this.#done.add(id);
    this.open.delete(id);
    this.windows += result.windows.length;
    this.results++;
    this.refused += result.windows.filter(({ reason }) => reason !== undefined).length;
    if (step !== undefined && !this.#stopped) void this.#send(step);
  }

  /** The step after this one; until the first window is full, several. */
  async #send(before: Step): Promise<void> {
    let step = before;
    do {
      const startSample = step.startSample + 50;
      const wallS = wallNowS();
      const end = startSample + 50;
      const k = end / 50;
      const window = (task: string, first: number, hop: number) =>
        end >= first && k % hop === 0 ? [{ task, seq: k, endSample: end }] : [];
      step = {
        ...step,
        ...{ startSample, previousEnd: startSample, stampWallS: wallS, arrivalWallS: wallS },
        windows: [
          ...window('motor_imagery', 800, 1),
          ...window('seizure', 2000, 4),
          ...window('workload', 2000, 4),
        ],
      };
      const msgID = messageId({ ...step, endSample: end });
      if (step.windows.length > 0) this.open.set(msgID, step);
      await this.#js.publish(
        subjects.steps(step, partitionOf(step, partitions)),
        encodeStep(step),
        {
          msgID,
        },
      );
    } while (step.windows.length === 0);
  }
}

const live = await overhead();
const { single, clustered, faults } = live;
const text = ({ p50, p99 }: Spread) => `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`;
say(`one process: ${text(single)}`);
say(`cluster: ${text(clustered)}`);
const one = await throughput(1);
say(`1 worker: ${one.rate.toFixed(0)} windows/s, ${one.stepMs.toFixed(2)} ms of processor a step`);
const two = await throughput(2);
say(`2 workers: ${two.rate.toFixed(0)} windows/s`);
const figures = {
  overheadMsP50: clustered.p50 - single.p50,
  overheadMsP99: clustered.p99 - single.p99,
  twoOverOne: two.rate / one.rate,
  lost: faults.missing + one.lost + two.lost,
  answeredTwice: faults.twice + one.twice + two.twice,
};
const headset = {
  stepBytes: live.stepBytes,
  eventBytesPerS: live.eventBytesPerS,
  recordedBytesPerS: live.recordedBytesPerS,
  // In full batches; what a step alone in its batch costs more is the batch's.
  stepMs: one.stepMs,
  batchMs: live.aloneMs - one.stepMs,
};
const refused = one.refused + two.refused;
console.log(JSON.stringify({ ...figures, windowsPerS: [one.rate, two.rate], refused, headset }));
process.exit(0);
