/**
 * What the server may ask of the daemon: the seam between src/server and src/daemon. Every method
 * rejects with an `EegError`.
 */
import type { Observable } from 'rxjs';
import type { CheckpointChange, DaemonEvent, StreamStatus } from './events.js';
import type { TaskSpec } from './tasks.js';

export interface DeviceListing {
  /** What `connect` takes, e.g. `lsl:openbci_1`, `cyton:/dev/serial/by-id/...`. */
  readonly address: string;
  readonly driver: string;
  readonly name: string;
  readonly detail: string;
  readonly connected: boolean;
}

export interface CheckpointListing {
  /** `name@version`. */
  readonly checkpoint: string;
  readonly trained: boolean;
  readonly active: boolean;
  readonly previous: boolean;
  readonly tasks: readonly string[];
  readonly parameters: number;
}

export interface DaemonSnapshot {
  readonly version: string;
  readonly checkpoint: string;
  readonly trained: boolean;
  readonly engine: string;
  /** Why the engine is not on the device it was started on; absent when all is well. */
  readonly degraded?: string;
  readonly tasks: readonly TaskSpec[];
  readonly streams: readonly StreamStatus[];
  /** `[moeBlocks][tasks][experts]`: running share of tokens. */
  readonly routing: readonly (readonly (readonly number[])[])[];
  /** Median ms from arrival of the last sample to the prediction, per task. */
  readonly latencyMsP50: Readonly<Record<string, number>>;
  readonly lastCheckpointChange?: CheckpointChange;
}

export interface RecordingListing {
  readonly id: string;
  readonly stream: string;
  readonly format: 'xdf' | 'edf';
  readonly samples: number;
  /** False: it has ended. */
  readonly running: boolean;
}

/** Time spent in a stage between the amplifier and the queue of windows. */
export interface StageTime {
  /**
   * `arrival`: from a sample's stamp to its arrival; `conditioned`: from there to the 200 Hz
   * signal; `window`: from there to the window's request.
   */
  readonly stage: 'arrival' | 'conditioned' | 'window';
  readonly seconds: number;
}

export interface DaemonApi {
  /** Hot, for metrics. */
  readonly stageTimes$?: Observable<StageTime>;
  /** Seconds and windows that wait for the engine. */
  readonly pending?: number;
  /** False: samples come, and no window was answered when it should have been. */
  dataFlows?(): boolean;
  /** Hot; every subscriber sees events from now on. */
  readonly events$: Observable<DaemonEvent>;
  snapshot(): DaemonSnapshot;
  devices(): Promise<DeviceListing[]>;
  connect(address: string): Promise<{ stream: string }>;
  disconnect(stream: string): Promise<void>;
  checkpoints(): Promise<CheckpointListing[]>;
  /** Verify and warm beside the running one; `shadow` = run both for so many seconds. */
  load(checkpoint: string, options?: { shadowS?: number }): Promise<CheckpointChange>;
  activate(checkpoint: string): Promise<CheckpointChange>;
  rollback(): Promise<CheckpointChange>;
  startRecording(stream: string, format: 'xdf' | 'edf'): Promise<RecordingListing>;
  stopRecording(id: string): Promise<RecordingListing>;
  recordings(): RecordingListing[];
  /** Online adaptation: `name` is start, label, undo, status, commit, rollback or export. */
  adapt(name: string, args: Readonly<Record<string, unknown>>): Promise<Record<string, unknown>>;
}
