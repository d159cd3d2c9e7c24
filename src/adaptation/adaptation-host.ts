/** What adaptation needs of the daemon, which implements it. */
import type { Observable } from 'rxjs';
import type { AdaptationUpdate, CheckpointChange, DaemonEvent } from '../core/events.js';
import type { ChannelInfo } from '../core/stream.js';
import type { TaskSpec } from '../core/tasks.js';
import type { EncodedPack } from '../model/pack-checkpoint.js';
import type { Reference } from '../signal/alignment.js';
import type { RawSignal } from './trial-signal.js';

/** The conditioned signal of a connected stream, while it runs. */
export interface LabelledSource {
  readonly id: string;
  readonly channels: readonly string[];
  /** `[channels, 6]`. */
  readonly positions: Float32Array;
  /** 200 Hz indices held: first, and after the last. */
  readonly firstSample: number;
  readonly nextSample: number;
  /** LSL seconds of an index. */
  stampS(index: number): number;
  /** `[channels, samples]`, uV, and 1 where real. */
  copy(start: number, end: number): { readonly data: Float32Array; readonly valid: Uint8Array };
  /** Scale of a channel after the tick that ends at `end`, uV; 0 = not usable then. */
  scaleAt(channel: number, end: number): number;
  /** What alignment knew at an index. */
  reference(index: number): Reference | undefined;
  /** Every channel of the amplifier, and its nominal rate. */
  readonly rawChannels: readonly ChannelInfo[];
  readonly rawRateHz: number;
  /** What the driver sent for `start .. end`; undefined where it was not kept. */
  raw?(start: number, end: number): RawSignal | undefined;
}

export interface ServingBase {
  /** `name@release`, packs left out. */
  readonly id: string;
  readonly folder: string;
  /** Of the base alone. */
  readonly tasks: readonly TaskSpec[];
  readonly hasExperts: boolean;
}

export interface AdaptationHost {
  readonly events$: Observable<DaemonEvent>;
  /** The named stream, or the only one. Throws `EEG_STREAM_UNKNOWN`. */
  source(stream: string | undefined): LabelledSource;
  /** What serves now. */
  serving(): string;
  base(): Promise<ServingBase>;
  /** Store the pack beside the checkpoints and serve it with what serves now, by the hot swap. */
  activate(pack: EncodedPack, metrics: Record<string, number>): Promise<CheckpointChange>;
  rollback(): Promise<CheckpointChange>;
  /** Keep the raw samples of this stream from now on, of no other; of none where absent. */
  keepRaw(stream: string | undefined): void;
  emit(update: AdaptationUpdate): void;
}
