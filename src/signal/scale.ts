/**
 * The running scale the model's input is divided by: per channel, the mean absolute value of the
 * conditioned signal, as an exponential average over 20 minutes with the bias of its start taken
 * out (Kingma and Ba 2015, section 3). Causal; updated once a grid tick.
 */
import { gridS, gridSamples } from '../core/tasks.js';

export const scaleTimeConstantS = 20 * 60;
/** An update counts at most this many times the present scale. */
const updateMax = 4;
export const scaleFloorUv = 0.1;
const decay = Math.exp(-gridS / scaleTimeConstantS);

export class RunningScale {
  readonly #sum: Float64Array;
  readonly #weight: Float64Array;

  constructor(channels: number) {
    this.#sum = new Float64Array(channels);
    this.#weight = new Float64Array(channels);
  }

  /**
   * Take in a tick's `absolute` sum over `valid` samples; a tick less than half valid is left out.
   * Returns the scale in uV, 0 while nothing has been seen.
   */
  update(channel: number, absolute: number, valid: number): number {
    const weight = this.#weight[channel];
    if (valid < gridSamples / 2) return this.#scale(channel);
    let mean = absolute / valid;
    if (weight > 0) mean = Math.min(mean, updateMax * this.#scale(channel));
    this.#sum[channel] = decay * this.#sum[channel] + (1 - decay) * mean;
    this.#weight[channel] = decay * weight + (1 - decay);
    return this.#scale(channel);
  }

  #scale(channel: number): number {
    const weight = this.#weight[channel];
    return weight === 0 ? 0 : Math.max(scaleFloorUv, this.#sum[channel] / weight);
  }
}
