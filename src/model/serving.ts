/** The two graphs a daemon runs, with the weights inside. */
import type { Rng } from '../core/rng.js';
import { Graph } from '../graph/graph.js';
import { elements, type Tensor } from '../graph/tensor.js';
import type { Architecture } from './architecture.js';
import { dropless } from './dropless.js';
import type { Mixture } from './mixture.js';
import {
  type Arithmetic,
  constantParameters,
  listParameters,
  type ParameterSpec,
  type Parameters,
  startWeights,
  type Weights,
} from './parameters.js';
import { routingShares } from './router.js';
import { taskInputs, taskModel } from './task-blocks.js';
import { trunk, trunkInputs } from './trunk.js';

export interface ServingGraphs {
  /** Inputs `patches`, `positions`, `mask`; output `latents`. */
  readonly trunk: Uint8Array;
  /** Inputs `latents`, `times`, `mask`, `task` (int32); outputs `logits`, `routing`. */
  readonly tasks: Uint8Array;
}

/** ONNX models of trunk and task blocks. `routing` is empty for a dense model. */
export function servingGraphs(
  arch: Architecture,
  weights: Weights,
  mixture: Mixture = dropless,
  arithmetic: Arithmetic = 'float32',
): ServingGraphs {
  const constants = (graph: Graph) => constantParameters(graph, weights, arithmetic);
  return { trunk: trunkGraph(arch, constants), tasks: taskGraph(arch, constants, mixture) };
}

type ParametersOf = (graph: Graph) => Parameters;

function trunkGraph(arch: Architecture, parametersOf: ParametersOf): Uint8Array {
  const graph = new Graph();
  graph.output('latents', trunk(trunkInputs(graph), arch, parametersOf(graph)));
  return graph.bytes();
}

function taskGraph(arch: Architecture, parametersOf: ParametersOf, mixture: Mixture): Uint8Array {
  const graph = new Graph();
  const inputs = taskInputs(graph, arch);
  const { logits, routings, window } = taskModel(inputs, arch, parametersOf(graph), mixture);
  graph.output('logits', logits);
  graph.output('routing', routingShares(routings, window.layout, arch) ?? graph.floats([], [0]));
  return graph.bytes();
}

/** Every parameter of the architecture, in the order of the graphs. */
export function parameterSpecs(arch: Architecture): ParameterSpec[] {
  return [
    ...listParameters((graph, parameters) => trunk(trunkInputs(graph), arch, parameters)),
    ...listParameters((graph, parameters) => taskModel(taskInputs(graph, arch), arch, parameters)),
  ];
}

export function initialWeights(arch: Architecture, rng: Rng): Map<string, Tensor> {
  return startWeights(parameterSpecs(arch), rng);
}

export function parameterCount(arch: Architecture): number {
  return parameterSpecs(arch).reduce((total, spec) => total + elements(spec.shape), 0);
}
