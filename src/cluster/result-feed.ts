/**
 * A gateway's view of a site's results, each once and in the order of the stream: an ordered
 * consumer, made anew wherever it breaks, from where the last one ended.
 */
import { DeliverPolicy } from '@nats-io/jetstream';
import { toEegError } from '../core/errors.js';
import type { Logger } from '../core/log.js';
import type { Link } from './connection.js';
import { streams } from './names.js';
import { type Pull, pull } from './pull.js';

const againMs = 250;
const aheadMax = 1000;

/** Until the returned function is called. */
export function followResults(
  { consumers }: Link,
  site: string,
  log: Logger,
  onResult: (subject: string, data: Uint8Array) => void,
): () => void {
  let isOver = false;
  let last = 0;
  let pulling: Pull | undefined;

  const follow = async () => {
    const start =
      last === 0
        ? { deliver_policy: DeliverPolicy.New }
        : { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: last + 1 };
    const consumer = await consumers.get(streams.results(site), start);
    pulling = await pull(consumer, aheadMax, (message) => {
      last = message.seq;
      onResult(message.subject, message.data);
    });
    if (isOver) pulling.stop();
    await pulling.ended;
  };
  const run = async () => {
    while (!isOver) {
      try {
        await follow();
      } catch (error) {
        log.warn({ site }, `results: ${toEegError(error).message}`);
      }
      if (!isOver) await new Promise((resolve) => setTimeout(resolve, againMs));
    }
  };
  void run();
  return () => {
    isOver = true;
    pulling?.stop();
  };
}
