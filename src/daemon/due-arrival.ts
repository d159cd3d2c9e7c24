/**
 * When the samples of a stream came, or should have: after a pause of this process, or of the way
 * to it, what was held up comes at once, and its arrival says nothing of its age. Such samples
 * count as if they had come with the delay that the stream has else, so that windows of long ago
 * are dropped as stale, or tell their true latency.
 */

/** Later than usual by less than this is how streams are, s. */
const lateMinS = 0.5;
/** Whoever catches up does so within this, s; else it is the delay that has changed, or a clock. */
const catchUpMaxS = 2;
/** Weight of a new delay in the usual one. */
const weight = 0.02;

export class DueArrival {
  #usualS: number | undefined;
  #lateSinceS: number | undefined;

  /** LSL seconds for a block whose last sample is of `stampS` and which came at `arrivalS`. */
  at(stampS: number, arrivalS: number): number {
    const delayS = arrivalS - stampS;
    const usualS = this.#usualS ?? delayS;
    if (delayS <= usualS + lateMinS) {
      this.#usualS = usualS + weight * (delayS - usualS);
      this.#lateSinceS = undefined;
      return arrivalS;
    }
    this.#lateSinceS ??= arrivalS;
    if (arrivalS - this.#lateSinceS <= catchUpMaxS) return stampS + usualS;
    this.#usualS = delayS;
    this.#lateSinceS = undefined;
    return arrivalS;
  }
}
