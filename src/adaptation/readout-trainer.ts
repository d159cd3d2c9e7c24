/**
 * Learns the read-out of a pack from labelled trials: linear discriminants with shrunk covariance
 * on log spectra, for each way of aligning the person's signals; the way is chosen on held-out
 * trials. Whole trials are held out, never windows of them.
 */
import { evidenceOf, type Readout } from '../core/readout.js';
import { Rng } from '../core/rng.js';
import { type AlignmentKind, alignmentKinds } from '../signal/alignment.js';
import { fitLda } from '../training/baselines/lda.js';

export type Spectra = Readonly<Record<AlignmentKind, Float64Array>>;

export interface SpectralTrial {
  /** Index into the classes. */
  readonly label: number;
  /** Of each usable window, `[channels, bands]` by alignment. */
  readonly spectra: readonly Spectra[];
}

export interface ReadoutOptions {
  readonly classes: number;
  /** Labels of the channels. */
  readonly channels: readonly string[];
  readonly seed: number;
}

const folds = 4;
/** More rows cost time and tell little more: windows of a trial are alike. */
const rowsMax = 600;
const temperatures = [1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32];

/** The read-out learned from all trials, its alignment and calibration from held-out ones. */
export function fitReadout(trials: readonly SpectralTrial[], options: ReadoutOptions): Readout {
  const foldOf = spread(trials, folds, new Rng(options.seed + 3));
  const judged = alignmentKinds.map((kind) => judgeKind(trials, foldOf, kind, options));
  const best = judged.reduce((one, other) => (isBetter(other, one) ? other : one), usual(judged));
  return cooled(fitOne(trials, best.kind, options), best.temperature);
}

/** What tells people's trials apart best on the whole (docs/adaptation.md). */
const usualKind: AlignmentKind = 'euclidean';

interface JudgedKind {
  readonly kind: AlignmentKind;
  /** Of each trial, while it was held out. */
  readonly losses: readonly number[];
  readonly temperature: number;
}

function usual(judged: readonly JudgedKind[]): JudgedKind {
  return judged.find(({ kind }) => kind === usualKind) as JudgedKind;
}

function isBetter(one: JudgedKind, other: JudgedKind): boolean {
  return isWorth(one.losses.map((loss, i) => (other.losses[i] as number) - loss));
}

/** Gains whose mean is above twice its standard error: few trials do not speak against a habit. */
export function isWorth(gains: readonly number[]): boolean {
  const count = Math.max(1, gains.length);
  const mean = gains.reduce((a, b) => a + b, 0) / count;
  const spread = gains.reduce((sum, gain) => sum + (gain - mean) ** 2, 0);
  return mean > 2 * Math.sqrt(spread / Math.max(1, count - 1) / count);
}

/** Sum over the windows of log-probabilities, one a class. */
export function trialEvidence(
  readout: Readout,
  spectra: readonly Spectra[],
  classes: number,
): Float64Array {
  const sum = new Float64Array(classes);
  for (const window of spectra) {
    const own = logSoftmax(evidenceOf(readout, window[readout.alignment]));
    for (let k = 0; k < classes; k++) sum[k] += own[k] / spectra.length;
  }
  return sum;
}

function judgeKind(
  trials: readonly SpectralTrial[],
  foldOf: readonly number[],
  kind: AlignmentKind,
  options: ReadoutOptions,
): JudgedKind {
  const held: { evidence: Float64Array; label: number; trial: number }[] = [];
  for (let fold = 0; fold < folds; fold++) {
    const readout = fitOne(
      trials.filter((_, i) => foldOf[i] !== fold),
      kind,
      options,
    );
    for (const [i, { label, spectra }] of trials.entries()) {
      if (foldOf[i] !== fold) continue;
      for (const window of spectra)
        held.push({ evidence: evidenceOf(readout, window[kind]), label, trial: i });
    }
  }
  const lossAt = (temperature: number, { evidence, label }: (typeof held)[0]) =>
    -(logSoftmax(evidence.map((value) => value / temperature))[label] as number);
  const sums = temperatures.map((t) => held.reduce((sum, one) => sum + lossAt(t, one), 0));
  const temperature = temperatures[sums.indexOf(Math.min(...sums))] as number;
  const losses = trials.map(({ spectra }, i) => {
    const own = held.filter(({ trial }) => trial === i);
    const sum = own.reduce((total, one) => total + lossAt(temperature, one), 0);
    return sum / Math.max(1, spectra.length);
  });
  return { kind, losses, temperature };
}

function fitOne(
  trials: readonly SpectralTrial[],
  kind: AlignmentKind,
  { classes, channels }: ReadoutOptions,
): Readout {
  const perTrial = Math.max(1, Math.floor(rowsMax / Math.max(1, trials.length)));
  const picked = trials.flatMap(({ label, spectra }) =>
    evenly(spectra, perTrial).map((window) => ({ label, row: window[kind] })),
  );
  const size = picked[0]?.row.length ?? 0;
  const { mean, sd } = moments(
    picked.map(({ row }) => row),
    size,
  );
  const rows = picked.map(({ row }) =>
    row.map((value, f) => (Number.isNaN(value) ? 0 : (value - mean[f]) / sd[f])),
  );
  const labels = picked.map(({ label }) => label);
  const { weights, bias } = fitLda(rows, labels, classes, new Array(classes).fill(1 / classes));
  return {
    ...{ alignment: kind, channels, mean: [...mean], sd: [...sd] },
    ...{ weights: [...weights], bias: [...bias] },
  };
}

function moments(rows: readonly Float64Array[], size: number) {
  const mean = new Float64Array(size);
  const square = new Float64Array(size);
  const count = new Float64Array(size);
  for (const row of rows)
    for (let f = 0; f < size; f++) {
      if (Number.isNaN(row[f])) continue;
      count[f]++;
      mean[f] += row[f];
      square[f] += row[f] ** 2;
    }
  for (let f = 0; f < size; f++) mean[f] /= Math.max(1, count[f]);
  const sd = square.map((sum, f) => {
    const variance = sum / Math.max(1, count[f]) - mean[f] ** 2;
    return variance > 1e-12 ? Math.sqrt(variance) : 1;
  });
  return { mean, sd };
}

/** Divides what it says, so that its probabilities are those seen on held-out trials. */
function cooled(readout: Readout, temperature: number): Readout {
  const less = (values: readonly number[]) => values.map((value) => value / temperature);
  return { ...readout, weights: less(readout.weights), bias: less(readout.bias) };
}

function evenly<T>(items: readonly T[], count: number): T[] {
  if (items.length <= count) return [...items];
  return Array.from(
    { length: count },
    (_, i) => items[Math.floor(((i + 0.5) * items.length) / count)] as T,
  );
}

/** Fold of each trial, every class spread evenly. */
export function spread(
  trials: readonly { readonly label: number }[],
  count: number,
  rng: Rng,
): number[] {
  const fold = new Array<number>(trials.length).fill(0);
  let next = 0;
  for (const label of new Set(trials.map((trial) => trial.label))) {
    const own = [...trials.keys()].filter((i) => trials[i]?.label === label);
    for (const i of rng.shuffle(own)) fold[i] = next++ % count;
  }
  return fold;
}

export function logSoftmax(logits: ArrayLike<number>): Float64Array {
  const values = Float64Array.from(logits);
  const most = Math.max(...values);
  const sum = values.reduce((total, value) => total + Math.exp(value - most), 0);
  return values.map((value) => value - most - Math.log(sum));
}
