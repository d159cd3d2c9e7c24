/** Judging a task with a chain as the daemon decides it: every hop of the stream goes through. */
import { ForwardFilter } from '../core/forward-filter.js';
import { modelRateHz, type TaskSpec } from '../core/tasks.js';
import type { Case, Judged } from './judge.js';
import { softmax } from './metrics.js';
import type { Changes, Predicted, Predictor } from './predictor.js';
import type { RecipeSource, RecipeTask } from './recipe-schema.js';
import { evaluationWindows, type Material } from './windows.js';

export interface FilteredOptions {
  readonly predictor: Pick<Predictor, 'predict'>;
  readonly index: number;
  readonly task: TaskSpec;
  readonly spec: RecipeTask;
  readonly source: RecipeSource;
  readonly changes?: Changes | undefined;
}

/** Cases are the labelled windows that do not overlap, as without a chain. */
export async function judgeFiltered(
  options: FilteredOptions,
  materials: readonly Material[],
): Promise<Judged> {
  const { index, task, spec, source } = options;
  const cases: Case[] = [];
  const routing: number[] = [];
  for (const material of materials) {
    const windows = evaluationWindows(material, index, spec, source, 'hop', true);
    const { changes } = options;
    const found = await options.predictor.predict(material.prepared, index, windows, changes);
    for (const { predicted, filtered } of filterWindows(task, found)) {
      const { label, endSample } = predicted.window;
      if (label < 0 || !isCounted(task, endSample)) continue;
      for (const [i, share] of predicted.routing.entries()) routing[i] = (routing[i] ?? 0) + share;
      const { set, subject, id } = material.ref;
      const { logits } = predicted;
      cases.push({ set, subject, recording: id, label, logits, endSample, filtered });
    }
  }
  const mean = routing.map((value) => value / cases.length);
  return { task: spec.name, classes: spec.classes, cases, routing: mean };
}

/** One stream's windows, in order, through the task's chain. */
export function filterWindows(
  task: TaskSpec,
  found: readonly Predicted[],
): { predicted: Predicted; filtered: Float64Array }[] {
  if (task.transitions === undefined) throw new Error(`${task.name} has no transitions`);
  const filter = new ForwardFilter(task.transitions, task.hopS);
  return found.map((predicted) => {
    const probabilities = softmax(predicted.logits, task.temperature);
    const stampS = predicted.window.endSample / modelRateHz;
    return { predicted, filtered: filter.update(probabilities, stampS) };
  });
}

/** Windows of a hop overlap: figures count each moment once. */
function isCounted(task: TaskSpec, endSample: number): boolean {
  const hop = Math.round(task.hopS * modelRateHz);
  const window = task.windowS * modelRateHz;
  return (endSample - window) % (hop * Math.max(1, Math.ceil(window / hop))) === 0;
}
