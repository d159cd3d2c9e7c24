/**
 * Balance without an auxiliary loss (Wang et al. 2024): after each step the router's bias, which
 * shifts the choice but not the weights, moves a little towards the experts that were idle.
 */
import type { Tensor } from '../graph/tensor.js';
import type { Architecture } from './architecture.js';

/**
 * Changes `task.blocks.*.router.bias` in place. `routing` is that of a step, `[rows, moeBlocks,
 * experts]`; `rate` is the step in logits, 1e-3 in the paper. For a model without packs.
 */
export function balanceByBias(
  weights: ReadonlyMap<string, Tensor>,
  arch: Architecture,
  routing: Float32Array,
  rate: number,
): void {
  const { moe } = arch;
  if (moe === null) return;
  const blocks = [...moe.blocks].sort((a, b) => a - b);
  const load = new Float64Array(blocks.length * moe.experts);
  for (const [i, share] of routing.entries()) load[i % load.length] += share;
  for (const [i, block] of blocks.entries()) {
    const bias = weights.get(`task.blocks.${block}.router.bias`);
    if (bias === undefined) throw new Error(`no router bias of task block ${block}`);
    const own = load.subarray(i * moe.experts, (i + 1) * moe.experts);
    const even = own.reduce((a, b) => a + b, 0) / moe.experts;
    for (const [expert, share] of own.entries())
      bias.data[expert] += rate * Math.sign(even - share);
  }
}
