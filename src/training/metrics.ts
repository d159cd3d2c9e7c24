/**
 * The field's figures from labels and probabilities. Definitions are scikit-learn's, and a fixture
 * made with it holds them; ITR is Wolpaw's (2000), the calibration error Guo's (2017).
 */

/** `[truth][predicted]` counts. */
export function confusion(
  truth: ArrayLike<number>,
  predicted: ArrayLike<number>,
  classes: number,
): number[][] {
  const table = Array.from({ length: classes }, () => new Array<number>(classes).fill(0));
  for (let i = 0; i < truth.length; i++) table[truth[i]][predicted[i]]++;
  return table;
}

export function addTables(tables: readonly number[][][]): number[][] {
  const first = tables[0] ?? [];
  return first.map((row, t) => row.map((_, p) => tables.reduce((sum, x) => sum + x[t][p], 0)));
}

export interface ClassFigures {
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
  readonly support: number;
}

/** Per class; a figure without a case to measure it on is NaN. */
export function perClass(table: readonly number[][]): ClassFigures[] {
  return table.map((row, k) => {
    const support = row.reduce((a, b) => a + b, 0);
    const chosen = table.reduce((sum, other) => sum + other[k], 0);
    const hit = row[k];
    return {
      precision: chosen === 0 ? Number.NaN : hit / chosen,
      recall: support === 0 ? Number.NaN : hit / support,
      f1: support + chosen === 0 ? Number.NaN : (2 * hit) / (support + chosen),
      support,
    };
  });
}

/** Mean of what is a number: classes that do not occur say nothing. */
export function meanOf(values: readonly number[]): number {
  const known = values.filter((value) => !Number.isNaN(value));
  return known.length === 0 ? Number.NaN : known.reduce((a, b) => a + b, 0) / known.length;
}

export function balancedAccuracy(table: readonly number[][]): number {
  return meanOf(perClass(table).map((figures) => figures.recall));
}

/** Over the classes that occur in truth or prediction. */
export function macroF1(table: readonly number[][]): number {
  return meanOf(perClass(table).map((figures) => figures.f1));
}

export function accuracy(table: readonly number[][]): number {
  const total = table.flat().reduce((a, b) => a + b, 0);
  return table.reduce((sum, row, k) => sum + row[k], 0) / total;
}

/** Cohen's kappa (1960); NaN where one class alone occurs on both sides. */
export function kappa(table: readonly number[][]): number {
  const total = table.flat().reduce((a, b) => a + b, 0);
  let agreed = 0;
  let expected = 0;
  for (let k = 0; k < table.length; k++) {
    const truth = table[k].reduce((a, b) => a + b, 0);
    const chosen = table.reduce((sum, row) => sum + row[k], 0);
    agreed += table[k][k] / total;
    expected += (truth / total) * (chosen / total);
  }
  return (agreed - expected) / (1 - expected);
}

/** Area under the ROC curve by ranks (Mann-Whitney), ties counted half. */
export function auroc(scores: ArrayLike<number>, positive: ArrayLike<boolean | number>): number {
  const order = Array.from({ length: scores.length }, (_, i) => i);
  order.sort((a, b) => scores[a] - scores[b]);
  let positives = 0;
  let rankSum = 0;
  for (let from = 0; from < order.length; ) {
    let to = from;
    while (to < order.length && scores[order[to]] === scores[order[from]]) to++;
    for (let i = from; i < to; i++) {
      if (!positive[order[i]]) continue;
      positives++;
      rankSum += (from + to + 1) / 2;
    }
    from = to;
  }
  const negatives = scores.length - positives;
  if (positives === 0 || negatives === 0) return Number.NaN;
  return (rankSum - (positives * (positives + 1)) / 2) / (positives * negatives);
}

/** Average precision: the sum of precision times the step in recall, ties taken together. */
export function auprc(scores: ArrayLike<number>, positive: ArrayLike<boolean | number>): number {
  const order = Array.from({ length: scores.length }, (_, i) => i);
  order.sort((a, b) => scores[b] - scores[a]);
  const total = order.reduce((sum, i) => sum + (positive[i] ? 1 : 0), 0);
  if (total === 0) return Number.NaN;
  let hits = 0;
  let area = 0;
  for (let from = 0; from < order.length; ) {
    let to = from;
    let found = 0;
    for (; to < order.length && scores[order[to]] === scores[order[from]]; to++)
      found += positive[order[to]] ? 1 : 0;
    hits += found;
    area += (found / total) * (hits / to);
    from = to;
  }
  return area;
}

/** Expected calibration error of the top class, in `bins` equal bins of confidence. */
export function calibrationError(
  probabilities: readonly ArrayLike<number>[],
  truth: ArrayLike<number>,
  bins = 15,
): number {
  const gap = new Float64Array(bins);
  for (const [i, row] of probabilities.entries()) {
    const top = argmax(row);
    const bin = Math.min(bins - 1, Math.max(0, Math.ceil(row[top] * bins) - 1));
    gap[bin] += row[top] - (top === truth[i] ? 1 : 0);
  }
  return gap.reduce((sum, value) => sum + Math.abs(value), 0) / probabilities.length;
}

/** Mean negative log likelihood, nats. */
export function logLoss(
  probabilities: readonly ArrayLike<number>[],
  truth: ArrayLike<number>,
): number {
  let sum = 0;
  for (const [i, row] of probabilities.entries()) sum -= Math.log(Math.max(row[truth[i]], 1e-12));
  return sum / probabilities.length;
}

/**
 * Information transfer rate in bits a minute (Wolpaw et al. 2000): `classes` equally likely
 * choices at `accuracy`, one every `trialS` seconds; 0 at or below chance.
 */
export function itr(accuracy: number, classes: number, trialS: number): number {
  if (accuracy <= 1 / classes) return 0;
  const p = Math.min(accuracy, 1);
  const wrong = 1 - p;
  const rest = wrong === 0 ? 0 : wrong * Math.log2(wrong / (classes - 1));
  return ((Math.log2(classes) + p * Math.log2(p) + rest) * 60) / trialS;
}

export function argmax(values: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}

export function softmax(logits: ArrayLike<number>, temperature = 1): Float64Array {
  const out = new Float64Array(logits.length);
  let top = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < logits.length; i++) top = Math.max(top, logits[i]);
  let sum = 0;
  for (let i = 0; i < logits.length; i++) {
    out[i] = Math.exp((logits[i] - top) / temperature);
    sum += out[i];
  }
  for (let i = 0; i < out.length; i++) out[i] /= sum;
  return out;
}
