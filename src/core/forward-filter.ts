/**
 * The forward algorithm of a hidden Markov chain over a task's windows (Rabiner 1989, eq. 19-20,
 * scaled): what the classes were before says what they can be now. Causal, one step a window.
 */

/** How a task's classes follow each other; part of a checkpoint's manifest. */
export interface Transitions {
  /** `[from][to]` probabilities over one hop; rows sum to 1. */
  readonly matrix: readonly (readonly number[])[];
  /** Shares of the classes where nothing is known yet. */
  readonly prior: readonly number[];
  /** Shares of the classes among the windows the model learned from: divided out. */
  readonly learnedPrior: readonly number[];
  /**
   * Exponent of a window's likelihood, up to 1: windows that share seconds or context tell less
   * than independent ones.
   */
  readonly evidence: number;
}

/** After so many hops without a window the chain has forgotten where it was. */
const hopsMax = 1000;

export class ForwardFilter {
  readonly #transitions: Transitions;
  readonly #hopS: number;
  #state: Float64Array | undefined;
  #stampS = 0;

  constructor(transitions: Transitions, hopS: number) {
    this.#transitions = transitions;
    this.#hopS = hopS;
  }

  /**
   * Probabilities of the classes given all windows so far. `probabilities` are the model's for the
   * window that ends at `stampS`; windows left out since the last one are hops without evidence.
   */
  update(probabilities: ArrayLike<number>, stampS: number): Float64Array {
    const { prior, learnedPrior, evidence } = this.#transitions;
    let state = this.#state ?? Float64Array.from(prior);
    if (this.#state !== undefined) {
      const hops = Math.round((stampS - this.#stampS) / this.#hopS);
      for (let i = Math.min(hopsMax, Math.max(1, hops)); i > 0; i--) state = this.#hop(state);
    }
    const weighed = state.map(
      (p, k) =>
        p * (Math.max(probabilities[k] ?? 0, 1e-12) / (learnedPrior[k] as number)) ** evidence,
    );
    let sum = 0;
    for (const value of weighed) sum += value;
    this.#state = weighed.map((value) => value / sum);
    this.#stampS = stampS;
    return this.#state;
  }

  #hop(state: Float64Array): Float64Array {
    const out = new Float64Array(state.length);
    for (const [from, row] of this.#transitions.matrix.entries())
      for (const [to, p] of row.entries())
        out[to] = (out[to] as number) + (state[from] as number) * p;
    return out;
  }
}
