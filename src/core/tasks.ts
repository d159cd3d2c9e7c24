/**
 * What a task is: the classes, the span of signal one prediction is made from, and how raw
 * probabilities become decisions. Part of a checkpoint's manifest, used by windows, training,
 * daemon and dashboard alike.
 */
import type { Transitions } from './forward-filter.js';

export interface TaskSpec {
  /** `sleep`, `seizure`, `motor_imagery`, `workload`, or a name of the user's. */
  readonly name: string;
  readonly classes: readonly string[];
  /** Whole seconds of signal in a window. */
  readonly windowS: number;
  /** Seconds between windows, a multiple of `gridS`. */
  readonly hopS: number;
  /** Preceding windows whose per-second latents are averaged and prepended, oldest first. */
  readonly contextWindows: number;
  /** Seconds are seen as differences to the mean of the windows so far, and that as one more. */
  readonly history?: boolean | undefined;
  /** Its head sees the window's mean of each latent by itself; absent = the mean of them all. */
  readonly apart?: boolean | undefined;
  /** Smallest share of the window's seconds that must be usable, else `no_prediction`. */
  readonly minValid: number;
  /** Divides the logits before the softmax (Guo et al. 2017). */
  readonly temperature: number;
  /** Exponential smoothing of probabilities over windows: weight of the new window, 1 = none. */
  readonly smoothing: number;
  /** Decisions by a Markov chain over the windows, in the place of smoothing. */
  readonly transitions?: Transitions | undefined;
  /** Classes that open an event when held, with hysteresis; absent = no events. */
  readonly event?: {
    readonly label: string;
    readonly on: number;
    readonly off: number;
    /** Windows in a row before an onset is declared. */
    readonly hold: number;
  };
}

/** Seconds from one window of the context to the next: those that overlap say little new. */
export const contextStepS = ({ windowS, hopS }: Pick<TaskSpec, 'windowS' | 'hopS'>): number =>
  Math.max(windowS, hopS);

/** The signal every model sees. */
export const modelRateHz = 200;
/** Samples of one patch: 1 s of one channel. */
export const patchSamples = 200;
/** Patches begin on this grid (0.25 s), counted from the stream's first conditioned sample. */
export const gridSamples = 50;
export const gridS = gridSamples / modelRateHz;
