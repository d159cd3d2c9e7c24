/**
 * A prepared recording on disk: the conditioned 200 Hz signal, and for every grid tick and channel
 * the running scale, 0 where the second before it has no usable patch. Read by position: never
 * more than the windows asked for is in memory.
 *
 * `KEY.signal` blocks of `[channels, 2000]` float32, `KEY.scale` `[ticks, channels]` float32,
 * `KEY.json` the header, written last: what has no header is not there.
 */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { gridSamples, patchSamples } from '../core/tasks.js';
import { patchClip } from '../signal/ring.js';

export const blockSamples = 2000;

export interface PreparedHeader {
  readonly version: 1;
  readonly preprocessing: string;
  /** SHA-256 of the source file, or what describes a generated one. */
  readonly source: string;
  readonly channels: readonly string[];
  /** `[channels, 6]`. */
  readonly positions: readonly number[];
  readonly samples: number;
  readonly sourceRateHz: number;
  readonly lostSamples: number;
}

export class PreparedRecording {
  readonly header: PreparedHeader;
  readonly positions: Float32Array;
  readonly #stem: string;

  constructor(folder: string, key: string) {
    this.#stem = join(folder, key);
    this.header = JSON.parse(readFileSync(`${this.#stem}.json`, 'utf8')) as PreparedHeader;
    this.positions = Float32Array.from(this.header.positions);
  }

  get channels(): number {
    return this.header.channels.length;
  }

  get samples(): number {
    return this.header.samples;
  }

  /** `[channels, end - start]` microvolts; zeros outside the recording. */
  signal(start: number, end: number): Float32Array {
    const { channels } = this;
    const out = new Float32Array(channels * (end - start));
    const from = Math.max(0, start);
    const to = Math.min(end, this.samples);
    if (to <= from) return out;
    const first = Math.floor(from / blockSamples);
    const last = Math.floor((to - 1) / blockSamples);
    const block = channels * blockSamples;
    const raw = this.#read('signal', first * block, (last - first + 1) * block);
    for (let b = first; b <= last; b++) {
      const low = Math.max(from, b * blockSamples);
      const high = Math.min(to, (b + 1) * blockSamples);
      for (let c = 0; c < channels; c++) {
        const at = (b - first) * block + c * blockSamples + low - b * blockSamples;
        out.set(raw.subarray(at, at + high - low), c * (end - start) + low - start);
      }
    }
    return out;
  }

  /** `[ticks, channels]`: scales after the ticks `first .. first + ticks`. */
  scales(first: number, ticks: number): Float32Array {
    const { channels } = this;
    const out = new Float32Array(ticks * channels);
    const from = Math.max(0, first);
    const to = Math.min(first + ticks, this.samples / gridSamples);
    if (to <= from) return out;
    out.set(
      this.#read('scale', from * channels, (to - from) * channels),
      (from - first) * channels,
    );
    return out;
  }

  /**
   * The seconds that end at `ends` (ascending, multiples of 50): `out` `[ends, channels, 200]` in
   * running scales and `mask` `[ends, channels]`, equal to the bit to what the live ring cuts.
   * `picked` takes these channels only, in this order.
   */
  patches(
    ends: readonly number[],
    out: Float32Array,
    mask: Float32Array,
    picked?: readonly number[],
  ): void {
    const { channels } = this;
    if (ends.length === 0) return;
    const taken = picked ?? Array.from({ length: channels }, (_, c) => c);
    const start = ends[0] - patchSamples;
    const stop = ends[ends.length - 1];
    const signal = this.signal(start, stop);
    const length = stop - start;
    const firstTick = ends[0] / gridSamples - 1;
    const scales = this.scales(firstTick, stop / gridSamples - firstTick);
    for (const [i, end] of ends.entries())
      for (const [place, c] of taken.entries()) {
        const scale = scales[(end / gridSamples - 1 - firstTick) * channels + c];
        const row = i * taken.length + place;
        mask[row] = scale > 0 ? 1 : 0;
        if (scale === 0) continue;
        const from = c * length + end - patchSamples - start;
        for (let t = 0; t < patchSamples; t++) {
          const x = signal[from + t] / scale;
          out[row * patchSamples + t] = Math.min(patchClip, Math.max(-patchClip, x));
        }
      }
  }

  #read(part: 'signal' | 'scale', from: number, floats: number): Float32Array {
    const out = new Float32Array(floats);
    const bytes = new Uint8Array(out.buffer);
    const file = openSync(`${this.#stem}.${part}`, 'r');
    try {
      for (let got = 0; got < bytes.length; ) {
        const more = readSync(file, bytes, got, bytes.length - got, from * 4 + got);
        if (more === 0) break;
        got += more;
      }
    } finally {
      closeSync(file);
    }
    return out;
  }
}
