/**
 * `npm run bench:adapt`: how well and how fast a person's task is learned while the daemon streams.
 * The trials of real sessions go through the live signal path in their recorded order; the first N
 * labelled windows teach, the trials after them judge. Three parts, each of which runs alone with
 * BENCH_PARTS: `live` (timed, wants a quiet machine), `s001` (one person: her runs of two tasks,
 * together and executed and imagined alone, and of four), `people` (nine teach the tenth). What a
 * part found is kept beside the compiled bench; `--json` prints all parts as one line:
 * {secondsToExpert100, servingP99Ratio, accuracy100, chance, eegnet100, csp100,
 * oldTasksBitIdentical, ...}. BENCH_CHECKPOINT names another checkpoint folder.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../src/core/paths.js';
import { loadCheckpoint } from '../../src/model/checkpoint.js';
import { judgeSession, type Row, summary, windowsPerTrial } from './adapt-accuracy.js';
import { type LiveResult, live } from './adapt-live.js';
import {
  dataFolder,
  eegmmidbSession,
  openBciSessions,
  type RecordedSession,
  sessionsOfS001,
} from './adapt-sessions.js';

const partNames = ['live', 's001', 'people'] as const;
type PartName = (typeof partNames)[number];
const checkpoint = process.env.BENCH_CHECKPOINT ?? join(packageRoot(), 'models', 'base');
const wanted = (process.env.BENCH_PARTS ?? partNames.join()).split(',');
const sizes = [40, 100, 400];
const kept = join(packageRoot(), '.bench', 'results');

interface Found {
  readonly live?: LiveResult;
  readonly s001?: readonly Row[];
  readonly people?: readonly Row[];
}

const partFile = (part: PartName) => join(kept, `adapt-${part}.json`);

function keep(part: PartName, result: unknown): void {
  mkdirSync(kept, { recursive: true });
  writeFileSync(partFile(part), JSON.stringify({ atIso: new Date().toISOString(), result }));
}

/** Of this run and of earlier ones, with the time of each. */
function allFound(): { found: Found; measuredAt: Record<string, string> } {
  const found: Record<string, unknown> = {};
  const measuredAt: Record<string, string> = {};
  for (const part of partNames) {
    if (!existsSync(partFile(part))) continue;
    const { atIso, result } = JSON.parse(readFileSync(partFile(part), 'utf8'));
    found[part] = result;
    measuredAt[part] = atIso;
  }
  return { found, measuredAt };
}

async function sessions(): Promise<RecordedSession[]> {
  const recorded = await Promise.all(sessionsOfS001.map(eegmmidbSession));
  return recorded.filter((one) => one !== undefined);
}

async function judgeS001(): Promise<void> {
  const { arch, weights } = await loadCheckpoint(checkpoint);
  const rows: Row[] = [];
  for (const session of await sessions()) {
    // In the order of their recording, the first hundred windows of the last hold two classes only.
    const all = sizes.map((windows) => Math.floor(windows / windowsPerTrial));
    const trainCounts = session.task.classes.length > 2 ? all.slice(-1) : all;
    // Fine-tuning everything takes longest: on whole sessions only.
    const tune = session.trials.length > 45;
    rows.push(...(await judgeSession({ arch, weights }, session, { trainCounts, tune })));
    keep('s001', rows);
  }
}

async function judgePeople(): Promise<void> {
  const { arch, weights } = await loadCheckpoint(checkpoint);
  const rows: Row[] = [];
  for (const session of await openBciSessions()) {
    const trainCounts = [session.trials.length - 10];
    rows.push(...(await judgeSession({ arch, weights }, session, { trainCounts, tune: false })));
    keep('people', rows);
  }
}

async function timeLive(): Promise<LiveResult | undefined> {
  const all = await sessions();
  const [two, most] = [all[0], all.at(-1)];
  if (two === undefined || most === undefined) return undefined;
  // Below ten trials of each class the learner does not begin: 60 windows stand for 40.
  const timing = new Map([60, 100].map((windows) => [windows, two])).set(400, most);
  const figures = await live(process.env.BENCH_ACTIVE, timing);
  for (const { windows, learnS, activatedS } of figures.timed)
    console.log(
      `${windows} windows: ${activatedS.toFixed(1)} s from the last label to an activated expert ` +
        `(${learnS.toFixed(1)} s of learning)`,
    );
  console.log(
    `serving p99 ${figures.p99MsBefore.toFixed(1)} ms, while learning ` +
      `${figures.p99MsWhile.toFixed(1)} ms (p50 ${figures.p50MsBefore.toFixed(1)}, ` +
      `${figures.p50MsWhile.toFixed(1)}): ${(figures.p99MsWhile / figures.p99MsBefore).toFixed(2)}; ` +
      `${figures.predictions.join(' and ')} predictions`,
  );
  for (const { name, seconds, predictions, p50Ms, p99Ms } of figures.phases)
    console.log(
      `  ${name}: ${predictions} predictions in ${seconds.toFixed(1)} s, ` +
        `p50 ${p50Ms.toFixed(1)}, p99 ${p99Ms.toFixed(1)} ms`,
    );
  return figures;
}

function report({ live: timed, s001 = [], people = [] }: Found) {
  const between = (low: number, high: number) =>
    summary(s001.filter(({ windows }) => windows > low && windows <= high));
  const curve = { 40: between(0, 40), 100: between(40, 100), 400: between(100, 400) };
  const at100 = (name: string) => curve[100][name]?.mean;
  const seconds100 = timed?.timed.filter(({ windows }) => windows === 100) ?? [];
  const ten = summary(people);
  for (const [name, one] of Object.entries({ ...curve, 'ten people': ten }))
    console.log(
      `${name}: ${Object.entries(one)
        .map(([method, s]) => `${method} ${s.mean.toFixed(2)} ± ${s.sd.toFixed(2)} (${s.sessions})`)
        .join(', ')}`,
    );
  return {
    secondsToExpert100:
      seconds100.reduce((sum, { activatedS }) => sum + activatedS, 0) / seconds100.length,
    servingP99Ratio: timed === undefined ? undefined : timed.p99MsWhile / timed.p99MsBefore,
    ...{ accuracy100: at100('expert'), chance: at100('chance') },
    ...{ eegnet100: at100('eegnet'), csp100: at100('csp'), unadapted100: at100('unadapted') },
    ...{ tuned100: at100('tuned'), tunedFlips100: at100('flips') },
    oldTasksBitIdentical: [...s001, ...people].every((row) => row.identical),
    ...{ curve, ten, timed: timed?.timed, phases: timed?.phases, rows: [...s001, ...people] },
  };
}

if (!existsSync(dataFolder)) {
  console.error(`SKIPPED: no recordings in ${dataFolder} (set EEGD_DATA)`);
  process.exit(0);
}
if (wanted.includes('s001')) await judgeS001();
if (wanted.includes('people')) await judgePeople();
if (wanted.includes('live')) keep('live', await timeLive());
const { found, measuredAt } = allFound();
const merged = report(found);
if (process.argv.includes('--json')) console.log(JSON.stringify({ ...merged, measuredAt }));
process.exit(0);
