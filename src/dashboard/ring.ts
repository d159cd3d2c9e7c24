/** The last seconds of one stream's signal, by 200 Hz index; what was not received is NaN. */
import { modelRateHz } from '../core/tasks.js';

export class SignalRing {
  readonly channels: number;
  readonly samples: number;
  readonly #data: Float32Array;
  /** Index after the newest sample. */
  #end = 0;

  constructor(channels: number, seconds: number) {
    this.channels = channels;
    this.samples = seconds * modelRateHz;
    this.#data = new Float32Array(channels * this.samples).fill(Number.NaN);
  }

  get end(): number {
    return this.#end;
  }

  copy(): SignalRing {
    const copy = new SignalRing(this.channels, this.samples / modelRateHz);
    copy.#data.set(this.#data);
    copy.#end = this.#end;
    return copy;
  }

  /** Append `[channels, samples]` at `index`; a hole before it becomes NaN, the past is not redone. */
  push(index: number, samples: number, data: Float32Array): void {
    if (index < this.#end) {
      if (index + samples > this.#end - this.samples / 2) return;
      this.#end = index;
      this.#data.fill(Number.NaN);
    }
    const hole = Math.min(index - this.#end, this.samples);
    for (let i = 0; i < hole; i++) this.#clear(index - 1 - i);
    for (let c = 0; c < this.channels; c++)
      for (let i = 0; i < samples; i++)
        this.#data[this.#at(c, index + i)] = data[c * samples + i] ?? Number.NaN;
    this.#end = index + samples;
  }

  /** NaN where there is none. */
  value(channel: number, index: number): number {
    if (index >= this.#end || index < this.#end - this.samples || index < 0) return Number.NaN;
    return this.#data[this.#at(channel, index)] ?? Number.NaN;
  }

  /** Typical size of the last `seconds`: median over channels of the root mean square, uV. */
  typicalUv(seconds: number): number {
    const sizes: number[] = [];
    const from = Math.max(0, this.#end - seconds * modelRateHz);
    for (let c = 0; c < this.channels; c++) {
      let sum = 0;
      let count = 0;
      for (let i = from; i < this.#end; i += 4) {
        const value = this.value(c, i);
        if (Number.isNaN(value)) continue;
        sum += value * value;
        count += 1;
      }
      if (count > 0) sizes.push(Math.sqrt(sum / count));
    }
    sizes.sort((a, b) => a - b);
    return sizes[sizes.length >> 1] ?? 0;
  }

  #clear(index: number): void {
    if (index < 0) return;
    for (let c = 0; c < this.channels; c++) this.#data[this.#at(c, index)] = Number.NaN;
  }

  #at(channel: number, index: number): number {
    return channel * this.samples + (index % this.samples);
  }
}
