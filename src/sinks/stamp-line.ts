/**
 * Stamps for streams that bring none: a line of arrival times over the sample index, fitted
 * recursively with a half time of 90 s (the smoothing liblsl applies in an inlet).
 */
import type { Chunk } from '../core/stream.js';

const halfTimeS = 90;
/** What is known before the first sample: crystals are true to 100 ppm, arrivals to 5 ms. */
const ratePrior = 1e-4;
const jitterS = 0.005;

export class StampLine {
  readonly #rateHz: number;
  #start: { index: number; timeS: number } | undefined;
  #w0 = 0;
  #w1: number;
  #p00 = 1e10;
  #p01 = 0;
  #p11: number;

  constructor(rateHz: number) {
    this.#rateHz = rateHz;
    this.#w1 = rateHz > 0 ? 1 / rateHz : 0;
    this.#p11 = ((this.#w1 * ratePrior) / jitterS) ** 2;
  }

  /** LSL seconds of the chunk's frames. */
  stamps(chunk: Chunk): Float64Array {
    const { index, frames, arrivalS } = chunk;
    if (!(this.#rateHz > 0)) return new Float64Array(frames).fill(arrivalS);
    const last = index + frames - 1;
    this.#start ??= { index: last, timeS: arrivalS };
    const { index: origin, timeS } = this.#start;
    this.#observe(last - origin, arrivalS - timeS, frames);
    return Float64Array.from(
      { length: frames },
      (_, i) => timeS + this.#w0 + this.#w1 * (index + i - origin),
    );
  }

  #observe(u: number, t: number, frames: number): void {
    const forget = 2 ** (-frames / (this.#rateHz * halfTimeS));
    const p0 = this.#p00 + u * this.#p01;
    const p1 = this.#p01 + u * this.#p11;
    const miss = t - (this.#w0 + u * this.#w1);
    const gain = 1 / (forget + p0 + p1 * u);
    this.#p00 = (this.#p00 - p0 * p0 * gain) / forget;
    this.#p01 = (this.#p01 - p0 * p1 * gain) / forget;
    this.#p11 = (this.#p11 - p1 * p1 * gain) / forget;
    this.#w0 += miss * (this.#p00 + this.#p01 * u);
    this.#w1 += miss * (this.#p01 + this.#p11 * u);
  }
}
