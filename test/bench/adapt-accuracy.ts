/**
 * The judging part of `bench:adapt`: the first trials of a session teach, all later ones judge, for
 * the pack and for what it is compared with. Each trial gives three windows.
 */
import { ExpertTrainer } from '../../src/adaptation/expert-trainer.js';
import { changedTasks } from '../../src/adaptation/old-tasks.js';
import { wilson } from '../../src/adaptation/prequential.js';
import { TrialLatents } from '../../src/adaptation/trial-latents.js';
import type { TrainerTrial } from '../../src/adaptation/trial-votes.js';
import type { Readout } from '../../src/core/readout.js';
import { attachPack, type Model } from '../../src/model/growing.js';
import {
  cspCorrect,
  eegNetCorrect,
  fineTunedCorrect,
  type Split,
  unadaptedCorrect,
} from './adapt-baselines.js';
import type { RecordedSession } from './adapt-sessions.js';

export const windowsPerTrial = 3;
/** Judged on fewer trials an accuracy says nothing. */
const testMin = 4;

export interface Row {
  readonly name: string;
  readonly person: string;
  readonly windows: number;
  readonly judged: number;
  /** Trials right. */
  readonly right: Readonly<Record<string, number>>;
  readonly chance: number;
  readonly seconds: number;
  readonly expertShare: number;
  /** What the read-out looks at. */
  readonly readout: string;
  readonly identical: boolean;
  /** Share of the old tasks' answers that fine-tuning everything changed. */
  readonly flips?: number;
}

async function trainerTrials(model: Model, session: RecordedSession): Promise<TrainerTrial[]> {
  const latents = await TrialLatents.open(model, session.task, session.positions, { threads: 1 });
  const out: TrainerTrial[] = [];
  for (const [id, { label, signal }] of session.trials.entries())
    out.push({ id, label, windows: await latents.windows(signal) });
  await latents.close();
  return out;
}

/** One row for each number of trials that teach. `tune`: fine-tune everything too. */
export async function judgeSession(
  model: Model,
  session: RecordedSession,
  { trainCounts, tune }: { readonly trainCounts: readonly number[]; readonly tune: boolean },
): Promise<Row[]> {
  const trials = await trainerTrials(model, session);
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
    const row = await judgeSplit(model, split, { trainer, trials, tune });
    rows.push(row);
    say(row);
  }
  await trainer.close();
  return rows;
}

interface Judging {
  readonly trainer: ExpertTrainer;
  readonly trials: readonly TrainerTrial[];
  readonly tune: boolean;
}

async function judgeSplit(
  model: Model,
  split: Split,
  { trainer, trials, tune }: Judging,
): Promise<Row> {
  const { session } = split;
  const count = split.train.length;
  const test = trials.slice(count);
  const began = performance.now();
  const { pack, expertShare } = await trainer.fit(trials.slice(0, count));
  const seconds = (performance.now() - began) / 1000;
  const predicted = await trainer.predict(pack, test);
  const tuned = tune ? await fineTunedCorrect(model, split, 1) : undefined;
  const counts = session.task.classes.map(
    (_, k) => split.test.filter(({ label }) => label === k).length,
  );
  return {
    ...{ name: session.name, person: session.person, windows: windowsPerTrial * count },
    ...{ judged: test.length, chance: Math.max(...counts) / test.length, seconds, expertShare },
    right: {
      expert: test.filter(({ label }, i) => predicted[i] === label).length,
      csp: cspCorrect(split),
      eegnet: await eegNetCorrect(split, 1),
      unadapted: await unadaptedCorrect(model, split),
      ...(tuned === undefined ? {} : { tuned: tuned.correct }),
    },
    readout: readoutName(pack.readout),
    identical: (await changedTasks(model, attachPack(model, pack))).length === 0,
    ...(tuned === undefined ? {} : { flips: tuned.flips }),
  };
}

function readoutName(readout: Readout | undefined): string {
  if (readout === undefined) return '-';
  return readout.covariance === undefined ? readout.alignment : `${readout.alignment} + covariance`;
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
      `judged on ${row.judged} trials; ${row.readout}, expert's share ${row.expertShare}, ` +
      `fitted in ${row.seconds.toFixed(1)} s`,
  );
}

export interface Spread {
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

/** Mean and spread over the sessions, of each method. */
export function summary(own: readonly Row[]): Record<string, Spread> {
  const methods = ['expert', 'csp', 'eegnet', 'unadapted', 'tuned'];
  const of = (name: string) => (row: Row) => {
    const right = row.right[name];
    return right === undefined ? undefined : right / row.judged;
  };
  const all = {
    ...Object.fromEntries(methods.map((name) => [name, spreadOf(own, of(name))])),
    chance: spreadOf(own, (row) => row.chance),
    flips: spreadOf(own, (row) => row.flips),
  };
  return Object.fromEntries(Object.entries(all).filter(([, { sessions }]) => sessions > 0));
}
