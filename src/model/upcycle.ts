/**
 * Sparse upcycling (Komatsuzaki et al. 2023): the FFN of a task block becomes experts, exact copies
 * of it, behind a random router. With renormalised combine weights the model computes at first what
 * the dense one did. Drop-Upcycling (Nakamura et al. 2025) re-draws a share of each expert's hidden
 * units, so that experts part sooner.
 */
import type { Rng } from '../core/rng.js';
import type { Tensor } from '../graph/tensor.js';
import type { Architecture, MoeShape } from './architecture.js';
import type { Weights } from './parameters.js';
import { parameterSpecs } from './serving.js';

export interface UpcycleOptions extends MoeShape {
  /** Share of hidden units re-drawn in each expert; 0 (the default) keeps exact copies. */
  readonly dropUpcycling?: number;
}

export interface Upcycled {
  readonly arch: Architecture;
  readonly weights: Map<string, Tensor>;
}

const copyOf = ({ shape, data }: Tensor): Tensor => ({ shape, data: data.slice() });

const expertName = /^(task\.blocks\.\d+)\.experts\.\d+\.(.*)$/;

/** The dense parameter that an expert's is a copy of; others keep their name. */
function originOf(name: string): string {
  return name.replace(expertName, '$1.ffn.$2');
}

/** Throws if the architecture is a mixture already or the options do not fit it. */
export function upcycle(
  weights: Weights,
  arch: Architecture,
  options: UpcycleOptions,
  rng: Rng,
): Upcycled {
  const { dropUpcycling = 0, ...moe } = options;
  if (arch.moe !== null) throw new Error('upcycling starts from a dense model');
  if (moe.experts < 2 || moe.experts > 32 || moe.topK < 1 || moe.topK > moe.experts)
    throw new Error(`upcycling to ${moe.experts} experts, top ${moe.topK}: expected 2 to 32`);
  if (moe.blocks.length === 0 || moe.blocks.some((block) => !(block < arch.taskBlocks)))
    throw new Error(`upcycling blocks ${moe.blocks.join()} of ${arch.taskBlocks} task blocks`);
  const upcycled: Architecture = { ...arch, moe };
  const out = new Map<string, Tensor>();
  for (const { name, shape, sd } of parameterSpecs(upcycled)) {
    const origin = weights.get(originOf(name));
    if (origin !== undefined) out.set(name, copyOf(origin));
    else if (name.includes('.router.')) {
      const length = shape.reduce((a, b) => a * b, 1);
      out.set(name, { shape, data: Float32Array.from({ length }, () => sd * rng.normal()) });
    } else throw new Error(`upcycling: no weight ${originOf(name)}`);
  }
  if (dropUpcycling > 0)
    for (const block of moe.blocks)
      for (let expert = 0; expert < moe.experts; expert++)
        redraw(out, `task.blocks.${block}.experts.${expert}`, dropUpcycling, rng);
  return { arch: upcycled, weights: out };
}

/** Re-draws hidden units from the normal that has the mean and spread of the layer's weights. */
function redraw(weights: Map<string, Tensor>, prefix: string, share: number, rng: Rng): void {
  const input = weights.get(`${prefix}.in.weight`) as Tensor;
  const output = weights.get(`${prefix}.out.weight`) as Tensor;
  const bias = weights.get(`${prefix}.in.bias`) as Tensor;
  const [width, hidden] = input.shape;
  const units = rng.shuffle(Array.from({ length: hidden }, (_, i) => i));
  const drawInput = normalLike(input.data, rng);
  const drawOutput = normalLike(output.data, rng);
  for (const unit of units.slice(0, Math.round(share * hidden))) {
    bias.data[unit] = 0;
    for (let i = 0; i < width; i++) {
      input.data[i * hidden + unit] = drawInput();
      output.data[unit * width + i] = drawOutput();
    }
  }
}

function normalLike(data: Float32Array, rng: Rng): () => number {
  const mean = data.reduce((a, b) => a + b, 0) / data.length;
  const square = data.reduce((a, b) => a + (b - mean) ** 2, 0) / data.length;
  const sd = Math.sqrt(square);
  return () => mean + sd * rng.normal();
}

/** The state of AdamW (`AdamW.save`) for the upcycled model: experts inherit that of their FFN. */
export function upcycleState(
  state: ReadonlyMap<string, Tensor>,
  upcycled: Architecture,
): Map<string, Tensor> {
  const out = new Map<string, Tensor>();
  for (const { name } of parameterSpecs(upcycled))
    for (const part of ['first', 'second', 'steps']) {
      const origin = state.get(`${part}.${originOf(name)}`);
      if (origin !== undefined) out.set(`${part}.${name}`, copyOf(origin));
    }
  return out;
}
