/** From predictions to figures: one task, on one side of the split, person by person. */
import { Rng } from '../core/rng.js';
import type { TaskSpec } from '../core/tasks.js';
import type { Validation } from './loop.js';
import {
  argmax,
  auprc,
  auroc,
  balancedAccuracy,
  calibrationError,
  confusion,
  kappa,
  logLoss,
  macroF1,
  meanOf,
  softmax,
} from './metrics.js';
import type { Changes, Predictor } from './predictor.js';
import type { RecipeTask } from './recipe-schema.js';
import { evaluationWindows, type Material, type TaskWindow } from './windows.js';

/** A window's truth and what the model said. */
export interface Case {
  readonly set: string;
  readonly subject: string;
  readonly recording: string;
  readonly label: number;
  readonly logits: Float32Array;
  readonly endSample: number;
  /** Probabilities after the task's chain, where it has one: what the daemon decides by. */
  readonly filtered?: Float64Array;
}

export interface Judged {
  readonly task: string;
  readonly classes: readonly string[];
  readonly cases: readonly Case[];
  /** `[moeBlocks, experts]` mean share, empty for a dense model. */
  readonly routing: readonly number[];
}

export interface JudgeOptions {
  /** About this many windows, from recordings drawn once by a fixed seed. */
  readonly limit?: number | undefined;
  readonly changes?: Changes;
  /** Only these of the sets that the recipe judges by. */
  readonly sets?: readonly string[];
}

/** The windows of each recording that a task is judged by, the same for every model. */
export function judgedWindows(
  task: number,
  spec: RecipeTask,
  materials: readonly Material[],
  options: Omit<JudgeOptions, 'changes'>,
): { material: Material; windows: TaskWindow[] }[] {
  const wanted = spec.sources.filter(
    ({ set, judged }) => judged && options.sets?.includes(set) !== false,
  );
  const jobs = wanted.flatMap((source) =>
    materials
      .filter((material) => material.ref.set === source.set)
      .map((material) => ({ source, material })),
  );
  const order = options.limit === undefined ? jobs : new Rng(1).shuffle(jobs);
  const out: { material: Material; windows: TaskWindow[] }[] = [];
  let count = 0;
  for (const { source, material } of order) {
    if (options.limit !== undefined && count >= options.limit) break;
    const windows = evaluationWindows(material, task, spec, source);
    count += windows.length;
    out.push({ material, windows });
  }
  return out;
}

export async function judgeTask(
  predictor: Predictor,
  task: number,
  spec: RecipeTask,
  materials: readonly Material[],
  options: JudgeOptions = {},
): Promise<Judged> {
  const cases: Case[] = [];
  const routing: number[] = [];
  for (const { material, windows } of judgedWindows(task, spec, materials, options)) {
    const found = await predictor.predict(material.prepared, task, windows, options.changes);
    for (const { window, logits, routing: share } of found) {
      for (let i = 0; i < share.length; i++) routing[i] = (routing[i] ?? 0) + share[i];
      const { set, subject, id } = material.ref;
      const { label, endSample } = window;
      cases.push({ set, subject, recording: id, label, logits, endSample });
    }
  }
  const mean = routing.map((value) => value / cases.length);
  return { task: spec.name, classes: spec.classes, cases, routing: mean };
}

export interface Figures {
  readonly windows: number;
  readonly balancedAccuracy: number;
  readonly kappa: number;
  readonly macroF1: number;
  /** Of the last class against the rest, for two classes; mean of all for more. */
  readonly auroc: number;
  readonly auprc: number;
  readonly calibrationError: number;
  readonly logLoss: number;
  readonly confusion: readonly (readonly number[])[];
}

export function figuresOf(cases: readonly Case[], classes: number, temperature = 1): Figures {
  const truth = cases.map((one) => one.label);
  const rows = cases.map((one) => one.filtered ?? softmax(one.logits, temperature));
  const table = confusion(truth, rows.map(argmax), classes);
  const positives = classes === 2 ? [1] : Array.from({ length: classes }, (_, k) => k);
  const against = (figure: typeof auroc): number =>
    meanOf(
      positives.map((k) =>
        figure(
          rows.map((row) => row[k]),
          truth.map((label) => label === k),
        ),
      ),
    );
  return {
    windows: cases.length,
    balancedAccuracy: balancedAccuracy(table),
    kappa: kappa(table),
    macroF1: macroF1(table),
    auroc: against(auroc),
    auprc: against(auprc),
    calibrationError: calibrationError(rows, truth),
    logLoss: logLoss(rows, truth),
    confusion: table,
  };
}

/** What training looks at: the mean of the tasks' balanced accuracies decides. */
export function summarise(judged: readonly Judged[]): Validation {
  const figures: Record<string, number> = {};
  const scores: number[] = [];
  for (const { task, classes, cases } of judged) {
    if (cases.length === 0) continue;
    const found = figuresOf(cases, classes.length);
    figures[`${task}.balancedAccuracy`] = found.balancedAccuracy;
    figures[`${task}.kappa`] = found.kappa;
    figures[`${task}.auroc`] = found.auroc;
    figures[`${task}.logLoss`] = found.logLoss;
    scores.push(found.balancedAccuracy);
  }
  return { score: meanOf(scores), figures };
}

/** Temperature that makes the cases likeliest (Guo et al. 2017), by golden-section search. */
export function fitTemperature(cases: readonly Pick<Case, 'logits' | 'label'>[]): number {
  const truth = cases.map((one) => one.label);
  const loss = (log: number): number =>
    logLoss(
      cases.map((one) => softmax(one.logits, Math.exp(log))),
      truth,
    );
  const golden = (Math.sqrt(5) - 1) / 2;
  let [low, high] = [Math.log(0.1), Math.log(10)];
  for (let i = 0; i < 40; i++) {
    const a = high - golden * (high - low);
    const b = low + golden * (high - low);
    if (loss(a) < loss(b)) high = b;
    else low = a;
  }
  return Math.exp((low + high) / 2);
}

/** The tasks with the temperatures that validation asks for. */
export function calibrated(tasks: readonly TaskSpec[], judged: readonly Judged[]): TaskSpec[] {
  return tasks.map((task) => {
    const own = judged.find((one) => one.task === task.name);
    if (own === undefined || own.cases.length < 20) return task;
    return { ...task, temperature: Number(fitTemperature(own.cases).toFixed(4)) };
  });
}
