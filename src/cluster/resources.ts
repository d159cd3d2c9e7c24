/**
 * The streams and buckets of a site on JetStream, made where they are not there. Steps and results
 * live in memory and die young: what is older than any window is of no use to anybody.
 */
import {
  AckPolicy,
  DeliverPolicy,
  DiscardPolicy,
  JetStreamApiError,
  type JetStreamManager,
  RetentionPolicy,
  StorageType,
} from '@nats-io/jetstream';
import { type KV, Kvm } from '@nats-io/kv';
import { type ObjectStore, Objm } from '@nats-io/obj';
import { nanos } from '@nats-io/transport-node';
import { EegError } from '../core/errors.js';
import type { Link } from './connection.js';
import { buckets, streams, subjects } from './names.js';

export interface ClusterShape {
  /** Copies of every message: 1 on one server, 3 in production. */
  readonly replicas: number;
  /** Parts that a site's streams are dealt out in: at most so many workers share a site. */
  readonly partitions: number;
  /** Bound of the signal kept of one site, bytes. */
  readonly stepBytesMax: number;
}

/** The longest window and some seconds more must be there for a worker that takes over. */
export const stepAgeMaxMs = 60_000;
const resultAgeMaxMs = 60_000;
/** A step or result that is sent again within this time is known. */
const duplicateMs = 20_000;
const resultBytesMax = 32 << 20;
/** A worker that has not answered a step by then has died or drowned: another one gets it. How
 * often is not bounded: a step lives for a minute, and an election takes many of these times. */
export const ackWaitMs = 600;

export async function ensureSite(link: Link, site: string, shape: ClusterShape): Promise<void> {
  const manager = await link.manager();
  const common = {
    retention: RetentionPolicy.Limits,
    storage: StorageType.Memory,
    // Never an edge that waits: what is oldest is stalest, and the gateway counts it.
    discard: DiscardPolicy.Old,
    num_replicas: shape.replicas,
    duplicate_window: nanos(duplicateMs),
    allow_direct: true,
  };
  await ensure(
    site,
    () => manager.streams.info(streams.steps(site)),
    () =>
      manager.streams.add({
        ...common,
        name: streams.steps(site),
        subjects: [subjects.allSteps(site)],
        max_age: nanos(stepAgeMaxMs),
        max_bytes: shape.stepBytesMax,
      }),
  );
  await ensure(
    site,
    () => manager.streams.info(streams.results(site)),
    () =>
      manager.streams.add({
        ...common,
        name: streams.results(site),
        subjects: [subjects.allResults(site)],
        max_age: nanos(resultAgeMaxMs),
        max_bytes: resultBytesMax,
      }),
  );
  try {
    await openObjects(link, buckets.recordings(site), shape.replicas);
  } catch (error) {
    throw unavailable(site, error);
  }
  for (let partition = 0; partition < shape.partitions; partition++)
    await ensureConsumer(manager, site, partition, shape.replicas);
}

function ensureConsumer(
  manager: JetStreamManager,
  site: string,
  partition: number,
  replicas: number,
): Promise<void> {
  const stream = streams.steps(site);
  const name = streams.consumer(partition);
  return ensure(
    site,
    () => manager.consumers.info(stream, name),
    () =>
      manager.consumers.add(stream, {
        durable_name: name,
        filter_subject: subjects.partition(site, partition),
        ack_policy: AckPolicy.Explicit,
        ack_wait: nanos(ackWaitMs),
        max_ack_pending: 8192,
        max_waiting: 256,
        deliver_policy: DeliverPolicy.All,
        mem_storage: true,
        num_replicas: replicas,
      }),
  );
}

async function ensure(
  site: string,
  look: () => Promise<unknown>,
  make: () => Promise<unknown>,
): Promise<void> {
  try {
    await look();
    return;
  } catch (error) {
    if (!isNotFound(error)) throw unavailable(site, error);
  }
  try {
    await make();
  } catch (error) {
    // Another role may have made it meanwhile.
    await look().catch(() => {
      throw unavailable(site, error);
    });
  }
}

/** The key-value bucket of what is active, and the objects; `make` where they may be made. */
export async function openModels(
  link: Link,
  replicas: number,
): Promise<{ board: KV; checkpoints: ObjectStore }> {
  try {
    const board = await new Kvm(link.js).create(buckets.models, { history: 5, replicas });
    const checkpoints = await openObjects(link, buckets.checkpoints, replicas);
    return { board, checkpoints };
  } catch (error) {
    throw unavailable('models', error);
  }
}

/** An object store that is there; with `replicas` made where it is not. */
export async function openObjects(link: Link, name: string, replicas?: number) {
  const objects = new Objm(link.js);
  if (replicas === undefined) return objects.open(name);
  return objects.create(name, { storage: StorageType.File, replicas });
}

function isNotFound(error: unknown): boolean {
  return error instanceof JetStreamApiError && error.status === 404;
}

function unavailable(site: string, cause: unknown): EegError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const message = `expected the streams of ${site} on JetStream, got: ${reason}`;
  return new EegError('EEG_CLUSTER_UNREACHABLE', message, { cause });
}
