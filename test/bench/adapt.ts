/**
 * `npm run bench:adapt`: how well and how fast a person's task is learned while the daemon streams.
 * The trials of real sessions go through the live signal path in their recorded order; the first N
 * labelled windows teach, the trials after them judge. Last line with `--json`:
 * {secondsToExpert100, servingP99Ratio, accuracy100, chance, eegnet100, csp100,
 * oldTasksBitIdentical, ...}. BENCH_CHECKPOINT names another checkpoint folder,
 * BENCH_PARTS=accuracy or live does half of it.
 */
import { join } from 'node:path';
import { ExpertTrainer } from '../../src/adaptation/expert-trainer.js';
import { changedTasks } from '../../src/adaptation/old-tasks.js';
import { wilson } from '../../src/adaptation/prequential.js';
import { TrialLatents } from '../../src/adaptation/trial-latents.js';
import type { TrainerTrial } from '../../src/adaptation/trial-votes.js';
import { packageRoot } from '../../src/core/paths.js';
import { loadCheckpoint } from '../../src/model/checkpoint.js';
import { attachPack, type Model } from '../../src/model/growing.js';
import {
  cspCorrect,
  eegNetCorrect,
  fineTunedCorrect,
  type Split,
  unadaptedCorrect,
} from './adapt-baselines.js';
import { live } from './adapt-live.js';
import {
  dataFolder,
  eegmmidbSession,
  openBciSessions,
  type RecordedSession,
  sessionsOfS001,
} from './adapt-sessions.js';

const checkpoint = process.env.BENCH_CHECKPOINT ?? join(packageRoot(), 'models', 'base');
const parts = (process.env.BENCH_PARTS ?? 'accuracy,live').split(',');
const windowsPerTrial = 3;
const sizes = [40, 100, 400];
/** Judged on fewer trials an accuracy says nothing. */
const testMin = 4;

const recorded = await Promise.all(sessionsOfS001.map(eegmmidbSession));
const s001 = recorded.filter((one) => one !== undefined);
const people = await openBciSessions();
if (s001.length === 0 && people.length === 0) {
  console.error(`SKIPPED: no recordings in ${dataFolder} (set EEGD_DATA)`);
  process.exit(0);
}
const base = await loadCheckpoint(checkpoint);
const model: Model = { arch: base.arch, weights: base.weights };

interface Row {
  readonly name: string;
  readonly person: string;
  readonly windows: number;
  readonly judged: number;
  /** Trials right. */
  readonly right: Readonly<Record<string, number>>;
  readonly chance: number;
  readonly seconds: number;
  readonly expertShare: number;
  readonly alignment: string;
  readonly identical: boolean;
  readonly flips?: number;
}

async function trainerTrials(session: RecordedSession): Promise<TrainerTrial[]> {
  const latents = await TrialLatents.open(model, session.task, session.positions, { threads: 1 });
  const out: TrainerTrial[] = [];
  for (const [id, { label, signal }] of session.trials.entries())
    out.push({ id, label, windows: await latents.windows(signal) });
  await latents.close();
  return out;
}

async function judgeSession(
  session: RecordedSession,
  trainCounts: readonly number[],
  tune: boolean,
): Promise<Row[]> {
  const trials = await trainerTrials(session);
  const trainer = await ExpertTrainer.open(model, {
    pack: { name: 'taught', task: session.task, experts: 1 },
    ...{ seed: 1, threads: 1, channels: session.channels },
  });
  const rows: Row[] = [];
  for (const count of trainCounts) {
    const split: Split = {
      ...{ session, train: session.trials.slice(0, count), test: session.trials.slice(count) },
    };
    if (split.test.length < testMin) continue;
    const test = trials.slice(count);
    const began = performance.now();
    const fitted = await trainer.fit(trials.slice(0, count)).catch((error: unknown) => {
      console.log(`${session.name} ${session.person}, ${count} trials: ${String(error)}`);
      return undefined;
    });
    if (fitted === undefined) continue;
    const seconds = (performance.now() - began) / 1000;
    const predicted = await trainer.predict(fitted.pack, test);
    const tuned = tune ? await fineTunedCorrect(model, split, 1) : undefined;
    const counts = session.task.classes.map(
      (_, k) => split.test.filter(({ label }) => label === k).length,
    );
    const row: Row = {
      ...{ name: session.name, person: session.person, windows: windowsPerTrial * count },
      ...{ judged: test.length, chance: Math.max(...counts) / test.length, seconds },
      right: {
        expert: test.filter(({ label }, i) => predicted[i] === label).length,
        csp: cspCorrect(split),
        eegnet: await eegNetCorrect(split, 1),
        unadapted: await unadaptedCorrect(model, split),
        ...(tuned === undefined ? {} : { tuned: tuned.correct }),
      },
      expertShare: fitted.expertShare,
      alignment: fitted.pack.readout?.alignment ?? '-',
      identical: (await changedTasks(model, attachPack(model, fitted.pack))).length === 0,
      ...(tuned === undefined ? {} : { flips: tuned.flips }),
    };
    rows.push(row);
    say(row);
  }
  await trainer.close();
  return rows;
}

