/** A first-in first-out queue with a bound, a named overflow policy and counters. */
export type OverflowPolicy = 'drop-oldest' | 'drop-newest';

export interface QueueCounters {
  readonly name: string;
  readonly policy: OverflowPolicy;
  readonly lengthMax: number;
  readonly length: number;
  readonly accepted: number;
  readonly dropped: number;
}

export class BoundedQueue<T> {
  readonly #name: string;
  readonly #lengthMax: number;
  readonly #policy: OverflowPolicy;
  #items: T[] = [];
  /** Index of the first live item: shifting an array for every item would be quadratic. */
  #head = 0;
  #accepted = 0;
  #dropped = 0;

  constructor(name: string, lengthMax: number, policy: OverflowPolicy) {
    this.#name = name;
    this.#lengthMax = lengthMax;
    this.#policy = policy;
  }

  get length(): number {
    return this.#items.length - this.#head;
  }

  /** Returns the item that had to go, if one had to. */
  push(item: T): T | undefined {
    if (this.length < this.#lengthMax) {
      this.#items.push(item);
      this.#accepted++;
      return undefined;
    }
    this.#dropped++;
    if (this.#policy === 'drop-newest') return item;
    const oldest = this.shift();
    this.#items.push(item);
    this.#accepted++;
    return oldest;
  }

  peek(): T | undefined {
    return this.#items[this.#head];
  }

  shift(): T | undefined {
    if (this.length === 0) return undefined;
    const item = this.#items[this.#head++];
    if (this.#head > 64 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  clear(): T[] {
    const rest = this.#items.slice(this.#head);
    this.#items = [];
    this.#head = 0;
    return rest;
  }

  counters(): QueueCounters {
    return {
      name: this.#name,
      policy: this.#policy,
      lengthMax: this.#lengthMax,
      length: this.length,
      accepted: this.#accepted,
      dropped: this.#dropped,
    };
  }
}
