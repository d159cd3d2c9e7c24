/**
 * A checkpoint on one side of a recipe's split: the field's figures per task and set, pooled and
 * person by person, with intervals over people, and seizures as events.
 */
import { modelRateHz, type TaskSpec } from '../core/tasks.js';
import type { Checkpoint } from '../model/checkpoint.js';
import { detectEvents } from './detection.js';
import { judgeFiltered } from './filtered.js';
import { type Case, type Figures, figuresOf, type Judged, judgeTask } from './judge.js';
import { itr } from './metrics.js';
import type { Changes, Predictor } from './predictor.js';
import type { Recipe, RecipeSource, RecipeTask } from './recipe-schema.js';
import {
  countEvents,
  type EventCounts,
  type EventFigures,
  eventFigures,
} from './seizure-events.js';
import type { Side } from './split.js';
import { bootstrapAll, type Interval } from './statistics.js';
import { evaluationWindows, labelled, type Material } from './windows.js';

export interface SetReport {
  readonly task: string;
  readonly set: string;
  readonly side: Side;
  readonly classes: readonly string[];
  readonly people: number;
  readonly pooled: Figures;
  /** 95 % over people; NaN for one person. */
  readonly balancedAccuracy: Interval;
  readonly kappa: Interval;
  readonly macroF1: Interval;
  readonly auroc: Interval;
  /** Bits a minute at one decision a window. */
  readonly itr: number;
  readonly bySubject: readonly { readonly subject: string; readonly figures: Figures }[];
}

export interface AlarmReport {
  readonly task: string;
  readonly set: string;
  readonly figures: EventFigures;
}

export interface Evaluation {
  readonly checkpoint: string;
  readonly side: Side;
  readonly sets: readonly SetReport[];
  readonly alarms: readonly AlarmReport[];
  /** By task: `[moeBlocks * experts]` mean share of tokens. */
  readonly routing: Readonly<Record<string, readonly number[]>>;
}

export interface EvaluateOptions {
  readonly checkpoint: Checkpoint;
  readonly predictor: Predictor;
  readonly recipe: Recipe;
  readonly materials: readonly Material[];
  readonly side: Side;
  readonly changes?: Changes;
  /** Leave out alarms: they look at every hop. */
  readonly alarms?: boolean;
  readonly tasks?: readonly string[] | undefined;
  onSet?(name: string): void;
}

/** Tasks of the recipe that the checkpoint knows, on the sets that have this side. */
export async function evaluate(options: EvaluateOptions): Promise<Evaluation> {
  const { checkpoint, recipe, side } = options;
  const sets: SetReport[] = [];
  const alarms: AlarmReport[] = [];
  const routing: Record<string, readonly number[]> = {};
  for (const [index, task] of checkpoint.arch.tasks.entries()) {
    const spec = recipe.tasks.find((one) => one.name === task.name);
    if (spec === undefined || options.tasks?.includes(task.name) === false) continue;
    for (const source of spec.sources) {
      const own = options.materials.filter(
        ({ ref }) => ref.side === side && ref.set === source.set,
      );
      if (own.length === 0) continue;
      options.onSet?.(`${task.name} on ${source.set}`);
      if (source.judged) {
        const judged = await judge(options, index, task, spec, source, own);
        if (judged.cases.length > 0) sets.push(reportOf(task, judged.cases, source.set, side));
        if (judged.routing.length > 0) routing[`${task.name}/${source.set}`] = judged.routing;
      }
      if (task.event !== undefined && options.alarms !== false)
        alarms.push(await alarmsOf(options, index, task, spec, source, own));
    }
  }
  return { checkpoint: checkpoint.id, side, sets, alarms, routing };
}

function judge(
  options: EvaluateOptions,
  index: number,
  task: TaskSpec,
  spec: RecipeTask,
  source: RecipeSource,
  own: readonly Material[],
): Promise<Judged> {
  // Trials are no stream: nothing goes before them.
  if (task.transitions !== undefined && source.align === 'stream')
    return judgeFiltered({ ...options, index, task, spec, source }, own);
  return judgeTask(options.predictor, index, spec, own, {
    sets: [source.set],
    ...(options.changes === undefined ? {} : { changes: options.changes }),
  });
}

export function reportOf(
  task: TaskSpec,
  cases: readonly Case[],
  set: string,
  side: Side,
): SetReport {
  const size = task.classes.length;
  const people = [...new Set(cases.map((one) => one.subject))].sort();
  const groups = people.map((subject) => cases.filter((one) => one.subject === subject));
  const figures = (some: readonly Case[]): Figures => figuresOf(some, size, task.temperature);
  const intervals = bootstrapAll(
    groups,
    (drawn) => {
      const { balancedAccuracy, kappa, macroF1, auroc } = figures(drawn.flat());
      return { balancedAccuracy, kappa, macroF1, auroc };
    },
    { draws: 400 },
  );
  const pooled = figures(cases);
  const present = pooled.confusion.filter((row) => row.some((count) => count > 0)).length;
  return {
    task: task.name,
    set,
    side,
    classes: task.classes,
    people: people.length,
    pooled,
    ...intervals,
    itr: itr(pooled.balancedAccuracy, Math.max(2, present), task.windowS),
    bySubject: people.map((subject, i) => ({ subject, figures: figures(groups[i]) })),
  };
}

/** Every hop of every recording, through smoothing and hysteresis, counted as events. */
async function alarmsOf(
  options: EvaluateOptions,
  index: number,
  task: TaskSpec,
  spec: RecipeTask,
  source: RecipeSource,
  own: readonly Material[],
): Promise<AlarmReport> {
  const counts: EventCounts[] = [];
  for (const material of own) {
    const always = { ...source, align: 'stream' as const, share: 0 };
    const windows = evaluationWindows(material, index, spec, always, 'hop');
    const found = await options.predictor.predict(
      material.prepared,
      index,
      windows,
      options.changes,
    );
    const lengthS = material.prepared.samples / modelRateHz;
    const inputs = found.map(({ window, logits }) => ({
      logits,
      endS: window.endSample / modelRateHz,
    }));
    const truth = labelled(material, spec, source).filter(
      (span) => spec.classes[span.k] === task.event?.label,
    );
    counts.push(countEvents(truth, detectEvents(task, inputs, lengthS), lengthS));
  }
  return { task: task.name, set: source.set, figures: eventFigures(counts) };
}