function say(row: Row): void {
  const share = (name: string) => {
    const right = row.right[name];
    return right === undefined ? '' : `, ${name} ${(right / row.judged).toFixed(2)}`;
  };
  const own = wilson(row.right.expert ?? 0, row.judged);
  console.log(
    `${row.name} (${row.person}), ${row.windows} windows: expert ${own.value.toFixed(2)} ` +
      `(95 %: ${own.low.toFixed(2)} to ${own.high.toFixed(2)}), commonest ${row.chance.toFixed(2)}` +
      `${share('csp')}${share('eegnet')}${share('unadapted')}${share('tuned')}` +
      `${row.flips === undefined ? '' : ` (old answers changed ${(100 * row.flips).toFixed(0)} %)`}; ` +
      `judged on ${row.judged} trials; ${row.alignment}, expert's share ${row.expertShare}, ` +
      `fitted in ${row.seconds.toFixed(1)} s`,
  );
}

const rows: Row[] = [];
for (const session of parts.includes('accuracy') ? s001 : []) {
  // In the order of their recording, the first hundred windows of the last hold two classes only.
  const all = sizes.map((windows) => Math.floor(windows / windowsPerTrial));
  const counts = session.task.classes.length > 2 ? all.slice(-1) : all;
  rows.push(...(await judgeSession(session, counts, true)));
}
const tenRows: Row[] = [];
for (const session of parts.includes('accuracy') ? people : [])
  tenRows.push(...(await judgeSession(session, [session.trials.length - 10], false)));

interface Spread {
  readonly mean: number;
  readonly sd: number;
  readonly sessions: number;
}

function spreadOf(own: readonly Row[], value: (row: Row) => number | undefined): Spread {
  const values = own.flatMap((row) => value(row) ?? []);
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const variance =
    values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / Math.max(1, values.length - 1);
  return { mean, sd: Math.sqrt(variance), sessions: values.length };
}

function summary(own: readonly Row[]): Record<string, Spread> {
  const methods = ['expert', 'csp', 'eegnet', 'unadapted', 'tuned'];
  const of = (name: string) => (row: Row) => {
    const right = row.right[name];
    return right === undefined ? undefined : right / row.judged;
  };
  return {
    ...Object.fromEntries(methods.map((name) => [name, spreadOf(own, of(name))])),
    chance: spreadOf(own, (row) => row.chance),
    flips: spreadOf(own, (row) => row.flips),
  };
}

const byWindows = (low: number, high: number) =>
  rows.filter(({ windows }) => windows > low && windows <= high);
const curve = [byWindows(0, 40), byWindows(40, 100), byWindows(100, 400)].map(summary);
const ten = summary(tenRows);
for (const [i, one] of [...curve, ten].entries()) {
  const text = Object.entries(one)
    .filter(([, { sessions }]) => sessions > 0)
    .map(
      ([name, { mean, sd, sessions }]) =>
        `${name} ${mean.toFixed(2)} ± ${sd.toFixed(2)} (${sessions})`,
    );
  console.log(
    `${sizes[i] === undefined ? 'ten people, 270 of the nine others' : `S001, ${sizes[i]}`} windows: ${text.join(', ')}`,
  );
}
const identical = [...rows, ...tenRows].every((row) => row.identical);
console.log(`old tasks bit-identical: ${identical}`);
const most = s001.at(-1);
const two = s001[0];
const timing = new Map<number, RecordedSession>();
if (parts.includes('live') && two !== undefined && most !== undefined) {
  // Below ten trials of each class the learner does not begin: 60 windows stand for 40.
  timing.set(60, two).set(100, two).set(400, most);
  const figures = await live(process.env.BENCH_ACTIVE, timing);
  const ratio = figures.p99MsWhile / figures.p99MsBefore;
  for (const { windows, learnS, activatedS } of figures.timed)
    console.log(
      `${windows} windows: ${activatedS.toFixed(1)} s from the last label to an activated expert ` +
        `(${learnS.toFixed(1)} s of learning)`,
    );
  console.log(
    `serving p99 ${figures.p99MsBefore.toFixed(1)} ms, while learning ` +
      `${figures.p99MsWhile.toFixed(1)} ms (p50 ${figures.p50MsBefore.toFixed(1)}, ` +
      `${figures.p50MsWhile.toFixed(1)}): ${ratio.toFixed(2)}; ${figures.predictions.join(' and ')} predictions`,
  );
  for (const { name, seconds, predictions, p50Ms, p99Ms } of figures.phases)
    console.log(
      `  ${name}: ${predictions} predictions in ${seconds.toFixed(1)} s, ` +
        `p50 ${p50Ms.toFixed(1)}, p99 ${p99Ms.toFixed(1)} ms`,
    );
  if (process.argv.includes('--json')) {
    const at100 = curve[1] as Record<string, Spread>;
    const mean = (name: string) => at100[name]?.mean;
    console.log(
      JSON.stringify({
        secondsToExpert100: figures.timed.find(({ windows }) => windows >= 99)?.activatedS,
        servingP99Ratio: ratio,
        ...{ accuracy100: mean('expert'), chance: mean('chance') },
        ...{ eegnet100: mean('eegnet'), csp100: mean('csp'), unadapted100: mean('unadapted') },
        ...{ tuned100: mean('tuned'), tunedFlips100: mean('flips') },
        ...{ oldTasksBitIdentical: identical, trained: base.trained },
        ...{ curve, ten, timed: figures.timed, rows: [...rows, ...tenRows] },
      }),
    );
  }
}
process.exit(0);
