/** Reverse mode: walks the tape backwards and adds the nodes of the gradients to the graph. */
import type { Value } from './graph.js';
import { add } from './ops/elementwise.js';
import { zerosLike } from './ops/shape.js';

/** Gradients of a scalar `loss`; zeros where it does not depend on a parameter. */
export function gradients(loss: Value, parameters: readonly Value[]): Value[] {
  const { graph } = loss;
  if (loss.shape.length !== 0) throw new Error('gradients of a value that is no scalar');
  return graph.untracked(() => {
    const byName = new Map<string, Value>([[loss.name, graph.floats(1)]]);
    const wanted = new Set(parameters.map((parameter) => parameter.name));
    for (const entry of [...graph.tape].reverse()) {
      const given = entry.outputs.map((output) => byName.get(output.name));
      if (given.every((gradient) => gradient === undefined)) continue;
      // An output's gradient is complete here: all its users come later on the tape.
      for (const output of entry.outputs) if (!wanted.has(output.name)) byName.delete(output.name);
      const results = entry.backward(...given);
      for (const [i, input] of entry.inputs.entries()) {
        const gradient = results[i];
        if (gradient === undefined || !input.tracked) continue;
        const before = byName.get(input.name);
        byName.set(input.name, before === undefined ? gradient : add(before, gradient));
      }
    }
    return parameters.map((parameter) => byName.get(parameter.name) ?? zerosLike(parameter));
  });
}
