/**
 * The running part of `bench:adapt`: a daemon serves synthetic streams while the learner process
 * learns; how long until what it learned serves, and what it costs the others meanwhile.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LearnerHost } from '../../src/adaptation/learner-host.js';
import type { Learned } from '../../src/adaptation/learner-protocol.js';
import { parseConfig } from '../../src/config/load.js';
import { silentLogger } from '../../src/core/log.js';
import { systemClock } from '../../src/core/time.js';
import { adaptationHost } from '../../src/daemon/adaptation-parts.js';
import type { Daemon } from '../../src/daemon/daemon.js';
import { openDaemon, storeOf } from '../../src/daemon/start.js';
import type { RecordedSession } from './adapt-sessions.js';

const streams = 4;
const windowsPerTrial = 3;
/** Predictions before this are of sessions that warm up. */
const warmUpS = 8;

export interface Timed {
  readonly windows: number;
  readonly learnS: number;
  /** From the last label to an activated expert: learning, packing, the hot swap. */
  readonly activatedS: number;
}

export interface LiveResult {
  readonly timed: readonly Timed[];
  readonly p99MsBefore: number;
  readonly p99MsWhile: number;
  readonly p50MsBefore: number;
  readonly p50MsWhile: number;
  readonly predictions: readonly [number, number];
}

const wait = (seconds: number) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
}

/** One learner, told so many windows' trials, and what it learned made to serve. */
async function learnOnce(
  daemon: Daemon,
  host: ReturnType<typeof adaptationHost>,
  session: RecordedSession,
  windows: number,
): Promise<Timed> {
  const { id, folder } = await host.base();
  if (id === '') throw new Error('expected a base');
  const trials = session.trials.slice(0, Math.ceil(windows / windowsPerTrial));
  const messages = trials.map(({ label, signal }, number) => {
    return { kind: 'trial' as const, id: number, label, signal };
  });
  const name = `taught${windows}`;
  const task = { ...session.task, name };
  let tell: (learned: Learned) => void = () => undefined;
  let ready: () => void = () => undefined;
  const learner = new LearnerHost({
    start: {
      ...{ checkpoint: folder, task, pack: name, experts: 1, seed: 1, threads: 1 },
      ...{ positions: session.positions, channels: session.channels },
    },
    known: async () => [],
    onMessage(message) {
      if (message.kind === 'ready') ready();
      else if (message.kind === 'learned') tell(message);
      else if (message.kind === 'refused') throw new Error(message.why);
    },
    onExit: (why) => {
      throw new Error(why);
    },
    clock: systemClock,
  });
  const isReady = new Promise<void>((resolve) => {
    ready = resolve;
  });
  const result = new Promise<Learned>((resolve) => {
    tell = resolve;
  });
  learner.start();
  await isReady;
  for (const message of messages.slice(0, -1)) learner.send(message);
  // All but the last label came while the session ran.
  await wait(4);
  const began = performance.now();
  learner.send(messages.at(-1) as (typeof messages)[0]);
  learner.send({ kind: 'learn' });
  const learned = await result;
  const learnS = (performance.now() - began) / 1000;
  const { weights, ...shape } = learned.pack;
  await host.activate({ ...shape, weights: new Map(weights) }, {});
  const activatedS = (performance.now() - began) / 1000;
  await learner.close();
  await daemon.rollback();
  console.log(`${windows} windows: learned in ${learnS.toFixed(1)} s`);
  return { windows: Math.min(windows, windowsPerTrial * trials.length), learnS, activatedS };
}

export async function live(
  checkpoint: string | undefined,
  sessions: ReadonlyMap<number, RecordedSession>,
): Promise<LiveResult> {
  const state = mkdtempSync(join(tmpdir(), 'eegd-bench-adapt-'));
  const config = parseConfig(`state: {folder: ${JSON.stringify(state)}}`, 'bench');
  const active = checkpoint === undefined ? {} : { active: checkpoint };
  const own = { ...config, models: { ...config.models, ...active } };
  const daemon = await openDaemon(own, silentLogger);
  const latencies: { atS: number; ms: number }[] = [];
  daemon.events$.subscribe((event) => {
    if (event.kind === 'prediction')
      latencies.push({ atS: performance.now() / 1000, ms: event.latency.totalMs });
  });
  try {
    for (let i = 0; i < streams; i++)
      await daemon.connect(`synthetic:s${i}?channels=8&rateHz=250&seed=${i + 1}`);
    await wait(warmUpS);
    const beganS = performance.now() / 1000;
    await wait(20);
    const learnS = performance.now() / 1000;
    const host = adaptationHost(daemon, storeOf(own));
    const timed: Timed[] = [];
    for (const [windows, session] of sessions)
      timed.push(await learnOnce(daemon, host, session, windows));
    const within = (from: number, to: number) =>
      latencies.filter(({ atS }) => atS >= from && atS < to).map(({ ms }) => ms);
    const before = within(beganS, learnS);
    const during = within(learnS, performance.now() / 1000);
    return {
      ...{ timed, p99MsBefore: quantile(before, 0.99), p99MsWhile: quantile(during, 0.99) },
      ...{ p50MsBefore: quantile(before, 0.5), p50MsWhile: quantile(during, 0.5) },
      predictions: [before.length, during.length],
    };
  } finally {
    await daemon.close();
    rmSync(state, { recursive: true, force: true });
  }
}
