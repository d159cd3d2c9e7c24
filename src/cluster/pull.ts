/**
 * Pulls from a consumer until told to stop, or until it says nothing any more: a consumer whose
 * server died is not waited for, who pulls makes another one.
 */
import type { Consumer, ConsumerMessages, JsMsg } from '@nats-io/jetstream';
import { EegError } from '../core/errors.js';

export interface Pull {
  /** Rejects where the consumer was lost. */
  readonly ended: Promise<void>;
  stop(): void;
}

/** The shortest that the server allows. */
const heartbeatMs = 500;
const missedMax = 3;
const pullMs = 5000;
const silentMs = 3000;
const lost: ReadonlySet<string> = new Set([
  'consumer_deleted',
  'consumer_not_found',
  'stream_not_found',
]);

export async function pull(
  consumer: Consumer,
  aheadMax: number,
  callback: (message: JsMsg) => void,
): Promise<Pull> {
  const life = { atMs: Date.now(), hasBeat: false, failure: '' };
  const messages = await consumer.consume({
    ...{ max_messages: aheadMax, expires: pullMs, idle_heartbeat: heartbeatMs },
    callback: (message) => {
      life.atMs = Date.now();
      callback(message);
    },
  });
  const timer = setInterval(() => {
    if (!life.hasBeat || Date.now() - life.atMs < silentMs) return;
    life.failure = 'it is silent';
    void messages.close();
  }, heartbeatMs);
  void watch(messages, life);
  const ended = messages.closed().then((error) => {
    clearInterval(timer);
    if (error instanceof Error) throw error;
    if (life.failure !== '')
      throw new EegError('EEG_CLUSTER_UNREACHABLE', `a consumer was lost: ${life.failure}`);
  });
  return { ended, stop: () => void messages.close() };
}

interface Life {
  /** When the consumer was heard last. */
  atMs: number;
  /** It tells of heartbeats at all. */
  hasBeat: boolean;
  failure: string;
}

async function watch(messages: ConsumerMessages, life: Life): Promise<void> {
  for await (const status of messages.status()) {
    if (status.type === 'heartbeat') {
      life.atMs = Date.now();
      life.hasBeat = true;
    }
    const isSilent = status.type === 'heartbeats_missed' && status.count >= missedMax;
    if (!isSilent && !lost.has(status.type)) continue;
    life.failure = status.type;
    await messages.close();
    return;
  }
}
