/** What one client has subscribed to. */
import { EegError } from '../core/errors.js';
import { limits } from './limits.js';
import type { CommandInput } from './protocol.js';
import type { Topic } from './topics.js';

interface Filter {
  readonly topics: ReadonlySet<Topic>;
  /** All where absent. */
  readonly streams: ReadonlySet<string> | undefined;
  readonly tasks: ReadonlySet<string> | undefined;
}

export class SubscriptionList {
  readonly #filters = new Map<number, Filter>();
  #next = 1;

  /** Topics of any subscription. */
  get topics(): ReadonlySet<Topic> {
    return new Set([...this.#filters.values()].flatMap(({ topics }) => [...topics]));
  }

  /** The subscription's number. Throws `EEG_WS_LIMIT`. */
  add({ topics, streams, tasks }: CommandInput<'subscribe'>): number {
    if (this.#filters.size >= limits.subscriptionsMax) {
      const text = `expected ${limits.subscriptionsMax} subscriptions at most`;
      throw new EegError('EEG_WS_LIMIT', text);
    }
    const subscription = this.#next++;
    this.#filters.set(subscription, {
      topics: new Set(topics),
      streams: streams && new Set(streams),
      tasks: tasks && new Set(tasks),
    });
    return subscription;
  }

  /** Throws `EEG_WS_INVALID_MESSAGE` where there is none of that number. */
  delete(subscription: number): void {
    if (!this.#filters.delete(subscription))
      throw new EegError('EEG_WS_INVALID_MESSAGE', `no subscription ${subscription}`);
  }

  matches(topic: Topic, stream: string | undefined, task: string | undefined): boolean {
    for (const filter of this.#filters.values()) {
      if (!filter.topics.has(topic)) continue;
      if (stream !== undefined && filter.streams?.has(stream) === false) continue;
      if (task !== undefined && filter.tasks?.has(task) === false) continue;
      return true;
    }
    return false;
  }
}
