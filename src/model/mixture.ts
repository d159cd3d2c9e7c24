/** What a mixture of experts is to the rest of the model: a way to choose and a way to combine. */
import type { Value } from '../graph/graph.js';
import type { FfnWeights } from './blocks.js';
import type { Choice, Routing } from './router.js';

export interface MixedTokens {
  /** `[N, width]`: the residual stream. */
  readonly x: Value;
  /** `[N, width]`: the same, normalised: what the experts are given. */
  readonly h: Value;
}

export interface Mixture {
  /** `[N, experts]` logits and `[N]` usable (0 or 1) to a choice of `k` for each token. */
  readonly choose: (logits: Value, usable: Value, k: number) => Choice;
  /** `x` plus the weighted sum of each token's experts, `[N, width]`; `x` where masked. */
  readonly combine: (
    tokens: MixedTokens,
    routing: Routing,
    experts: readonly FfnWeights[],
  ) => Value;
}
