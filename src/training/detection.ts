/**
 * Alarms of a task with events, as the daemon raises them: smoothed probabilities, an onset after
 * `hold` windows in a row, an end below `off`. A test holds that src/daemon decides the same.
 */
import { ForwardFilter } from '../core/forward-filter.js';
import type { TaskSpec } from '../core/tasks.js';
import { softmax } from './metrics.js';
import type { Span } from './seizure-events.js';

export interface DecisionInput {
  readonly logits: Float32Array;
  /** End of the window, s. */
  readonly endS: number;
}

/** `windows` in order, without holes. An alarm still open at the end lasts until `lengthS`. */
export function detectEvents(
  task: TaskSpec,
  windows: readonly DecisionInput[],
  lengthS: number,
): Span[] {
  const rule = task.event;
  if (rule === undefined) return [];
  const k = task.classes.indexOf(rule.label);
  const spans: Span[] = [];
  const filter =
    task.transitions === undefined ? undefined : new ForwardFilter(task.transitions, task.hopS);
  let smoothed = Number.NaN;
  let held = 0;
  let heldFromS = 0;
  let openS: number | undefined;
  for (const { logits, endS } of windows) {
    const probabilities = softmax(logits, task.temperature);
    const p = probabilities[k];
    if (filter !== undefined) smoothed = filter.update(probabilities, endS)[k];
    else
      smoothed = Number.isNaN(smoothed) ? p : task.smoothing * p + (1 - task.smoothing) * smoothed;
    if (openS !== undefined) {
      if (smoothed >= rule.off) continue;
      spans.push({ startS: openS, endS });
      openS = undefined;
      held = 0;
    } else if (smoothed < rule.on) held = 0;
    else {
      if (held === 0) heldFromS = endS;
      if (++held >= rule.hold) openS = heldFromS;
    }
  }
  if (openS !== undefined) spans.push({ startS: openS, endS: lengthS });
  return spans;
}
