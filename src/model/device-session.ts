/**
 * Supervised training where the parameters stay on the device: a batch in, losses out; gradients
 * are summed there until `training.update`.
 */
import { type DeviceOptions, DeviceTraining } from '../graph/device-training.js';
import type { Architecture } from './architecture.js';
import type { Weights } from './parameters.js';
import { batchFeeds, type TrainingBatch } from './training-batch.js';
import { type TrainingOptions, trainingGraph } from './training-graph.js';
import {
  type RouterWeights,
  routerFeeds,
  type StepResult,
  type StepSession,
  stepResult,
} from './training-session.js';

export class DeviceSession implements StepSession {
  readonly training: DeviceTraining;
  readonly trained: StepSession['trained'];
  readonly #arch: Architecture;
  readonly #parts: boolean;

  private constructor(
    arch: Architecture,
    parts: boolean,
    training: DeviceTraining,
    trained: StepSession['trained'],
  ) {
    this.#arch = arch;
    this.#parts = parts;
    this.training = training;
    this.trained = trained;
  }

  static async open(
    arch: Architecture,
    options: TrainingOptions & DeviceOptions,
  ): Promise<DeviceSession> {
    const graph = trainingGraph(arch, options);
    const { device, threads, weightDecay } = options;
    const training = await DeviceTraining.open(graph, {
      device,
      ...(threads === undefined ? {} : { threads }),
      ...(weightDecay === undefined ? {} : { weightDecay }),
    });
    return new DeviceSession(arch, options.parts ?? false, training, graph.trained);
  }

  /** The weights are those on the device, whatever is given; no gradients come back. */
  async step(
    _weights: Weights,
    batch: TrainingBatch,
    router: RouterWeights = { balance: 0, z: 0 },
  ): Promise<StepResult> {
    const outputs = await this.training.accumulate({
      ...batchFeeds(batch, this.#arch),
      ...routerFeeds(router, this.#arch, this.#parts),
    });
    return stepResult(outputs, new Map());
  }

  evaluate(): Promise<StepResult> {
    return Promise.reject(new Error('on a device, read the weights and evaluate them elsewhere'));
  }

  close(): Promise<void> {
    return this.training.close();
  }
}
