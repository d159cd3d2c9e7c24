/** Streams and chunks to record in tests. */
import { Rng } from '../../src/core/rng.js';
import type { Chunk, StreamInfo } from '../../src/core/stream.js';

export function streamInfo(changes: Partial<StreamInfo> = {}): StreamInfo {
  return {
    id: 'amp',
    name: 'Amp & <Co>',
    driver: 'synthetic',
    rateHz: 250,
    channels: ['Fp1', 'C3', 'O2'].map((label) => ({ label, kind: 'eeg', unit: 'uV' })),
    sourceId: 'amp-1',
    ...changes,
  };
}

/** Chunks of random sizes from `from` to `to`, stamped at `startS + index / rateHz`. */
export function chunks(info: StreamInfo, from: number, to: number, seed: number): Chunk[] {
  const rng = new Rng(seed);
  const out: Chunk[] = [];
  for (let index = from; index < to; ) {
    const frames = Math.min(to - index, 1 + rng.below(20));
    const stamps = Float64Array.from(
      { length: frames },
      (_, i) => 5000 + (index + i) / info.rateHz,
    );
    const data = Float32Array.from(
      { length: frames * info.channels.length },
      (_, i) => 40 * rng.normal() + 1000 * (i % info.channels.length),
    );
    out.push({ index, frames, data, stamps, arrivalS: stamps[frames - 1] as number });
    index += frames;
  }
  return out;
}

export function valuesOf(parts: readonly Chunk[]): number[] {
  return parts.flatMap(({ data }) => [...data]);
}
