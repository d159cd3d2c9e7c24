/** From the windows of trials to one answer a trial, experts and read-out together. */
import { evidenceOf, type Readout } from '../core/readout.js';
import { logSoftmax } from './readout-trainer.js';
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

/** What the experts' logits may count beside the read-out's, and what a larger share must gain. */
const shares = [0, 0.25, 0.5, 1];
const shareWorth = 0.01;

/** The share of the experts' logits with which these windows are told best. */
export function bestShare(
  windows: readonly ForwardWindow[],
  readout: Readout,
): { share: number; loss: number } {
  const losses = shares.map((share) => {
    const sum = windows.reduce((total, { trial, window, logits }) => {
      const own = addEvidence(
        logits.map((value) => share * value),
        window,
        readout,
      );
      return total - (logSoftmax(own)[trial.label] as number);
    }, 0);
    return sum / windows.length;
  });
  let best = 0;
  for (const [i, loss] of losses.entries())
    if (loss < (losses[best] as number) - shareWorth) best = i;
  return { share: shares[best] as number, loss: losses[best] as number };
}

function addEvidence(logits: Float32Array, { spectra }: WindowLatents, readout?: Readout) {
  if (readout === undefined || spectra === undefined) return logits;
  const evidence = evidenceOf(readout, spectra[readout.alignment]);
  return logits.map((value, k) => value + (evidence[k] as number));
}

/** Class of each trial: the largest mean of its windows' log-probabilities. */
export function vote(
  trials: readonly TrainerTrial[],
  windows: readonly ForwardWindow[],
  readout?: Readout,
): number[] {
  const sums = new Map<TrainerTrial, Float64Array>();
  for (const { trial, window, logits } of windows) {
    const own = logSoftmax(addEvidence(logits, window, readout));
    const sum = sums.get(trial);
    if (sum === undefined) sums.set(trial, own);
    else for (const [k, value] of own.entries()) sum[k] += value;
  }
  return trials.map((trial) => {
    const sum = sums.get(trial) ?? new Float64Array(1);
    return sum.indexOf(Math.max(...sum));
  });
}
