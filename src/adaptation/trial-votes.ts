/** From the windows of trials to one answer a trial, experts and read-out together. */
import type { Readout } from '../core/readout.js';
import { isWorth, logSoftmax, type Spectra, windowEvidence } from './readout-trainer.js';
import type { WindowLatents } from './trial-latents.js';

export interface TrainerTrial {
  readonly id: number;
  /** Index into the task's classes. */
  readonly label: number;
  readonly windows: readonly WindowLatents[];
}

/** A window with what the experts say of it, one logit a class. */
export interface ForwardWindow {
  readonly trial: TrainerTrial;
  readonly window: WindowLatents;
  readonly logits: Float32Array;
}

/** What the experts' logits may count beside the read-out's. */
const shares = [0.25, 0.5, 1];
/** On fewer trials a share is chosen by chance. */
const judgesMin = 10;

/**
 * The share of the experts' logits with which these windows are told best; none where that is not
 * clearly better, for the experts were stopped by the same trials.
 */
export function bestShare(
  windows: readonly ForwardWindow[],
  readout: Readout,
): { share: number; loss: number } {
  const evidenceOf = windowEvidence(readout);
  const alone = lossesOf(windows, 0, evidenceOf);
  let best = { share: 0, loss: meanOf(alone) };
  if (alone.length < judgesMin) return best;
  for (const share of shares) {
    const losses = lossesOf(windows, share, evidenceOf);
    const loss = meanOf(losses);
    const gains = losses.map((own, i) => (alone[i] as number) - own);
    if (loss < best.loss && isWorth(gains)) best = { share, loss };
  }
  return best;
}

const meanOf = (values: readonly number[]) =>
  values.reduce((a, b) => a + b, 0) / Math.max(1, values.length);

/** Of each trial, the mean of its windows'. */
function lossesOf(
  windows: readonly ForwardWindow[],
  share: number,
  evidenceOf: EvidenceOf,
): number[] {
  const byTrial = new Map<number, number[]>();
  for (const { trial, window, logits } of windows) {
    const scaled = logits.map((value) => share * value);
    const loss = -(logSoftmax(addEvidence(scaled, window, evidenceOf))[trial.label] as number);
    byTrial.set(trial.id, [...(byTrial.get(trial.id) ?? []), loss]);
  }
  return [...byTrial.values()].map(meanOf);
}

type EvidenceOf = (window: Spectra) => Float64Array;

function addEvidence(logits: Float32Array, { spectra }: WindowLatents, evidenceOf?: EvidenceOf) {
  if (evidenceOf === undefined || spectra === undefined) return logits;
  const evidence = evidenceOf(spectra);
  return logits.map((value, k) => value + (evidence[k] as number));
}

/** Class of each trial: the largest mean of its windows' log-probabilities. */
export function vote(
  trials: readonly TrainerTrial[],
  windows: readonly ForwardWindow[],
  readout?: Readout,
): number[] {
  const sums = new Map<TrainerTrial, Float64Array>();
  const evidenceOf = readout === undefined ? undefined : windowEvidence(readout);
  for (const { trial, window, logits } of windows) {
    const own = logSoftmax(addEvidence(logits, window, evidenceOf));
    const sum = sums.get(trial);
    if (sum === undefined) sums.set(trial, own);
    else for (const [k, value] of own.entries()) sum[k] += value;
  }
  return trials.map((trial) => {
    const sum = sums.get(trial) ?? new Float64Array(1);
    return sum.indexOf(Math.max(...sum));
  });
}
