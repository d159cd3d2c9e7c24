/**
 * Whether what was learned may serve. A candidate must be above chance with confidence, no worse
 * than what serves the same task now, and must have changed no bit of what other tasks answer.
 */
import { type Proportion, wilson } from './prequential.js';

export interface Evidence {
  /** On held-out trials, none of which the candidate learned from. */
  readonly correct: number;
  readonly total: number;
  /** Of the commonest class among those trials, or 1/classes, whichever is more. */
  readonly chance: number;
  /** What serves the task now, on the same trials; absent where nothing does. */
  readonly servingCorrect?: number;
  /** Tasks whose golden outputs changed. */
  readonly changedTasks: readonly string[];
  /** A loss or an output that is no number. */
  readonly finite: boolean;
}

export interface Verdict {
  readonly promote: boolean;
  readonly accuracy: Proportion;
  /** One line: why, or what is missing. */
  readonly why: string;
}

const percent = (share: number) => `${Math.round(100 * share)} %`;

export function judge(evidence: Evidence): Verdict {
  const { correct, total, chance, servingCorrect, changedTasks, finite } = evidence;
  const accuracy = wilson(correct, total);
  const seen = `${correct} of ${total} held-out trials`;
  const no = (why: string): Verdict => ({ promote: false, accuracy, why });
  if (!finite) return no('the candidate computes values that are no numbers');
  if (changedTasks.length > 0)
    return no(`it would change the outputs of ${changedTasks.join(', ')}`);
  if (total === 0) return no('no trial was held out yet');
  if (accuracy.low <= chance) {
    const interval = `95 %: ${percent(accuracy.low)} to ${percent(accuracy.high)}`;
    return no(
      `${seen} right (${interval}) is not above chance (${percent(chance)}) with confidence`,
    );
  }
  if (servingCorrect !== undefined && correct <= servingCorrect) {
    return no(`${seen} right; what serves now has ${servingCorrect} of them`);
  }
  const interval = `${percent(accuracy.low)} to ${percent(accuracy.high)}`;
  return {
    promote: true,
    accuracy,
    why: `${seen} right (95 %: ${interval}), chance ${percent(chance)}`,
  };
}

/** What always answering the commonest label would reach. */
export function chanceOf(labels: readonly string[], classes: number): number {
  const counts = new Map<string, number>();
  for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1);
  const most = Math.max(0, ...counts.values());
  return Math.max(1 / classes, labels.length === 0 ? 0 : most / labels.length);
}
