/**
 * What the daemon tells the world. The server sends these as they are, sinks record them. Stream
 * times are LSL seconds (`localClock()`).
 */

export type NoPredictionReason =
  | 'gap'
  | 'bad_channels'
  | 'no_usable_channel'
  | 'warming_up'
  | 'stale'
  | 'overload'
  | 'engine_failed';

interface WindowOf {
  readonly stream: string;
  readonly task: string;
  /** Counts this task's windows on this stream from 0, without holes. */
  readonly seq: number;
  readonly windowStartS: number;
  readonly windowEndS: number;
  /** 200 Hz sample index, end exclusive. */
  readonly startSample: number;
  readonly endSample: number;
  /** Share of the window's channel-seconds that are real, 0..1. */
  readonly validity: number;
}

export interface Latency {
  /** Last sample's arrival to the start of the run, ms. */
  readonly queueMs: number;
  readonly runMs: number;
  /** Last sample's arrival to the prediction, ms. */
  readonly totalMs: number;
}

export interface Prediction extends WindowOf {
  readonly kind: 'prediction';
  /** Calibrated, sums to 1. */
  readonly probabilities: Readonly<Record<string, number>>;
  /** After the task's smoothing. */
  readonly smoothed: Readonly<Record<string, number>>;
  readonly label: string;
  /** `name@version` of the checkpoint. */
  readonly checkpoint: string;
  /** False: seeded weights that were never trained. Never take such a prediction for real. */
  readonly trained: boolean;
  readonly latency: Latency;
}

export interface NoPrediction extends WindowOf {
  readonly kind: 'no_prediction';
  readonly reason: NoPredictionReason;
  readonly detail?: string;
}

/** Something that begins and ends, e.g. a seizure: one `begin`, then one `end` of the same id. */
export interface TaskEvent {
  readonly kind: 'event';
  readonly stream: string;
  readonly task: string;
  readonly id: number;
  readonly phase: 'begin' | 'end';
  readonly label: string;
  readonly stampS: number;
  readonly peak: number;
}

export type StreamState = 'connecting' | 'streaming' | 'silent' | 'lost' | 'ended' | 'failed';

export interface ChannelQuality {
  readonly label: string;
  readonly state: 'good' | 'flat' | 'railed' | 'mains' | 'gap' | 'nan' | 'noisy';
  readonly rmsUv: number;
  /** Power at 50/60 Hz over power of 1-45 Hz. */
  readonly mainsRatio: number;
}

export interface StreamStatus {
  readonly kind: 'status';
  readonly stream: string;
  readonly name: string;
  readonly driver: string;
  readonly state: StreamState;
  readonly detail?: string;
  readonly nominalRateHz: number;
  /** Estimated from stamps; 0 until known. */
  readonly rateHz: number;
  readonly channels: readonly string[];
  readonly samples: number;
  readonly lostSamples: number;
  readonly discardedBytes: number;
  readonly lastSampleS: number;
  /** This machine's clock minus the source's, s, where the source has one (LSL). */
  readonly clockOffsetS?: number;
}

export interface QualityReport {
  readonly kind: 'quality';
  readonly stream: string;
  readonly stampS: number;
  readonly channels: readonly ChannelQuality[];
}

/** A device's marker or annotation, passed through. */
export interface MarkerEvent {
  readonly kind: 'marker';
  readonly stream: string;
  readonly stampS: number;
  readonly text: string;
}

/** Conditioned signal of one stream, 200 Hz. Binary on the wire. */
export interface SignalBlock {
  readonly kind: 'signal';
  readonly stream: string;
  /** 200 Hz index of the first sample. */
  readonly index: number;
  readonly stampS: number;
  readonly samples: number;
  readonly channels: number;
  /** `[channels, samples]`, uV; NaN where no real sample was received. */
  readonly data: Float32Array;
}

export interface CheckpointChange {
  readonly kind: 'checkpoint';
  readonly phase: 'loading' | 'verified' | 'shadow' | 'active' | 'failed' | 'rolled_back';
  readonly checkpoint: string;
  readonly previous?: string;
  readonly detail?: string;
  /** With `active`: the tasks served from now on. */
  readonly tasks?: readonly string[];
}

/** A recording began, was ended, or ended by itself: `failed`, e.g. by a full disk. */
export interface RecordingUpdate {
  readonly kind: 'recording';
  readonly stream: string;
  /** File name in the recordings' folder. */
  readonly id: string;
  readonly phase: 'started' | 'stopped' | 'failed';
  readonly samples: number;
  /** With `failed`: an error code and its message. */
  readonly code?: string;
  readonly detail?: string;
}

/** Progress of online adaptation; `body` is documented in src/adaptation. */
export interface AdaptationUpdate {
  readonly kind: 'adaptation';
  readonly stream: string;
  readonly body: Readonly<Record<string, unknown>>;
}

export type DaemonEvent =
  | Prediction
  | NoPrediction
  | TaskEvent
  | StreamStatus
  | QualityReport
  | MarkerEvent
  | SignalBlock
  | CheckpointChange
  | RecordingUpdate
  | AdaptationUpdate;
