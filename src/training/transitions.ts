/** How a task's classes follow each other on the training side, for its decisions. */
import { ForwardFilter, type Transitions } from '../core/forward-filter.js';
import { modelRateHz, type TaskSpec } from '../core/tasks.js';
import type { Case } from './judge.js';
import { softmax } from './metrics.js';
import type { RecipeTask } from './recipe-schema.js';
import { evaluationWindows, type Material, WindowPool } from './windows.js';

/** Sources of this many classes or more tell what follows what; the others are one class long. */
const classesMin = 2;

/**
 * Counted on the hops of the training recordings, one added to every cell (Laplace). `evidence`
 * is 1 until `fitEvidence`.
 */
export function countTransitions(
  index: number,
  spec: RecipeTask,
  materials: readonly Material[],
): Transitions {
  const size = spec.classes.length;
  const table = spec.classes.map(() => new Array<number>(size).fill(1));
  const seen = new Array<number>(size).fill(1);
  const hop = spec.hopS * modelRateHz;
  const training = materials.filter(({ ref }) => ref.side === 'train');
  for (const source of spec.sources) {
    if (new Set(Object.values(source.labels)).size < classesMin) continue;
    for (const material of training.filter(({ ref }) => ref.set === source.set)) {
      const windows = evaluationWindows(
        material,
        index,
        spec,
        { ...source, align: 'stream' },
        'hop',
      );
      for (const [i, { label, endSample }] of windows.entries()) {
        seen[label]++;
        const next = windows[i + 1];
        if (next !== undefined && next.endSample - endSample === hop) table[label][next.label]++;
      }
    }
  }
  return {
    matrix: table.map(shares),
    prior: shares(seen),
    learnedPrior: shares(new WindowPool(index, spec, training).classShares()),
    evidence: 1,
  };
}

function shares(counts: readonly number[]): number[] {
  const total = counts.reduce((a, b) => a + b, 0);
  return counts.map((count) => Number(Math.max(count / total, 1e-6).toPrecision(6)));
}

/** The exponent that makes the labels of the validation side likeliest, of 0.05, 0.1 ... 1. */
export function fitEvidence(task: TaskSpec, cases: readonly Case[]): TaskSpec {
  const { transitions } = task;
  if (transitions === undefined || cases.length < 20) return task;
  let best = { evidence: 1, loss: Number.POSITIVE_INFINITY };
  for (let i = 1; i <= 20; i++) {
    const evidence = i / 20;
    const loss = chainLoss(task, { ...transitions, evidence }, cases);
    if (loss < best.loss) best = { evidence, loss };
  }
  return { ...task, transitions: { ...transitions, evidence: best.evidence } };
}

function chainLoss(task: TaskSpec, transitions: Transitions, cases: readonly Case[]): number {
  const streams = new Map<string, Case[]>();
  for (const one of cases) {
    const name = `${one.set}/${one.recording}`;
    streams.set(name, [...(streams.get(name) ?? []), one]);
  }
  let sum = 0;
  for (const stream of streams.values()) {
    const filter = new ForwardFilter(transitions, task.hopS);
    for (const one of [...stream].sort((a, b) => a.endSample - b.endSample)) {
      const p = filter.update(softmax(one.logits, task.temperature), one.endSample / modelRateHz);
      sum -= Math.log(Math.max(p[one.label], 1e-12));
    }
  }
  return sum / cases.length;
}
