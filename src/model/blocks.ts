/** The pre-norm transformer block that trunk, task blocks and MAE decoder are made of. */
import { type Dim, times } from '../graph/dims.js';
import type { Value } from '../graph/graph.js';
import { attention } from '../graph/ops/attention.js';
import { mul, sub } from '../graph/ops/elementwise.js';
import { gemm, squaredReluGemm } from '../graph/ops/linear.js';
import { layerNorm } from '../graph/ops/norm.js';
import { reshape, split, transpose } from '../graph/ops/shape.js';
import type { Architecture } from './architecture.js';
import type { Parameters } from './parameters.js';

/** Scores of masked tokens: far below any real one, still finite when all are masked. */
const maskedScore = 1e9;

/** `[rows, tokens]` mask to the bias of attention, `[rows, 1, 1, tokens]`. */
export function maskBias(mask: Value): Value {
  const [rows, tokens] = mask.shape;
  return mul(sub(reshape(mask, [rows, 1, 1, tokens]), 1), maskedScore);
}

/** Tokens laid out `[rows, tokens, width]`, kept as `[rows*tokens, width]`. */
export interface Layout {
  readonly rows: Dim;
  readonly tokens: Dim;
}

/** `[rows*tokens, parts*width]` to `parts` values `[rows, heads, tokens, size]`. */
export function toHeads(x: Value, parts: number, heads: number, layout: Layout): Value[] {
  const size = Number(x.shape[1]) / parts / heads;
  const { rows, tokens } = layout;
  const sizes = Array.from({ length: parts }, () => heads * size);
  const cut = parts === 1 ? [x] : split(x, 1, { sizes });
  // Split first: moving one axis is ONNX Runtime's fast transpose, moving two is not.
  return cut.map((part) => transpose(reshape(part, [rows, tokens, heads, size]), [0, 2, 1, 3]));
}

/** `[rows, heads, tokens, size]` back to `[rows*tokens, width]`. */
export function fromHeads(x: Value): Value {
  const [rows, heads, tokens, size] = x.shape;
  return reshape(transpose(x, [0, 2, 1, 3]), [times(rows, tokens), times(heads, size)]);
}

interface BlockContext {
  readonly arch: Architecture;
  readonly parameters: Parameters;
  /** Of the block's parameter names. */
  readonly prefix: string;
  /** Start of the layers that write to the residual stream (Radford et al. 2019). */
  readonly outGain: number;
}

export type { BlockContext };

/** `x + attention(norm(x))` over the tokens of each row. */
export function selfAttention(x: Value, layout: Layout, bias: Value, at: BlockContext): Value {
  const { arch, parameters, prefix } = at;
  const { width, heads } = arch;
  const qkv = gemm(layerNorm(x), parameters.linear(`${prefix}.qkv.weight`, width, 3 * width), {
    c: parameters.bias(`${prefix}.qkv.bias`, 3 * width),
  });
  const [q, k, v] = toHeads(qkv, 3, heads, layout);
  const mixed = fromHeads(attention({ q, k, v, bias }));
  const out = parameters.linear(`${prefix}.out.weight`, width, width, at.outGain);
  return gemm(mixed, out, { c: x });
}

export interface FfnWeights {
  readonly input: Value;
  readonly bias: Value;
  readonly output: Value;
}

export function ffnWeights({ arch, parameters, prefix, outGain }: BlockContext): FfnWeights {
  return {
    input: parameters.linear(`${prefix}.in.weight`, arch.width, arch.ffn),
    bias: parameters.bias(`${prefix}.in.bias`, arch.ffn),
    output: parameters.linear(`${prefix}.out.weight`, arch.ffn, arch.width, outGain),
  };
}

/** The feed-forward layer of one block or expert; `residual` is added inside the last product. */
export function ffn(h: Value, weights: FfnWeights, residual?: Value): Value {
  return squaredReluGemm(gemm(h, weights.input, { c: weights.bias }), weights.output, residual);
}
