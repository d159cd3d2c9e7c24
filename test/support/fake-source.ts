/** A stream whose samples are a formula, so that any second can be had at any time. */
import type { NoPredictionReason } from '../../src/core/events.js';
import type { PatchSource } from '../../src/windows/served-stream.js';

export class FakeSource implements PatchSource {
  readonly id: string;
  readonly channels: number;
  readonly positions: Float32Array;
  /** `[start, end)` in samples: nothing was received. */
  gaps: [number, number][] = [];
  badChannels = new Set<number>();
  reads = 0;

  constructor(id: string, channels: number) {
    this.id = id;
    this.channels = channels;
    this.positions = new Float32Array(channels * 6).fill(0.5);
  }

  oldestSample(): number {
    return 0;
  }

  patches(endSample: number, out: Float32Array, mask: Float32Array): void {
    this.reads++;
    const phase = this.id.length;
    for (let c = 0; c < this.channels; c++) {
      mask[c] = this.badChannels.has(c) || this.#inGap(endSample) ? 0 : 1;
      for (let i = 0; i < 200; i++)
        out[c * 200 + i] = Math.sin((endSample - 200 + i) / (7 + c) + phase);
    }
  }

  reason(endSample: number): NoPredictionReason {
    return this.#inGap(endSample) ? 'gap' : 'bad_channels';
  }

  #inGap(endSample: number): boolean {
    return this.gaps.some(([start, end]) => start < endSample && end > endSample - 200);
  }
}
