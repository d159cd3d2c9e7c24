/**
 * The parameters of a model: each is declared once, where the graph uses it, with its shape and
 * how it starts. Serving makes constants of them, training makes inputs, and a dry run lists them.
 */
import type { Rng } from '../core/rng.js';
import { Graph, type Value } from '../graph/graph.js';
import { elements, type Tensor } from '../graph/tensor.js';

export type Weights = ReadonlyMap<string, Tensor>;

export interface ParameterSpec {
  readonly name: string;
  readonly shape: readonly number[];
  /** Standard deviation of the normal it starts from; 0 = zeros. */
  readonly sd: number;
}

export class Parameters {
  readonly #values = new Map<string, Value>();
  readonly #make: (spec: ParameterSpec) => Value;
  readonly specs: ParameterSpec[] = [];

  constructor(make: (spec: ParameterSpec) => Value) {
    this.#make = make;
  }

  get(name: string, shape: readonly number[], sd: number): Value {
    const known = this.#values.get(name);
    if (known !== undefined) return known;
    const spec = { name, shape, sd };
    const value = this.#make(spec);
    this.specs.push(spec);
    this.#values.set(name, value);
    return value;
  }

  /** The weight of a linear layer `[inputs, outputs]`; `gain` scales the usual start. */
  linear(name: string, inputs: number, outputs: number, gain = 1): Value {
    return this.get(name, [inputs, outputs], gain / Math.sqrt(inputs));
  }

  bias(name: string, size: number): Value {
    return this.get(name, [size], 0);
  }

  value(name: string): Value {
    const value = this.#values.get(name);
    if (value === undefined) throw new Error(`no parameter ${name}`);
    return value;
  }
}

/** What the products of a serving graph are computed in. */
export type Arithmetic = 'float32' | 'int8';

/**
 * In int8 come the linear layers of blocks and experts, where the time goes. What reads the raw
 * signal, chooses experts or tells classes apart stays in float32.
 */
const int8Names = /\.(qkv|kv|in|out)\.weight$/;

/** Parameters as constants of the graph. Missing or misshapen ones are a defect of the caller. */
export function constantParameters(
  graph: Graph,
  weights: Weights,
  arithmetic: Arithmetic = 'float32',
): Parameters {
  return new Parameters((spec) => {
    const tensor = weights.get(spec.name);
    if (tensor === undefined || tensor.shape.join() !== spec.shape.join())
      throw new Error(`weight ${spec.name} is missing or not [${spec.shape.join(', ')}]`);
    return arithmetic === 'int8' && int8Names.test(spec.name)
      ? graph.int8Weight(spec.name, tensor)
      : graph.tensor(spec.name, tensor);
  });
}

/** Parameters as inputs of the graph; those for which `train` holds want gradients. */
export function inputParameters(
  graph: Graph,
  train: (name: string) => boolean = () => true,
): Parameters {
  return new Parameters((spec) => graph.input(spec.name, spec.shape, 'float32', train(spec.name)));
}

/** What parameters a description asks for. */
export function listParameters(
  describe: (graph: Graph, parameters: Parameters) => void,
): ParameterSpec[] {
  const graph = new Graph();
  const parameters = inputParameters(graph, () => false);
  describe(graph, parameters);
  return parameters.specs;
}

export function startWeights(specs: readonly ParameterSpec[], rng: Rng): Map<string, Tensor> {
  return new Map(
    specs.map(({ name, shape, sd }) => {
      const data = new Float32Array(elements(shape));
      if (sd > 0) for (let i = 0; i < data.length; i++) data[i] = sd * rng.normal();
      return [name, { shape, data }];
    }),
  );
}
