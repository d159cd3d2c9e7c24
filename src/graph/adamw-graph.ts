/**
 * Clipping, AdamW and the weights' average as a graph, for devices where the parameters stay: the
 * arithmetic of adamw.ts and training-arithmetic.ts, in float32.
 */
import type { AdamWSettings } from './adamw.js';
import { Graph, type Value } from './graph.js';
import { add, addAll, div, mul, sqrt, sub } from './ops/elementwise.js';
import { sumAll } from './ops/reduce.js';

export interface ParameterShape {
  readonly name: string;
  readonly shape: readonly number[];
}

/** Groups of tensors that the graph takes in and gives out, each named `GROUP.PARAMETER`. */
export const stateGroups = ['weight', 'first', 'second', 'average'] as const;
export type StateGroup = (typeof stateGroups)[number];
export const nextName = (group: StateGroup, parameter: string): string =>
  `next.${group}.${parameter}`;

/** Scalars of a step: see `AdamW` for what they are made from. */
export const stepScalars = [
  'clipNorm',
  'stepSize',
  'scale',
  'decay',
  'averageShare',
  'parts',
] as const;
export type StepScalars = Readonly<Record<(typeof stepScalars)[number], number>>;

export interface UpdateGraph {
  readonly bytes: Uint8Array;
  /** Outputs that take the place of the inputs. */
  readonly next: readonly string[];
}

/**
 * Inputs: `gradient.NAME` (sums over `parts`), the state and the scalars; outputs: `next.*`, and
 * `norm`, the global norm of the mean gradient before it was clipped.
 */
export function updateGraph(
  parameters: readonly ParameterShape[],
  settings: AdamWSettings,
): UpdateGraph {
  const graph = new Graph();
  const scalar = Object.fromEntries(
    stepScalars.map((name) => [name, graph.input(name, [])]),
  ) as Record<(typeof stepScalars)[number], Value>;
  const means = parameters.map(({ name, shape }) =>
    div(graph.input(`gradient.${name}`, shape), scalar.parts),
  );
  const norm = sqrt(addAll(means.map((gradient) => sumAll(mul(gradient, gradient)))));
  graph.output('norm', norm);
  // limit / max(norm, limit): 1 where nothing is to be clipped.
  const [larger] = graph.node({
    type: 'Max',
    inputs: [norm, scalar.clipNorm],
    outputs: [{ shape: [] }],
  });
  const clip = div(scalar.clipNorm, larger);
  const next: string[] = [];
  for (const [i, { name, shape }] of parameters.entries()) {
    const state = Object.fromEntries(
      stateGroups.map((group) => [group, graph.input(`${group}.${name}`, shape)]),
    ) as Record<StateGroup, Value>;
    const updated = update(state, mul(means[i], clip), scalar, settings, name, shape);
    for (const group of stateGroups) {
      const output = nextName(group, name);
      graph.output(output, updated[group]);
      next.push(output);
    }
  }
  return { bytes: graph.bytes(), next };
}

function update(
  state: Record<StateGroup, Value>,
  gradient: Value,
  scalar: Record<(typeof stepScalars)[number], Value>,
  settings: AdamWSettings,
  name: string,
  shape: readonly number[],
): Record<StateGroup, Value> {
  const { beta1, beta2, epsilon, decays } = settings;
  const first = add(mul(state.first, beta1), mul(gradient, 1 - beta1));
  const second = add(mul(state.second, beta2), mul(mul(gradient, gradient), 1 - beta2));
  const size = add(mul(sqrt(second), scalar.scale), epsilon);
  const moved = div(mul(first, scalar.stepSize), size);
  const kept = decays(name, shape)
    ? sub(state.weight, mul(state.weight, scalar.decay))
    : state.weight;
  const weight = sub(kept, moved);
  const average = add(state.average, mul(sub(weight, state.average), scalar.averageShare));
  return { weight, first, second, average };
}

/** `sum.NAME = a.NAME + b.NAME`: gradients of the parts of a step. */
export function additionGraph(parameters: readonly ParameterShape[]): Uint8Array {
  const graph = new Graph();
  for (const { name, shape } of parameters)
    graph.output(
      `sum.${name}`,
      add(graph.input(`a.${name}`, shape), graph.input(`b.${name}`, shape)),
    );
  return graph.bytes();
}

/** `out.NAME = in.NAME`: the way on and off a device. */
export function copyGraph(parameters: readonly ParameterShape[]): Uint8Array {
  const graph = new Graph();
  for (const { name, shape } of parameters)
    graph.output(`out.${name}`, graph.input(`in.${name}`, shape));
  return graph.bytes();
}
