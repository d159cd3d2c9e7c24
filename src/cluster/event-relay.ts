/**
 * What an edge tells besides windows: status, quality, markers, recordings. A few messages a
 * second, in JSON, by plain NATS: the next status makes up for one that is lost. Stamps are LSL
 * seconds of the edge, beside them what they lack to the wall clock.
 */
import type { Subscription } from '@nats-io/transport-node';
import type { Observable } from 'rxjs';
import { z } from 'zod';
import type {
  DaemonEvent,
  MarkerEvent,
  QualityReport,
  RecordingUpdate,
  StreamStatus,
} from '../core/events.js';
import { marker, qualityReport, recordingUpdate, streamStatus } from '../server/wire-events.js';
import type { Link } from './connection.js';
import type { Counters } from './counters.js';
import { namePattern, subjects } from './names.js';
import { wallBaseS } from './wall-time.js';

export type RelayedEvent = StreamStatus | QualityReport | MarkerEvent | RecordingUpdate;

const relayedKinds: ReadonlySet<string> = new Set(['status', 'quality', 'marker', 'recording']);
const schemaVersion = 1;
const everyMs = 200;
const eventsMax = 1024;
const bytesMax = 1 << 20;

const envelope = z.object({
  version: z.literal(schemaVersion),
  edge: z.string().regex(namePattern),
  wallBaseS: z.number(),
  counters: z.record(z.string(), z.number()),
  events: z
    .array(z.discriminatedUnion('kind', [streamStatus, qualityReport, marker, recordingUpdate]))
    .max(eventsMax),
});

export interface RelayOptions {
  readonly link: Link;
  readonly site: string;
  readonly edge: string;
  readonly counters: Counters;
}

/** Sends what the edge says, until the returned function is called. */
export function relayEvents(
  events$: Observable<DaemonEvent>,
  { link, site, edge, counters }: RelayOptions,
): () => void {
  let waiting: DaemonEvent[] = [];
  const subscription = events$.subscribe((event) => {
    if (relayedKinds.has(event.kind)) waiting.push(event);
    if (waiting.length > eventsMax) waiting.shift();
  });
  const send = () => {
    if (waiting.length === 0 || link.nats.isClosed()) return;
    const message = { version: schemaVersion, edge, wallBaseS, counters: counters.all() };
    const text = JSON.stringify({ ...message, events: waiting });
    waiting = [];
    counters.add('event_bytes', text.length);
    link.nats.publish(subjects.event(site, edge), text);
  };
  const timer = setInterval(send, everyMs);
  return () => {
    clearInterval(timer);
    send();
    subscription.unsubscribe();
  };
}

export interface Heard {
  readonly site: string;
  readonly edge: string;
  readonly counters: Readonly<Record<string, number>>;
  /** Stamps are LSL seconds of this machine. */
  readonly events: readonly RelayedEvent[];
}

export function hearEvents(
  link: Link,
  site: string,
  counters: Counters,
  onHeard: (heard: Heard) => void,
): Subscription {
  return link.nats.subscribe(subjects.allEvents(site), {
    callback: (error, { subject, data }) => {
      if (error !== null) return;
      const heard = counters.read(subject, () => readEnvelope(data));
      const edge = subject.split('.').at(-1);
      if (heard === undefined)
        counters.refuse('invalid', { subject }, 'expected events of an edge');
      else if (heard.edge !== edge) counters.refuse('site', { subject }, `got ${heard.edge}`);
      else onHeard({ site, ...heard });
    },
  });
}

function readEnvelope(data: Uint8Array): Omit<Heard, 'site'> | undefined {
  if (data.length > bytesMax) return undefined;
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(data).toString('utf8'));
  } catch {
    return undefined;
  }
  const read = envelope.safeParse(json);
  if (!read.success) return undefined;
  const { edge, counters, events } = read.data;
  const shiftS = read.data.wallBaseS - wallBaseS;
  return { edge, counters, events: events.map((each) => shifted(each as RelayedEvent, shiftS)) };
}

function shifted(event: RelayedEvent, shiftS: number): RelayedEvent {
  if (event.kind === 'status') return { ...event, lastSampleS: event.lastSampleS + shiftS };
  if (event.kind === 'recording') return event;
  return { ...event, stampS: event.stampS + shiftS };
}
