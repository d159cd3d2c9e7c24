/**
 * Numbers the windows of each stream and task, and lets their answers out in that order: runs of
 * two checkpoints, or a refusal and a run, may end in another. Goes on counting when a stream of
 * the same id comes back.
 */
export interface Sequenced {
  readonly stream: string;
  readonly taskName: string;
  readonly seq: number;
}

interface Lane {
  given: number;
  released: number;
  /** Answers that came before their turn; at most as many as windows may wait. */
  readonly early: Map<number, () => void>;
}

/** Streams that are long gone are forgotten beyond this many. */
const lanesMax = 4096;

export class Sequencer {
  readonly #lanes = new Map<string, Lane>();

  /** The number of the next window. */
  next(stream: string, taskName: string): number {
    return this.#lane(stream, taskName).given++;
  }

  /** Calls `release` now, or when all answers before this one are out. */
  answer({ stream, taskName, seq }: Sequenced, release: () => void): void {
    const lane = this.#lane(stream, taskName);
    lane.early.set(seq, release);
    for (;;) {
      const due = lane.early.get(lane.released);
      if (due === undefined) return;
      lane.early.delete(lane.released++);
      due();
    }
  }

  #lane(stream: string, taskName: string): Lane {
    const key = `${stream} ${taskName}`;
    let lane = this.#lanes.get(key);
    if (lane === undefined) {
      lane = { given: 0, released: 0, early: new Map() };
      this.#lanes.set(key, lane);
      this.#forgetOld();
    }
    return lane;
  }

  #forgetOld(): void {
    for (const [key, lane] of this.#lanes) {
      if (this.#lanes.size <= lanesMax) return;
      if (lane.given === lane.released) this.#lanes.delete(key);
    }
  }
}
