/**
 * A graph under construction: typed values, nodes, constants, run-time shapes, and the tape that
 * gradients.ts walks backwards. Operators (ops/) add to it; `bytes()` is the ONNX model.
 */
import { type Dim, isKnown, showShape, times } from './dims.js';
import { toInt8 } from './int8.js';
import {
  type Attribute,
  type ElementType,
  type Message,
  modelBytes,
  type NodeParts,
  type TensorParts,
  valueMessage,
} from './protobuf.js';
import type { Tensor } from './tensor.js';

export interface Value {
  readonly graph: Graph;
  readonly name: string;
  readonly shape: readonly Dim[];
  readonly type: ElementType;
  /** Depends on something that wants a gradient. */
  readonly tracked: boolean;
  /** In place of the value itself: a weight in int8, for `gemm` alone. */
  readonly int8?: { readonly values: Value; readonly scales: Value };
}

/** Gradients of the inputs from those of the outputs; undefined where none flows. */
export type Backward = (
  ...outputGradients: readonly (Value | undefined)[]
) => readonly (Value | undefined)[];

export interface TapeEntry {
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly backward: Backward;
}

export interface NodeSpec {
  readonly type: string;
  readonly inputs: readonly (Value | null)[];
  readonly outputs: readonly { readonly shape: readonly Dim[]; readonly type?: ElementType }[];
  readonly attributes?: Readonly<Record<string, Attribute>>;
  readonly domain?: string;
}

const toRaw = (data: Float32Array | Int8Array | Int32Array | BigInt64Array): Uint8Array =>
  new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

export class Graph {
  readonly tape: TapeEntry[] = [];
  readonly #nodes: NodeParts[] = [];
  readonly #constants: TensorParts[] = [];
  readonly #inputs: Message[] = [];
  readonly #outputs: Message[] = [];
  readonly #outputNames: string[] = [];
  readonly #cache = new Map<string, Value>();
  /** Where a named dimension can be read when the graph runs. */
  readonly #dimSource = new Map<string, { value: Value; axis: number }>();
  #count = 0;
  #tracking = true;

