/** Losses and gradients by the engine that was asked for. */
import type { EngineKind } from '../engine/worker-protocol.js';
import type { SessionOptions } from '../graph/session.js';
import type { Architecture } from '../model/architecture.js';
import type { TrainingOptions } from '../model/training-graph.js';
import { type StepSession, TrainingSession } from '../model/training-session.js';

/** Rejects with `EEG_ENGINE_UNAVAILABLE` where the engine's package is not installed. */
export async function openStepSession(
  engine: EngineKind,
  arch: Architecture,
  options: TrainingOptions & SessionOptions,
): Promise<StepSession> {
  if (engine === 'onnx') return TrainingSession.open(arch, options);
  const { TfjsTraining } = await import('../engine/tfjs/training.js');
  return TfjsTraining.open(arch, { ...options, kind: engine });
}
