/**
 * `npm run bench:cluster`: what a cluster costs over one process, and what a second worker brings.
 * The shipped checkpoint, 8-channel streams, nats-server and all roles on this machine.
 * Prints figures; with --json one line {overheadMsP99, twoOverOne, lost, answeredTwice}.
 */
import { fork } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { partitionOf, subjects } from '../../src/cluster/names.js';
import { followResults } from '../../src/cluster/result-feed.js';
import { decodeResult, messageId } from '../../src/cluster/result-message.js';
import { openOperator } from '../../src/cluster/roles.js';
import { encodeStep, type Step } from '../../src/cluster/step-message.js';
import { wallNowS } from '../../src/cluster/wall-time.js';
import { silentLogger } from '../../src/core/log.js';
import { Rng } from '../../src/core/rng.js';
import { quantile } from '../../src/daemon/running-figures.js';
import { startDaemon } from '../../src/daemon/start.js';
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
const shipped: Partial<LabSettings> = { models: undefined, active: 'base@1' };
const partitions = 4;

if (!hasNats) throw new Error('this benchmark needs nats-server');

async function withWorkers<T>(workers: number, run: (lab: Lab) => Promise<T>): Promise<T> {
  const nats = await NatsCluster.start(1);
  const kills: (() => void)[] = [];
  const lab = new Lab({ nats, models: '', staleS: 20 });
  try {
    await nats.ready();
    for (let i = 0; i < workers; i++) kills.push(await forkWorker(lab, `w${i + 1}`));
    return await run(lab);
  } finally {
    await lab.stop();
    for (const kill of kills) kill();
    await nats.stop();
  }
}

function forkWorker(lab: Lab, name: string): Promise<() => void> {
  const file = join(mkdtempSync(join(tmpdir(), 'eegd-worker-')), 'worker.json');
  writeFileSync(file, JSON.stringify(lab.config(name, { ...shipped, cluster: { partitions } })));
  const path = new URL('../cluster/worker-process.ts', import.meta.url).pathname;
  const child = fork(path, [file], { execArgv: ['--import', 'tsx'] });
  return new Promise((resolve) =>
    child.once('message', () => resolve(() => void child.kill('SIGKILL'))),
  );
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
  return withWorkers(1, async (lab) => {
    const single = await singleProcess(lab);
    const more = { ...shipped, cluster: { partitions } };
    const { gateway } = await lab.gateway(more);
    const answers = new Answers(gateway.events$);
    const local = { ...more.cluster, predictLocally: false, spool: false };
    const { edge } = await lab.edge('edge', { streams: liveStreams, cluster: local });
    const clustered = await latencies(answers);
    const { step_bytes = 0, steps = 1, event_bytes = 0 } = edge.counters.all();
    const faults = answers.faults();
    return { single, clustered, faults, stepBytes: step_bytes / steps, event_bytes };
  });
}

/** Streams that send the next step when the one before is answered; windows a second. */
async function throughput(workers: number) {
  return withWorkers(workers, async (lab) => {
    const config = lab.config('load', { ...shipped, cluster: { partitions } });
    const operator = await openOperator(config, silentLogger);
    const load = new Load(operator.link.js, 24);
    const stop = followResults(operator.link, 'lab', silentLogger, (_subject, data) =>
      load.answered(decodeResult(data)),
    );
    await pause(1000);
    await load.start();
    await pause(4000);
    const before = load.windows;
    const startS = wallNowS();
    await pause(fullS * 1000);
    const rate = (load.windows - before) / (wallNowS() - startS);
    load.stop();
    await until(() => load.open.size === 0, 'the last answers', 15_000).catch(() => undefined);
    stop();
    await operator.close();
    return { rate, lost: load.open.size, twice: load.twice };
  });
}

type JetStream = Awaited<ReturnType<typeof openOperator>>['link']['js'];

class Load {
  windows = 0;
  twice = 0;
  readonly open = new Map<string, Step>();
  readonly #done = new Set<string>();
  readonly #js: JetStream;
  readonly #steps: Step[];
  #stopped = false;

  constructor(js: JetStream, streams: number) {
    this.#js = js;
    const rng = new Rng(1);
    this.#steps = Array.from({ length: streams }, (_, i) =>
      madeStep(rng, { stream: `s${i}`, channels: 8, ticks: 1, startSample: 0, epoch: Date.now() }),
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

const { single, clustered, faults, stepBytes } = await overhead();
const text = ({ p50, p99 }: Spread) => `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`;
say(`one process: ${text(single)}`);
say(`cluster: ${text(clustered)}; a step is ${stepBytes.toFixed(0)} bytes`);
const one = await throughput(1);
say(`1 worker: ${one.rate.toFixed(0)} windows/s`);
const two = await throughput(2);
say(`2 workers: ${two.rate.toFixed(0)} windows/s`);
const figures = {
  overheadMsP50: clustered.p50 - single.p50,
  overheadMsP99: clustered.p99 - single.p99,
  twoOverOne: two.rate / one.rate,
  lost: faults.missing + one.lost + two.lost,
  answeredTwice: faults.twice + one.twice + two.twice,
};
console.log(JSON.stringify({ ...figures, windowsPerS: [one.rate, two.rate], stepBytes }));
process.exit(0);
