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
/** Sleep windows, which take longest, come every 30 s: both sides are to hold as many of them. */
const cycleS = 30;
/** Measured with learners; as long without, half before and half after. */
const learningS = 2 * cycleS;

/** What the learner and the daemon do for one expert, one after the other. */
const phaseNames = ['start', 'trials', 'learning', 'swap', 'swap back'] as const;

export interface Phase {
  readonly name: (typeof phaseNames)[number];
  readonly fromS: number;
  readonly toS: number;
}

export interface PhaseFigures {
  readonly name: string;
  readonly seconds: number;
  readonly predictions: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

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
  readonly phases: readonly PhaseFigures[];
}

const nowS = () => performance.now() / 1000;
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
  { windows, round }: { readonly windows: number; readonly round: number },
): Promise<{ timed: Timed; phases: Phase[] }> {
  const { id, folder } = await host.base();
  if (id === '') throw new Error('expected a base');
  const trials = session.trials.slice(0, Math.ceil(windows / windowsPerTrial));
  const messages = trials.map(({ label, signal }, number) => {
    return { kind: 'trial' as const, id: number, label, signal };
  });
  const name = `taught${windows}-${round}`;
  const task = { ...session.task, name };
  let tell: (learned: Learned) => void = () => undefined;
  let ready: () => void = () => undefined;
  const learner = new LearnerHost({
    start: {
      ...{ checkpoint: folder, task, pack: name, experts: 1, seed: 1, threads: 1 },
      ...{ positions: session.positions, channels: session.channels },
    },
    async *known() {
      yield* messages.slice(0, -1);
    },
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
  const marks = [nowS()];
  learner.start();
  await isReady;
  marks.push(nowS());
  // All but the last label came while the session ran.
  await wait(4);
  const beganS = nowS();
  marks.push(beganS);
  learner.send(messages.at(-1) as (typeof messages)[0]);
  learner.send({ kind: 'learn' });
  const learned = await result;
  const learnS = nowS() - beganS;
  marks.push(nowS());
  await host.activate(learned.pack, {});
  const activatedS = nowS() - beganS;
  marks.push(nowS());
  await learner.close();
  await daemon.rollback();
  marks.push(nowS());
  console.log(`${windows} windows: learned in ${learnS.toFixed(1)} s`);
  const phases = phaseNames.map((name, i): Phase => {
    return { name, fromS: marks[i] as number, toS: marks[i + 1] as number };
  });
  const taught = Math.min(windows, windowsPerTrial * trials.length);
  return { timed: { windows: taught, learnS, activatedS }, phases };
}

interface Latency {
  readonly atS: number;
  readonly ms: number;
}

function phaseFigures(phases: readonly Phase[], latencies: readonly Latency[]): PhaseFigures[] {
  return phaseNames.map((name) => {
    const own = phases.filter((phase) => phase.name === name);
    const ms = own.flatMap(({ fromS, toS }) =>
      latencies.filter(({ atS }) => atS >= fromS && atS < toS).map((latency) => latency.ms),
    );
    return {
      ...{ name, seconds: own.reduce((sum, { fromS, toS }) => sum + toS - fromS, 0) },
      ...{ predictions: ms.length, p50Ms: quantile(ms, 0.5), p99Ms: quantile(ms, 0.99) },
    };
  });
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
  const latencies: Latency[] = [];
  daemon.events$.subscribe((event) => {
    if (event.kind === 'prediction') latencies.push({ atS: nowS(), ms: event.latency.totalMs });
  });
  try {
    for (let i = 0; i < streams; i++)
      await daemon.connect(`synthetic:s${i}?channels=8&rateHz=250&seed=${i + 1}`);
    await wait(warmUpS);
    const beganS = nowS();
    await wait(cycleS);
    const learnS = nowS();
    const host = adaptationHost(daemon, storeOf(own));
    const timed: Timed[] = [];
    const phases: Phase[] = [];
    for (let round = 0; nowS() < learnS + learningS; round++)
      for (const [windows, session] of sessions) {
        const one = await learnOnce(daemon, host, session, { windows, round });
        timed.push(one.timed);
        phases.push(...one.phases);
      }
    const endedS = nowS();
    await wait(cycleS);
    const within = (from: number, to: number) =>
      latencies.filter(({ atS }) => atS >= from && atS < to).map(({ ms }) => ms);
    const before = [...within(beganS, beganS + cycleS), ...within(endedS, endedS + cycleS)];
    const during = within(learnS, learnS + learningS);
    return {
      ...{ timed, p99MsBefore: quantile(before, 0.99), p99MsWhile: quantile(during, 0.99) },
      ...{ p50MsBefore: quantile(before, 0.5), p50MsWhile: quantile(during, 0.5) },
      predictions: [before.length, during.length],
      phases: phaseFigures(phases, latencies),
    };
  } finally {
    await daemon.close();
    rmSync(state, { recursive: true, force: true });
  }
}
