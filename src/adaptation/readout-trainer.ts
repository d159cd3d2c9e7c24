/**
 * Learns the read-out of a pack from labelled trials: linear discriminants with shrunk covariance
 * on log spectra, for each way of aligning the person's signals, and on the covariances of the
 * channels; what to look at is chosen on held-out trials. Whole trials are held out, never windows.
 */
import { evidenceOf, type LinearMap, type Readout } from '../core/readout.js';
import { Rng } from '../core/rng.js';
import { type AlignmentKind, alignmentKinds } from '../signal/alignment.js';
import { fitLda } from '../training/baselines/lda.js';
import { TangentSpace } from '../windows/tangent-space.js';
import { WindowEvidence } from '../windows/window-evidence.js';

/** Log powers by alignment, and covariances where there are not too many channels for them. */
export type Spectra = Readonly<Record<AlignmentKind, Float64Array>> & {
  readonly covariances?: Float64Array | undefined;
};

export interface SpectralTrial {
  /** Index into the classes. */
  readonly label: number;
  /** Of each usable window. */
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

/** What a discriminant looks at in a window. */
type RowOf = (window: Spectra) => Float64Array;

/** Learned from all trials; what it looks at and its calibration from held-out ones. */
export function fitReadout(trials: readonly SpectralTrial[], options: ReadoutOptions): Readout {
  const foldOf = spread(trials, folds, new Rng(options.seed + 3));
  const judge = (rowOf: RowOf) => calibrated(trials, heldOut(trials, foldOf, rowOf, options));
  const byKind = alignmentKinds.map((kind) => ({ kind, ...judge((window) => window[kind]) }));
  const usual = byKind.find(({ kind }) => kind === usualKind) as (typeof byKind)[0];
  const powers = byKind.reduce((one, other) => (isBetter(other, one) ? other : one), usual);
  const { kind } = powers;
  const map = fitMap(trials, (window) => window[kind], options);
  const plain = { alignment: kind, channels: options.channels };
  const space = tangentOf(trials, options.channels.length);
  const alone = { ...plain, ...cooled(map, powers.temperature) };
  if (space === undefined) return alone;
  const covariances = judge(space.rowOf);
  const both = calibrated(trials, sumOf(powers, covariances));
  if (isBetter(powers, both)) return alone;
  const other = fitMap(trials, space.rowOf, options);
  return {
    ...{ ...plain, ...cooled(map, powers.temperature * both.temperature) },
    covariance: {
      reference: [...space.reference],
      ...cooled(other, covariances.temperature * both.temperature),
    },
  };
}

/** What tells people's trials apart best on the whole (docs/adaptation.md). */
const usualKind: AlignmentKind = 'euclidean';

/** A window, judged by a discriminant that did not learn from its trial. */
interface Held {
  readonly evidence: Float64Array;
  readonly label: number;
  readonly trial: number;
}

interface Judged {
  readonly held: readonly Held[];
  /** Divides the evidence, so that its probabilities are those seen. */
  readonly temperature: number;
  /** Of each trial. */
  readonly losses: readonly number[];
}

function isBetter(one: Judged, other: Judged): boolean {
  return isWorth(one.losses.map((loss, i) => (other.losses[i] as number) - loss));
}

/** Gains whose mean is above twice its standard error: few trials do not speak against a habit. */
export function isWorth(gains: readonly number[]): boolean {
  const count = Math.max(1, gains.length);
  const mean = gains.reduce((a, b) => a + b, 0) / count;
  const spread = gains.reduce((sum, gain) => sum + (gain - mean) ** 2, 0);
  return mean > 2 * Math.sqrt(spread / Math.max(1, count - 1) / count);
}

/** What the read-out says of windows. */
export function windowEvidence(readout: Readout): RowOf {
  const evidence = new WindowEvidence(readout);
  return (window) =>
    evidence.of({ powers: window[readout.alignment], covariances: window.covariances });
}

/** Sum over the windows of log-probabilities, one a class. */
export function trialEvidence(
  readout: Readout,
  spectra: readonly Spectra[],
  classes: number,
): Float64Array {
  const sum = new Float64Array(classes);
  const evidenceOfWindow = windowEvidence(readout);
  for (const window of spectra) {
    const own = logSoftmax(evidenceOfWindow(window));
    for (let k = 0; k < classes; k++) sum[k] += own[k] / spectra.length;
  }
  return sum;
}

/**
 * The tangent space at the mean covariance of all windows, which knows no labels; nothing where a
 * window has no covariances.
 */
function tangentOf(
  trials: readonly SpectralTrial[],
  channels: number,
): { readonly reference: Float64Array; readonly rowOf: RowOf } | undefined {
  const all = trials.flatMap(({ spectra }) => spectra);
  const covariances = all.flatMap((window) => window.covariances ?? []);
  if (covariances.length < all.length) return undefined;
  const { mean } = moments(covariances, covariances[0]?.length ?? 0);
  const space = new TangentSpace(mean, channels);
  const rows = new Map(
    all.map((window) => [window, space.features(window.covariances as Float64Array)]),
  );
  return { reference: mean, rowOf: (window) => rows.get(window) as Float64Array };
}

function heldOut(
  trials: readonly SpectralTrial[],
  foldOf: readonly number[],
  rowOf: RowOf,
  options: ReadoutOptions,
): Held[] {
  const held: Held[] = [];
  for (let fold = 0; fold < folds; fold++) {
    const others = trials.filter((_, i) => foldOf[i] !== fold);
    const map = fitMap(others, rowOf, options);
    for (const [trial, { label, spectra }] of trials.entries()) {
      if (foldOf[trial] !== fold) continue;
      for (const window of spectra)
        held.push({ evidence: evidenceOf(map, rowOf(window)), label, trial });
    }
  }
  return held;
}

/** Both together, each calibrated. */
function sumOf(one: Judged, other: Judged): Held[] {
  return one.held.map(({ evidence, label, trial }, i) => {
    const added = other.held[i]?.evidence as Float64Array;
    const sum = evidence.map(
      (value, k) => value / one.temperature + (added[k] as number) / other.temperature,
    );
    return { evidence: sum, label, trial };
  });
}

function calibrated(trials: readonly SpectralTrial[], held: readonly Held[]): Judged {
  const lossAt = (temperature: number, { evidence, label }: Held) =>
    -(logSoftmax(evidence.map((value) => value / temperature))[label] as number);
  const sums = temperatures.map((t) => held.reduce((sum, one) => sum + lossAt(t, one), 0));
  const temperature = temperatures[sums.indexOf(Math.min(...sums))] as number;
  const losses = trials.map(({ spectra }, i) => {
    const own = held.filter(({ trial }) => trial === i);
    const sum = own.reduce((total, one) => total + lossAt(temperature, one), 0);
    return sum / Math.max(1, spectra.length);
  });
  return { held, temperature, losses };
}

function fitMap(
  trials: readonly SpectralTrial[],
  rowOf: RowOf,
  { classes }: ReadoutOptions,
): LinearMap {
  const perTrial = Math.max(1, Math.floor(rowsMax / Math.max(1, trials.length)));
  const picked = trials.flatMap(({ label, spectra }) =>
    evenly(spectra, perTrial).map((window) => ({ label, row: rowOf(window) })),
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
  return { mean: [...mean], sd: [...sd], weights: [...weights], bias: [...bias] };
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
function cooled(map: LinearMap, temperature: number): LinearMap {
  const less = (values: readonly number[]) => values.map((value) => value / temperature);
  return { ...map, weights: less(map.weights), bias: less(map.bias) };
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
