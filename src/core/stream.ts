/**
 * What travels between a driver and the signal path: stream descriptions and driver events.
 * Plain values only; nothing here touches a device or a clock.
 */

export type ChannelKind = 'eeg' | 'eog' | 'emg' | 'ecg' | 'accel' | 'aux' | 'trigger' | 'misc';

export interface ChannelInfo {
  /** As the device or file names it, e.g. `Fc5.`, `EEG Fpz-Cz`, `C3-A2`. */
  readonly label: string;
  readonly kind: ChannelKind;
  /** Unit of the values in a chunk. EEG always arrives as `uV`: the driver has scaled it. */
  readonly unit: string;
  /** Absolute value in `unit` at which the amplifier saturates, where known. */
  readonly fullScale?: number;
  /** Unit-sphere position (x right, y front, z up) where the device itself tells it. */
  readonly position?: readonly [number, number, number];
}

export interface StreamInfo {
  /** Unique in the daemon and stable over reconnects, `[a-z0-9][a-z0-9._-]{0,63}`. */
  readonly id: string;
  readonly name: string;
  /** Driver folder that produced it: `lsl`, `cyton`, `replay`, ... */
  readonly driver: string;
  /** Nominal rate in Hz; 0 for irregular (marker) streams. */
  readonly rateHz: number;
  readonly channels: readonly ChannelInfo[];
  readonly sourceId?: string;
  readonly manufacturer?: string;
}

/** Consecutive frames of all channels. */
export interface Chunk {
  /** Index of the first frame since the stream began, counting lost frames too. */
  readonly index: number;
  readonly frames: number;
  /** Frame-major `[frames, channels]`, in the channel's unit. NaN = the device sent no value. */
  readonly data: Float32Array;
  /** Time of each frame in LSL seconds (`localClock()`), where the source stamps; else absent. */
  readonly stamps?: Float64Array;
  /** `localClock()` when the last frame arrived here. */
  readonly arrivalS: number;
}

/** `recorded`: the recording that is replayed has it; `seek`: at the seam of a loop. */
export type GapReason = 'lost' | 'corrupt' | 'disconnect' | 'overflow' | 'recorded' | 'seek';

/** A replay has them: nothing was lost now. */
export const isReplayed = (reason: GapReason): boolean =>
  reason === 'recorded' || reason === 'seek';

/** Time in LSL seconds: seconds of this machine's monotonic clock. */
export interface Marker {
  readonly stampS: number;
  readonly text: string;
  readonly durationS?: number;
}

/** `silent`: connected, but nothing has come for twice the expected time. */
export type DriverState = 'connecting' | 'streaming' | 'silent' | 'lost' | 'ended' | 'failed';

export type DriverEvent =
  /** First event of a stream, and again after a reconnect. Format never changes under one id. */
  | { readonly kind: 'info'; readonly info: StreamInfo }
  | { readonly kind: 'chunk'; readonly chunk: Chunk }
  /** `missing` frames before the next chunk; `Chunk.index` has already counted them. */
  | { readonly kind: 'gap'; readonly missing: number; readonly reason: GapReason }
  /** Bytes that belonged to no valid frame. */
  | { readonly kind: 'discarded'; readonly bytes: number }
  | { readonly kind: 'marker'; readonly marker: Marker }
  /** The source has a clock of its own: ours minus that one, s. Told when it is measured anew. */
  | { readonly kind: 'clock'; readonly offsetS: number }
  | {
      readonly kind: 'status';
      readonly state: DriverState;
      /** One line for the user: what was expected, what came, what to do. */
      readonly detail?: string;
      readonly code?: string;
    };
