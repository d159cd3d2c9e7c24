/** A recording that lies in memory: generated ones, and parts of a file as streams of their own. */
import type { ChannelInfo } from '../../core/stream.js';
import type { Recording } from '../../formats/recording.js';

/** `signals` are `[frames]` microvolts a channel. */
export function memoryRecording(
  name: string,
  rateHz: number,
  labels: readonly string[],
  signals: readonly Float32Array[],
): Recording {
  const width = signals.length;
  const frames = signals[0]?.length ?? 0;
  return {
    name,
    format: 'edf',
    rateHz,
    channels: labels.map((label): ChannelInfo => ({ label, kind: 'eeg', unit: 'uV' })),
    frames,
    annotations: [],
    gaps: [],
    notes: [],
    read: (start, count) => {
      if (start < 0 || start + count > frames)
        throw new RangeError(`frames ${start}+${count} of a recording of ${frames}`);
      const out = new Float32Array(count * width);
      for (let c = 0; c < width; c++)
        for (let i = 0; i < count; i++) out[i * width + c] = signals[c][start + i];
      return out;
    },
    close: () => undefined,
  };
}

/** Part of a recording, `gain` times as large, as a stream of its own. */
export function partOf(
  whole: Recording,
  range: { readonly startS: number; readonly endS: number } | undefined,
  gain = 1,
): Recording {
  if (range === undefined && gain === 1) return whole;
  const first = range === undefined ? 0 : Math.max(0, Math.round(range.startS * whole.rateHz));
  const last =
    range === undefined
      ? whole.frames
      : Math.min(whole.frames, Math.round(range.endS * whole.rateHz));
  return {
    ...whole,
    frames: Math.max(0, last - first),
    annotations: [],
    gaps: whole.gaps
      .filter((gap) => gap.frame > first && gap.frame < last)
      .map((gap) => ({ ...gap, frame: gap.frame - first })),
    read: (start, count) => {
      const data = whole.read(first + start, count);
      if (gain !== 1) for (let i = 0; i < data.length; i++) data[i] *= gain;
      return data;
    },
    close: () => whole.close(),
  };
}
