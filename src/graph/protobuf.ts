/**
 * Writes protocol-buffer messages (protobuf.dev/programming-guides/encoding) and, with them, ONNX
 * models (onnx.proto3 of opset 17, ir_version 8; the field numbers are that file's).
 */

/** One message under construction: pieces of bytes, joined once at the end. */
export class Message {
  readonly #pieces: Uint8Array[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  #push(piece: Uint8Array): this {
    this.#pieces.push(piece);
    this.#size += piece.length;
    return this;
  }

  #varint(value: bigint): this {
    const bytes: number[] = [];
    let rest = BigInt.asUintN(64, value);
    while (rest > 127n) {
      bytes.push(Number(rest & 127n) | 128);
      rest >>= 7n;
    }
    bytes.push(Number(rest));
    return this.#push(Uint8Array.from(bytes));
  }

  int(field: number, value: number | bigint): this {
    return this.#varint(BigInt(field << 3)).#varint(BigInt(value));
  }

  float(field: number, value: number): this {
    this.#varint(BigInt((field << 3) | 5));
    return this.#push(new Uint8Array(Float32Array.of(value).buffer));
  }

  bytes(field: number, value: Uint8Array): this {
    this.#varint(BigInt((field << 3) | 2)).#varint(BigInt(value.length));
    return this.#push(value);
  }

  text(field: number, value: string): this {
    return this.bytes(field, new TextEncoder().encode(value));
  }

  message(field: number, value: Message): this {
    this.#varint(BigInt((field << 3) | 2)).#varint(BigInt(value.#size));
    for (const piece of value.#pieces) this.#push(piece);
    return this;
  }

  finish(): Uint8Array {
    const out = new Uint8Array(this.#size);
    let at = 0;
    for (const piece of this.#pieces) {
      out.set(piece, at);
      at += piece.length;
    }
    return out;
  }
}

export type ElementType = 'float32' | 'int8' | 'int32' | 'int64' | 'bool';
/** TensorProto.DataType. */
export const elementCode: Readonly<Record<ElementType, number>> = {
  float32: 1,
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
};

export type Attribute = number | string | readonly number[] | { readonly float: number };

function attributeMessage(name: string, value: Attribute): Message {
  const out = new Message().text(1, name);
  if (typeof value === 'number') return out.int(3, value).int(20, 2);
  if (typeof value === 'string') return out.text(4, value).int(20, 3);
  if ('float' in value) return out.float(2, value.float).int(20, 1);
  for (const item of value) out.int(8, item);
  return out.int(20, 7);
}

export interface NodeParts {
  readonly type: string;
  readonly domain: string;
  /** Names; empty for an input left out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, Attribute>>;
}

export function nodeMessage(node: NodeParts): Message {
  const out = new Message();
  for (const name of node.inputs) out.text(1, name);
  for (const name of node.outputs) out.text(2, name);
  out.text(4, node.type);
  for (const [name, value] of Object.entries(node.attributes))
    out.message(5, attributeMessage(name, value));
  if (node.domain !== '') out.text(7, node.domain);
  return out;
}

export interface TensorParts {
  readonly name: string;
  readonly type: ElementType;
  readonly shape: readonly number[];
  readonly raw: Uint8Array;
}

export function tensorMessage(tensor: TensorParts): Message {
  const out = new Message();
  for (const size of tensor.shape) out.int(1, size);
  return out.int(2, elementCode[tensor.type]).text(8, tensor.name).bytes(9, tensor.raw);
}

/** An input or output of a graph. */
export function valueMessage(
  name: string,
  type: ElementType,
  shape: readonly (number | string)[],
): Message {
  const dims = new Message();
  for (const dim of shape) {
    const one = new Message();
    dims.message(1, typeof dim === 'number' ? one.int(1, dim) : one.text(2, dim));
  }
  const tensor = new Message().int(1, elementCode[type]).message(2, dims);
  return new Message().text(1, name).message(2, new Message().message(1, tensor));
}

export interface ModelParts {
  readonly nodes: readonly NodeParts[];
  readonly constants: readonly TensorParts[];
  readonly inputs: readonly Message[];
  readonly outputs: readonly Message[];
}

export function modelBytes(parts: ModelParts): Uint8Array {
  const graph = new Message();
  for (const node of parts.nodes) graph.message(1, nodeMessage(node));
  graph.text(2, 'eegd');
  for (const tensor of parts.constants) graph.message(5, tensorMessage(tensor));
  for (const input of parts.inputs) graph.message(11, input);
  for (const output of parts.outputs) graph.message(12, output);
  const model = new Message().int(1, 8).text(2, 'eegd').message(7, graph);
  model.message(8, new Message().text(1, '').int(2, 17));
  for (const domain of new Set(parts.nodes.map((node) => node.domain)))
    if (domain !== '') model.message(8, new Message().text(1, domain).int(2, 1));
  return model.finish();
}
