/** The signal behind a label, and how it lies on the disk. */
import { gridSamples } from '../core/tasks.js';
import type { Reference } from '../signal/alignment.js';

export interface TrialSignal {
  /** Conditioned, 200 Hz, `[channels, samples]`, uV. */
  readonly data: Float32Array;
  /** `[channels, samples]`, 1 = real. */
  readonly valid: Uint8Array;
  /** `[ticks, channels]`: scale at the end of each 0.25 s, uV; 0 = the channel was not usable. */
  readonly scale: Float32Array;
  /** For alignment, oldest first; `from` counts 200 Hz samples from the trial's begin. */
  readonly references?: readonly Reference[];
  readonly raw?: RawSignal;
}

/** What the amplifier sent, at its own rate. */
export interface RawSignal {
  readonly frames: number;
  /** Frames before the trial's begin: filters that are tried later must settle. */
  readonly lead: number;
  /** `[frames, channels]` of the amplifier, NaN where nothing was received. */
  readonly data: Float32Array;
}

/** What a record says of the bytes. */
export interface TrialLayout {
  readonly samples: number;
  readonly references: readonly number[];
  readonly raw?: { readonly frames: number; readonly lead: number } | undefined;
}

export const ticksOf = (samples: number) => Math.floor(samples / gridSamples);

/** data, scale, covariances, raw, valid: little-endian, as typed arrays lie in memory. */
export function encodeTrial({ data, valid, scale, references = [], raw }: TrialSignal): Uint8Array {
  const floats = [data, scale, ...references.map(({ covariance }) => covariance)];
  if (raw !== undefined) floats.push(raw.data);
  const parts = floats.map((one) => new Uint8Array(one.buffer, one.byteOffset, one.byteLength));
  return Buffer.concat([...parts, valid]);
}

export function decodeTrial(
  bytes: Uint8Array,
  { samples, references, raw }: TrialLayout,
  head: {
    readonly channels: readonly unknown[];
    readonly raw?: { channels: unknown[] } | undefined;
  },
): TrialSignal {
  const channels = head.channels.length;
  let at = 0;
  const take = (count: number): Float32Array => {
    const part = new Float32Array(bytes.buffer, bytes.byteOffset + at, count);
    at += part.byteLength;
    return part;
  };
  const data = take(channels * samples);
  const scale = take(ticksOf(samples) * channels);
  const known = references.map((from) => ({ from, covariance: take(channels * channels) }));
  const rest =
    raw === undefined
      ? {}
      : { raw: { ...raw, data: take(raw.frames * (head.raw?.channels.length ?? 0)) } };
  return { data, scale, valid: bytes.subarray(at), references: known, ...rest };
}
