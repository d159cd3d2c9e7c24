/**
 * The mixture of one task block: the base's experts and those of attached packs. A pack's router
 * columns are products of their own and closed to the rows of other tasks, so that what the base
 * computes for its tasks does not change by a bit.
 */
import { times } from '../graph/dims.js';
import type { Value } from '../graph/graph.js';
import { add, mul, sub } from '../graph/ops/elementwise.js';
import { gemm } from '../graph/ops/linear.js';
import { concat, reshape } from '../graph/ops/shape.js';
import type { PackShape } from './architecture.js';
import { type BlockContext, type FfnWeights, ffnWeights, type Layout } from './blocks.js';
import type { MixedTokens, Mixture } from './mixture.js';
import { type Routing, routerLogits, routerSd, routingOf } from './router.js';
import { packPrefix, type RowTask } from './row-task.js';

/** Far below any logit: an expert that this row cannot have. */
const closed = 1e9;
/**
 * Shifts the choice only: a pack's experts serve every token of its own task. Left to compete with
 * the old ones, a copy of one of them may never be chosen and so never learn.
 */
const always = 1e3;

interface Group {
  /** `[N, experts of the group]`. */
  readonly logits: Value;
  /** `[experts of the group]`, added for the choice (Wang et al. 2024), not to the weights. */
  readonly shift: Value;
  readonly experts: readonly FfnWeights[];
}

export interface LayerInputs extends MixedTokens {
  /** `[N]`, 1 = usable. */
  readonly usable: Value;
  readonly layout: Layout;
}

function baseGroup(inputs: LayerInputs, rowTask: RowTask, at: BlockContext): Group {
  const { moe } = at.arch;
  if (moe === null) throw new Error('a dense block has no mixture');
  const { h, layout } = inputs;
  const router = { ...at, prefix: `${at.prefix}.router` };
  const tokens = { h, taskEmbedding: rowTask.embedding, tokensPerRow: layout.tokens };
  return {
    logits: routerLogits(tokens, moe, router),
    shift: at.parameters.bias(`${router.prefix}.bias`, moe.experts),
    experts: expertsOf(at, `${at.prefix}.experts`, moe.experts),
  };
}

function expertsOf(at: BlockContext, prefix: string, count: number): FfnWeights[] {
  return Array.from({ length: count }, (_, i) => ffnWeights({ ...at, prefix: `${prefix}.${i}` }));
}

export interface PackPlace {
  readonly pack: PackShape;
  readonly block: number;
  /** `[rows, 1]`: 1 where the row is of the pack's task. */
  readonly own: Value;
}

function packGroup(inputs: LayerInputs, place: PackPlace, at: BlockContext): Group {
  const { h, layout } = inputs;
  const { rows, tokens } = layout;
  const { name, experts } = place.pack;
  const prefix = `${packPrefix(name)}.blocks.${place.block}`;
  const weight = at.parameters.get(`${prefix}.router.token`, [at.arch.width, experts], routerSd);
  const raw = gemm(h, weight, { c: at.parameters.bias(`${prefix}.router.task`, experts) });
  const shut = mul(sub(reshape(place.own, [rows, 1, 1]), 1), closed);
  const logits = reshape(add(reshape(raw, [rows, tokens, experts]), shut), [
    times(rows, tokens),
    experts,
  ]);
  const shift = new Array<number>(experts).fill(always);
  return {
    logits,
    shift: h.graph.floats(shift),
    experts: expertsOf(at, `${prefix}.experts`, experts),
  };
}

/** The residual stream with what the experts add to it, and how the tokens were routed. */
export function mixtureLayer(
  inputs: LayerInputs,
  rowTask: RowTask,
  block: number,
  at: BlockContext,
  mixture: Mixture,
): { x: Value; routing: Routing } {
  const { moe, packs = [] } = at.arch;
  if (moe === null) throw new Error('a dense block has no mixture');
  const grown = packs.flatMap((pack, i) =>
    pack.blocks.includes(block)
      ? [packGroup(inputs, { pack, block, own: rowTask.packs[i] }, at)]
      : [],
  );
  const groups = [baseGroup(inputs, rowTask, at), ...grown];
  const logits = concat(
    groups.map((group) => group.logits),
    1,
  );
  const shift = concat(
    groups.map((group) => group.shift),
    0,
  );
  const choice = mixture.choose(add(logits, shift), inputs.usable, moe.topK);
  const routing = routingOf(logits, inputs.usable, choice);
  const experts = groups.flatMap((group) => group.experts);
  return { x: mixture.combine(inputs, routing, experts), routing };
}
