/**
 * One partition of a site's steps: a pull consumer that all workers share. Its owner first reads
 * the last seconds again, so that it has what its predecessor had, and then pulls the work.
 */
import { DeliverPolicy, type JsMsg } from '@nats-io/jetstream';
import { toEegError } from '../core/errors.js';
import type { Logger } from '../core/log.js';
import type { Link } from './connection.js';
import { streams, subjects } from './names.js';
import { type Pull, pull } from './pull.js';

export interface FeedOptions {
  readonly link: Link;
  readonly site: string;
  readonly partition: number;
  readonly log: Logger;
  /** A step to be answered and acknowledged. */
  readonly onWork: (message: JsMsg) => void;
  /** A step read again, for its signal only. */
  readonly onHistory: (message: JsMsg) => void;
}

/** The longest window, and what may lie in the queue. */
const historyMs = 40_000;
/** Steps that a worker takes ahead; what it does not answer in time goes to another one. */
const aheadMax = 256;
const againMs = 250;
const fetchMax = 500;
const fetchMs = 1000;

export class PartitionFeed {
  readonly #options: FeedOptions;
  #owned = false;
  #running: Promise<void> | undefined;
  #pull: Pull | undefined;

  constructor(options: FeedOptions) {
    this.#options = options;
  }

  /** To pull or not to pull; takes effect soon. */
  set owned(owned: boolean) {
    this.#owned = owned;
    if (owned) this.#running ??= this.#run();
    else this.#pull?.stop();
  }

  async close(): Promise<void> {
    this.owned = false;
    await this.#running;
  }

  async #run(): Promise<void> {
    const { log, site, partition } = this.#options;
    while (this.#owned) {
      try {
        await this.#catchUp();
        await this.#work();
      } catch (error) {
        log.warn({ site, partition }, toEegError(error).message);
        await new Promise((resolve) => setTimeout(resolve, againMs));
      }
    }
    this.#running = undefined;
  }

  async #catchUp(): Promise<void> {
    const { link, site, partition, onHistory } = this.#options;
    const filter = subjects.partition(site, partition);
    await readAgain(link, site, { filter, sinceMs: historyMs }, onHistory);
  }

  async #work(): Promise<void> {
    const { link, site, partition, onWork } = this.#options;
    const name = streams.consumer(partition);
    const consumer = await link.consumers.get(streams.steps(site), name);
    if (!this.#owned) return;
    const pulling = await pull(consumer, aheadMax, onWork);
    this.#pull = pulling;
    if (!this.#owned) pulling.stop();
    await pulling.ended;
  }
}

/** Every step on a subject of the last so many ms, oldest first, without acknowledging it. */
export async function readAgain(
  { consumers }: Link,
  site: string,
  { filter, sinceMs }: { filter: string; sinceMs: number },
  onMessage: (message: JsMsg) => void,
): Promise<void> {
  const consumer = await consumers.get(streams.steps(site), {
    filter_subjects: filter,
    deliver_policy: DeliverPolicy.StartTime,
    opt_start_time: new Date(Date.now() - sinceMs).toISOString(),
  });
  const { num_pending: pending } = await consumer.info(true);
  for (let left = pending; left > 0; ) {
    const batch = await consumer.fetch({
      max_messages: Math.min(left, fetchMax),
      expires: fetchMs,
    });
    const before = left;
    for await (const message of batch) {
      onMessage(message);
      left--;
    }
    // What was counted may have grown old meanwhile.
    if (left === before) break;
  }
  await consumer.delete().catch(() => undefined);
}
