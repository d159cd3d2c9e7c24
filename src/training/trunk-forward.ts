/** The trunk without gradients, its weights as inputs: latents of context while training. */
import { patchSamples } from '../core/tasks.js';
import type { DeviceTraining } from '../graph/device-training.js';
import { GradientSession } from '../graph/gradient-session.js';
import { Graph } from '../graph/graph.js';
import type { Feed, SessionOptions } from '../graph/session.js';
import type { Architecture } from '../model/architecture.js';
import { inputParameters, type Weights } from '../model/parameters.js';
import { trunk, trunkInputs } from '../model/trunk.js';
import type { Units } from './batch.js';

type RunTrunk = (
  weights: Weights,
  feeds: Record<string, Feed>,
) => Promise<ReadonlyMap<string, { readonly data: Float32Array }>>;

export class TrunkForward {
  readonly #run: RunTrunk;
  readonly close: () => Promise<void>;

  private constructor(run: RunTrunk, close: () => Promise<void>) {
    this.#run = run;
    this.close = close;
  }

  /** `device`: where the weights lie, if not with the caller. */
  static async open(
    arch: Architecture,
    options: SessionOptions,
    device?: DeviceTraining,
  ): Promise<TrunkForward> {
    const graph = new Graph();
    const parameters = inputParameters(graph, () => false);
    graph.output('out', trunk(trunkInputs(graph), arch, parameters));
    const names = parameters.specs.map((spec) => spec.name);
    const model = { bytes: graph.bytes(), parameters: names, trained: [], outputs: ['out'] };
    if (device !== undefined) {
      const forward = await device.forward(model);
      return new TrunkForward(
        (_, feeds) => forward(feeds),
        () => Promise.resolve(),
      );
    }
    const session = await GradientSession.open(model, options);
    const run: RunTrunk = async (weights, feeds) => (await session.run(weights, feeds)).outputs;
    return new TrunkForward(run, () => session.close());
  }

  /** `[units, latents, width]`. */
  async run(weights: Weights, units: Units): Promise<Float32Array> {
    const outputs = await this.#run(weights, {
      patches: { shape: [units.units, units.channels, patchSamples], data: units.patches },
      positions: { shape: [units.units, units.channels, 6], data: units.positions },
      mask: { shape: [units.units, units.channels], data: units.mask },
    });
    return outputs.get('out')?.data ?? new Float32Array(0);
  }
}
