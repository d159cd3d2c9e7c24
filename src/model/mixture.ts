/** What a mixture of experts is to the rest of the model: a way to choose and a way to combine. */
import type { Value } from '../graph/graph.js';
import type { FfnWeights } from './blocks.js';
import type { Choice, Routing } from './router.js';

export interface Mixture {
  /** `[N, experts]` logits to a choice of `k` for each token. */
  readonly choose: (logits: Value, k: number) => Choice;
  /** `[N, width]` tokens to the weighted sum of their experts, `[N, width]`; 0 where masked. */
  readonly combine: (h: Value, routing: Routing, experts: readonly FfnWeights[]) => Value;
}
