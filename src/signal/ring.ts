/**
 * Conditioned samples with their validity, and the scale and goodness of every grid tick, kept in
 * pages: the last seconds of a live stream, or (without a bound) a whole recording. One code for
 * both, so that a patch is the same to the bit wherever it is cut.
 */
import { gridSamples, modelRateHz, patchSamples } from '../core/tasks.js';
import type { StepOutput } from './conditioner.js';

/** Patches are clipped to this many scales. */
export const patchClip = 20;
const pageSamples = 1000;
const pageTicks = pageSamples / gridSamples;

interface Page {
  number: number;
  /** `[channels, pageSamples]`. */
  readonly data: Float32Array;
  readonly valid: Uint8Array;
  /** `[channels, pageTicks]`: scale in uV after the tick, 0 where the channel was not usable. */
  readonly scale: Float32Array;
}

/** A stretch of the ring; `data` and `valid` are `[channels, samples]`. */
export interface Stretch extends StepOutput {
  readonly channels: number;
}

export class SignalRing {
  readonly channels: number;
  /** Grid index after the newest sample. */
  nextIndex = 0;
  readonly #pagesMax: number;
  readonly #pages = new Map<number, Page>();

  /** `seconds` are kept at least; Infinity keeps everything. */
  constructor(channels: number, seconds: number) {
    this.channels = channels;
    this.#pagesMax = Math.ceil((seconds * modelRateHz) / pageSamples) + 1;
  }

  /** Oldest grid index still held. */
  get firstIndex(): number {
    for (const number of this.#pages.keys()) return number * pageSamples;
    return this.nextIndex;
  }

  /** Append a step's output, which never crosses a grid tick. */
  write(output: StepOutput): void {
    const { index, samples } = output;
    const page = this.#pageFor(Math.floor(index / pageSamples));
    const at = index % pageSamples;
    // Plain loops: for the few samples of a live chunk, views cost more than they copy.
    for (let c = 0, from = 0; c < this.channels; c++) {
      const to = c * pageSamples + at;
      for (let i = 0; i < samples; i++, from++) {
        page.data[to + i] = output.data[from];
        page.valid[to + i] = output.valid[from];
      }
    }
    this.nextIndex = index + samples;
  }

  /** Close tick `tick`: `scale[c]` in uV, 0 = the channel was not usable in the second before. */
  closeTick(tick: number, scale: Float32Array): void {
    const page = this.#pageFor(Math.floor(tick / pageTicks));
    const at = tick % pageTicks;
    for (let c = 0; c < this.channels; c++) page.scale[c * pageTicks + at] = scale[c];
  }

  /** Scale in uV after the tick that ends at `endIndex`; 0 = not usable then, or not held. */
  scaleAt(channel: number, endIndex: number): number {
    const tick = endIndex / gridSamples - 1;
    const page = this.#pages.get(Math.floor(tick / pageTicks));
    return page === undefined ? 0 : page.scale[channel * pageTicks + (tick % pageTicks)];
  }

  /**
   * The second that ends at `endIndex` (a multiple of 50): `out` `[channels, 200]` in scales,
   * clipped to +-20, and `mask` `[channels]`, 1 = every sample real and the channel neither flat
   * nor railed; 0 leaves zeros. Returns how many channels are usable. A second that is not (or no
   * longer) held has none.
   */
  patches(endIndex: number, out: Float32Array, mask: Float32Array): number {
    if (endIndex % gridSamples !== 0) {
      throw new RangeError(`expected a patch to end on a multiple of 50, got ${endIndex}`);
    }
    if (out.length < this.channels * patchSamples || mask.length < this.channels) {
      throw new RangeError(`expected room for ${this.channels} channels`);
    }
    const held = endIndex <= this.nextIndex && endIndex >= patchSamples;
    let usable = 0;
    for (let c = 0; c < this.channels; c++) {
      const patch = out.subarray(c * patchSamples, (c + 1) * patchSamples);
      const scale = held ? this.scaleAt(c, endIndex) : 0;
      mask[c] = scale > 0 && this.#cut(c, endIndex - patchSamples, scale, patch) ? 1 : 0;
      if (mask[c] === 0) patch.fill(0);
      else usable++;
    }
    return usable;
  }

  /** Samples `start .. end` as they stand; not valid where they are not held. */
  copy(start: number, end: number): Stretch {
    const samples = Math.max(0, end - start);
    const data = new Float32Array(this.channels * samples);
    const valid = new Uint8Array(this.channels * samples);
    this.#eachPage(start, Math.min(end, this.nextIndex), (page, from, to, at) => {
      for (let c = 0; c < this.channels; c++) {
        const base = c * pageSamples;
        data.set(page.data.subarray(base + from, base + to), c * samples + at);
        valid.set(page.valid.subarray(base + from, base + to), c * samples + at);
      }
    });
    return { index: start, samples, channels: this.channels, data, valid };
  }

  /** Scale one channel's samples from `start` into `patch`; false when one is not valid. */
  #cut(channel: number, start: number, scale: number, patch: Float32Array): boolean {
    const base = channel * pageSamples;
    let good = 0;
    this.#eachPage(start, start + patchSamples, (page, from, to, at) => {
      for (let i = from; i < to; i++) {
        good += page.valid[base + i];
        const x = page.data[base + i] / scale;
        patch[at + i - from] = Math.min(patchClip, Math.max(-patchClip, x));
      }
    });
    return good === patchSamples;
  }

  /** Visit the held pages of `start .. end`: samples `from .. to` of each, `at` from the start. */
  #eachPage(
    start: number,
    end: number,
    visit: (page: Page, from: number, to: number, at: number) => void,
  ): void {
    for (let index = Math.max(0, start); index < end; ) {
      const number = Math.floor(index / pageSamples);
      const from = index - number * pageSamples;
      const to = Math.min(pageSamples, end - number * pageSamples);
      const page = this.#pages.get(number);
      if (page !== undefined) visit(page, from, to, index - start);
      index += to - from;
    }
  }

  #pageFor(number: number): Page {
    const held = this.#pages.get(number);
    if (held !== undefined) return held;
    const page = this.#freshPage(number);
    this.#pages.set(number, page);
    return page;
  }

  /** The oldest page emptied, or a new one while there is room. Pages age in insertion order. */
  #freshPage(number: number): Page {
    if (this.#pages.size >= this.#pagesMax) {
      for (const oldest of this.#pages.values()) {
        this.#pages.delete(oldest.number);
        oldest.number = number;
        oldest.valid.fill(0);
        oldest.scale.fill(0);
        return oldest;
      }
    }
    return {
      number,
      data: new Float32Array(this.channels * pageSamples),
      valid: new Uint8Array(this.channels * pageSamples),
      scale: new Float32Array(this.channels * pageTicks),
    };
  }
}
