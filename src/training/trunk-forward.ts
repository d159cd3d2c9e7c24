/** The trunk without gradients, its weights as inputs: latents of context while training. */
import { patchSamples } from '../core/tasks.js';
import { GradientSession } from '../graph/gradient-session.js';
import { Graph } from '../graph/graph.js';
import type { SessionOptions } from '../graph/session.js';
import type { Architecture } from '../model/architecture.js';
import { inputParameters, type Weights } from '../model/parameters.js';
import { trunk, trunkInputs } from '../model/trunk.js';
import type { Units } from './batch.js';

export class TrunkForward {
  readonly #session: GradientSession;

  private constructor(session: GradientSession) {
    this.#session = session;
  }

  static async open(arch: Architecture, options: SessionOptions): Promise<TrunkForward> {
    const graph = new Graph();
    const parameters = inputParameters(graph, () => false);
    graph.output('out', trunk(trunkInputs(graph), arch, parameters));
    const names = parameters.specs.map((spec) => spec.name);
    const model = { bytes: graph.bytes(), parameters: names, trained: [], outputs: ['out'] };
    return new TrunkForward(await GradientSession.open(model, options));
  }

  /** `[units, latents, width]`. */
  async run(weights: Weights, units: Units): Promise<Float32Array> {
    const { outputs } = await this.#session.run(weights, {
      patches: { shape: [units.units, units.channels, patchSamples], data: units.patches },
      positions: { shape: [units.units, units.channels, 6], data: units.positions },
      mask: { shape: [units.units, units.channels], data: units.mask },
    });
    return outputs.get('out')?.data ?? new Float32Array(0);
  }

  async close(): Promise<void> {
    await this.#session.close();
  }
}
