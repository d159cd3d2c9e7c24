/** What daemon and learner process say to each other over IPC (structured clone: arrays pass). */
import type { TaskSpec } from '../core/tasks.js';
import type { EngineKind } from '../engine/worker-protocol.js';
import type { EncodedPack } from '../model/pack-checkpoint.js';
import type { TrialSignal } from './trial-signal.js';

export interface LearnerStart {
  /** Folder of the base checkpoint. */
  readonly checkpoint: string;
  readonly task: TaskSpec;
  /** Name of the pack. */
  readonly pack: string;
  readonly experts: number;
  /** Task of the base to start from, where one is like it. */
  readonly like?: string;
  /** `[channels, 6]`. */
  readonly positions: Float32Array;
  /** Their labels. */
  readonly channels: readonly string[];
  readonly seed: number;
  readonly threads: number;
  /** What computes losses and gradients; ONNX Runtime where absent. */
  readonly engine?: EngineKind;
}

export interface TrialMessage {
  readonly kind: 'trial';
  readonly id: number;
  readonly label: number;
  readonly signal: TrialSignal;
}

export type ToLearner =
  | { readonly kind: 'start'; readonly start: LearnerStart }
  | TrialMessage
  | { readonly kind: 'forget'; readonly id: number }
  | { readonly kind: 'relabel'; readonly id: number; readonly label: number }
  /** Learn from what there is, now. */
  | { readonly kind: 'learn' };

export interface Learned {
  readonly kind: 'learned';
  /** Ready to be stored: the daemon's main thread has no time to make it so. */
  readonly pack: EncodedPack;
  /** Trials it learned from, by number. */
  readonly trials: readonly number[];
  /** By cross-validation over whole trials. */
  readonly correct: number;
  readonly total: number;
  /** Of the same, right by the base's task that it is a person's version of. */
  readonly baseCorrect?: number;
  /** Labels of the judged trials. */
  readonly labels: readonly number[];
  /** Old tasks whose answers are not the same bytes; must be none. */
  readonly changedTasks: readonly string[];
  readonly epochs: number;
  /** What the experts' logits count beside the read-out's. */
  readonly expertShare: number;
  readonly seconds: number;
}

export type FromLearner =
  | { readonly kind: 'ready' }
  /** A trial was predicted before it was learned from. */
  | { readonly kind: 'tested'; readonly id: number; readonly correct: boolean }
  /** No window of the trial is real enough. */
  | { readonly kind: 'unusable'; readonly id: number }
  | { readonly kind: 'progress'; readonly phase: string; readonly share: number }
  | Learned
  | { readonly kind: 'refused'; readonly code: string; readonly why: string };