  #value(name: string, shape: readonly Dim[], type: ElementType, tracked = false): Value {
    return { graph: this, name, shape, type, tracked };
  }

  /** A name no value has yet. */
  fresh(prefix: string): string {
    this.#count++;
    return `${prefix}_${this.#count}`;
  }

  /** An input of the model. `tracked`: a parameter whose gradient may be asked for. */
  input(
    name: string,
    shape: readonly Dim[],
    type: ElementType = 'float32',
    tracked = false,
  ): Value {
    const value = this.#value(name, shape, type, tracked);
    this.#inputs.push(valueMessage(name, type, shape));
    this.nameDims(value);
    return value;
  }

  /** Makes the new dimension names of a value readable at run time. */
  nameDims(value: Value): void {
    for (const [axis, dim] of value.shape.entries())
      if (!isKnown(dim) && !dim.includes('*') && !this.#dimSource.has(dim))
        this.#dimSource.set(dim, { value, axis });
  }

  /** Names a dimension whose int64 `[1]` value the graph itself computes from its inputs. */
  computedDim(prefix: string, value: Value): Dim {
    const name = this.fresh(prefix);
    this.#cache.set(`dim ${name}`, value);
    return name;
  }

  output(name: string, value: Value): void {
    this.#nodes.push({
      type: 'Identity',
      domain: '',
      inputs: [value.name],
      outputs: [name],
      attributes: {},
    });
    this.#outputs.push(valueMessage(name, value.type, value.shape));
    this.#outputNames.push(name);
  }

  /** A constant tensor under its own name. */
  tensor(name: string, tensor: Tensor): Value {
    this.#constants.push({
      name,
      type: 'float32',
      shape: tensor.shape,
      raw: toRaw(tensor.data),
    });
    return this.#value(name, tensor.shape, 'float32');
  }

  /** The weight of a linear layer as int8 with a scale for each output (see int8.ts). */
  int8Weight(name: string, tensor: Tensor): Value {
    const { values, scales } = toInt8(tensor);
    const { shape } = tensor;
    const own = `${name}.int8`;
    this.#constants.push({ name: own, type: 'int8', shape, raw: toRaw(values) });
    const int8 = {
      values: this.#value(own, shape, 'int8'),
      scales: this.tensor(`${name}.scales`, { shape: [scales.length], data: scales }),
    };
    return { ...this.#value(name, shape, 'float32'), int8 };
  }

  #cached(key: string, make: (name: string) => Value): Value {
    const known = this.#cache.get(key);
    if (known !== undefined) return known;
    const value = make(this.fresh('c'));
    this.#cache.set(key, value);
    return value;
  }

  /** A float32 constant: a scalar, or the given array. */
  floats(data: number | readonly number[], shape?: readonly number[]): Value {
    const array = typeof data === 'number' ? [data] : data;
    const sizes = shape ?? (typeof data === 'number' ? [] : [array.length]);
    const build = (name: string) =>
      this.tensor(name, { shape: sizes, data: Float32Array.from(array) });
    if (array.length > 64) return build(this.fresh('c'));
    return this.#cached(`f${showShape(sizes)}${array.join()}`, build);
  }

  /** An int64 or int32 constant vector (or scalar, with shape `[]`). */
  ints(
    data: readonly number[],
    type: 'int64' | 'int32' = 'int64',
    shape?: readonly number[],
  ): Value {
    const sizes = shape ?? [data.length];
    return this.#cached(`${type}${showShape(sizes)}${data.join()}`, (name) => {
      const array =
        type === 'int32' ? Int32Array.from(data) : BigInt64Array.from(data, (item) => BigInt(item));
      this.#constants.push({ name, type, shape: sizes, raw: toRaw(array) });
      return this.#value(name, sizes, type);
    });
  }

  /** Adds a node. `backward` makes it differentiable with respect to its tracked inputs. */
  node(spec: NodeSpec, backward?: Backward): Value[] {
    const given = spec.inputs.filter((value) => value !== null);
    const tracked =
      this.#tracking && backward !== undefined && given.some((value) => value.tracked);
    const outputs = spec.outputs.map((output) =>
      this.#value(this.fresh(spec.type), output.shape, output.type ?? 'float32', tracked),
    );
    this.#nodes.push({
      type: spec.type,
      domain: spec.domain ?? '',
      inputs: spec.inputs.map((value) => value?.name ?? ''),
      outputs: outputs.map((value) => value.name),
      attributes: spec.attributes ?? {},
    });
    if (tracked) this.tape.push({ inputs: given, outputs, backward });
    return outputs;
  }

  /** An operator made of several nodes whose gradient is written as one rule. */
  composite(inputs: readonly Value[], build: () => Value[], backward: Backward): Value[] {
    const tracked = this.#tracking && inputs.some((value) => value.tracked);
    const before = this.#tracking;
    this.#tracking = false;
    const built = build();
    this.#tracking = before;
    const outputs = built.map((value) => this.#value(value.name, value.shape, value.type, tracked));
    if (tracked) this.tape.push({ inputs, outputs, backward });
    return outputs;
  }

  /** Builds without recording: the nodes of gradients themselves. */
  untracked<T>(build: () => T): T {
    const before = this.#tracking;
    this.#tracking = false;
    try {
      return build();
    } finally {
      this.#tracking = before;
    }
  }

  /** The int64 `[1]` value of a dimension. */
  dim(dim: Dim): Value {
    if (isKnown(dim)) return this.ints([dim]);
    return this.#cached(`dim ${dim}`, () => {
      const factors = dim.split('*');
      if (factors.length > 1)
        return factors
          .map((factor) => this.dim(Number.isNaN(Number(factor)) ? factor : Number(factor)))
          .reduce((a, b) => this.#intNode('Mul', [a, b]));
      const source = this.#dimSource.get(dim);
      if (source === undefined) throw new Error(`dimension ${dim} is not that of any input`);
      const [sizes] = this.node({
        type: 'Shape',
        inputs: [source.value],
        outputs: [{ shape: [1], type: 'int64' }],
        attributes: { start: source.axis, end: source.axis + 1 },
      });
      return sizes;
    });
  }

  #intNode(type: string, inputs: Value[]): Value {
    return this.node({ type, inputs, outputs: [{ shape: [1], type: 'int64' }] })[0];
  }

  /** The int64 vector of a whole shape. */
  shapeVector(shape: readonly Dim[]): Value {
    if (shape.every(isKnown)) return this.ints(shape);
    return this.#cached(`shape ${showShape(shape)}`, () => {
      const parts: Value[] = [];
      let known: number[] = [];
      const flush = () => {
        if (known.length > 0) parts.push(this.ints(known));
        known = [];
      };
      for (const dim of shape) {
        if (isKnown(dim)) known.push(dim);
        else {
          flush();
          parts.push(this.dim(dim));
        }
      }
      flush();
      if (parts.length === 1) return parts[0];
      return this.node({
        type: 'Concat',
        inputs: parts,
        outputs: [{ shape: [shape.length], type: 'int64' }],
        attributes: { axis: 0 },
      })[0];
    });
  }

  /** Those that some output depends on: ONNX Runtime would run the others too. */
  #neededNodes(): NodeParts[] {
    const needed = new Set(this.#outputNames);
    const nodes: NodeParts[] = [];
    for (const node of this.#nodes.toReversed()) {
      if (!node.outputs.some((name) => needed.has(name))) continue;
      nodes.push(node);
      for (const name of node.inputs) needed.add(name);
    }
    return nodes.reverse();
  }

  bytes(): Uint8Array {
    return modelBytes({
      nodes: this.#neededNodes(),
      constants: this.#constants,
      inputs: this.#inputs,
      outputs: this.#outputs,
    });
  }
}

/** Elements of a shape as one dimension. */
export function sizeOf(shape: readonly Dim[]): Dim {
  return times(1, ...shape);
}
