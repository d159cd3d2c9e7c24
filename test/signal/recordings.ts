/** Made-up recordings for the signal tests: samples, holes, NaN bursts and rails from a seed. */
import { Rng } from '../../src/core/rng.js';
import type { ChannelInfo, DriverEvent, StreamInfo } from '../../src/core/stream.js';

export function streamOf(rateHz: number, labels: readonly string[], fullScale?: number) {
  const channels = labels.map((label): ChannelInfo => {
    const base = { label, kind: 'eeg', unit: 'uV' } as const;
    return fullScale === undefined ? base : { ...base, fullScale };
  });
  return { id: 'made-up', name: 'made up', driver: 'test', rateHz, channels } satisfies StreamInfo;
}

/** Frame-major noise, alpha and an electrode offset. */
export function noise(rateHz: number, channels: number, frames: number, seed: number) {
  const rng = new Rng(seed);
  const data = new Float32Array(frames * channels);
  const slow = new Float64Array(channels);
  for (let f = 0; f < frames; f++) {
    for (let c = 0; c < channels; c++) {
      slow[c] = 0.98 * slow[c] + 3 * rng.normal();
      const alpha = 12 * Math.sin((2 * Math.PI * 10 * f) / rateHz + c);
      data[f * channels + c] = 1500 * (c - 1) + slow[c] + alpha + 2 * rng.normal();
    }
  }
  return data;
}

/** Frames that never came: `[from, to)`. */
export type Hole = readonly [number, number];

/** Cut frames into chunks of the sizes `next` gives, leaving out the holes. */
export function cut(
  data: Float32Array,
  channels: number,
  rateHz: number,
  next: () => number,
  holes: readonly Hole[] = [],
): DriverEvent[] {
  const events: DriverEvent[] = [];
  const frames = data.length / channels;
  const sorted = [...holes].sort((a, b) => a[0] - b[0]);
  for (let index = 0; index < frames; ) {
    const hole = sorted.find(([from, to]) => from <= index && index < to);
    if (hole !== undefined) {
      events.push({ kind: 'gap', missing: Math.min(hole[1], frames) - index, reason: 'lost' });
      index = hole[1];
      continue;
    }
    const wall = sorted.find(([from]) => from > index)?.[0] ?? frames;
    const size = Math.min(next(), wall - index, frames - index);
    const slice = data.slice(index * channels, (index + size) * channels);
    const arrivalS = 100 + (index + size) / rateHz;
    events.push({ kind: 'chunk', chunk: { index, frames: size, data: slice, arrivalS } });
    index += size;
  }
  return events;
}
