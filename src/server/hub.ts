/**
 * Between the daemon's events and the clients: each event is encoded once, sent to those who asked,
 * and remembered for those who come later (the latest of each kind, and a bounded history).
 */
import type { DaemonApi } from '../core/daemon-api.js';
import type { DaemonEvent, MarkerEvent, Prediction, TaskEvent } from '../core/events.js';
import type { Clock } from '../core/time.js';
import { limits } from './limits.js';
import type { Metrics } from './metrics.js';
import type { Keep } from './outbox.js';
import type { HistoryPoint, Snapshot } from './protocol.js';
import { encodeSignal } from './signal-frame.js';
import { type Topic, topics } from './topics.js';
import type { EngineStatus } from './wire-events.js';

/** A client, as the hub sees it. */
export interface Subscriber {
  /** Asked only about topics it listens to. */
  wants(topic: Topic, stream: string | undefined, task: string | undefined): boolean;
  deliver(data: string | Uint8Array, keep: Keep, written?: () => void): void;
  /** Tell, once, which stream a handle in binary frames means. */
  announce(handle: number, stream: string): void;
}

const topicOf = {
  prediction: 'predictions',
  no_prediction: 'predictions',
  event: 'events',
  status: 'status',
  quality: 'quality',
  marker: 'markers',
  signal: 'signal',
  checkpoint: 'checkpoints',
  recording: 'recordings',
  adaptation: 'adaptation',
  engine: 'engine',
} as const satisfies Record<DaemonEvent['kind'] | 'engine', Topic>;

type Latest = Snapshot['latest'][number];
type WireEvent = DaemonEvent | EngineStatus;

export class Hub {
  readonly #daemon: DaemonApi;
  readonly #metrics: Metrics;
  readonly #clock: Clock;
  /** Most events are of topics that few ask for: several thousand blocks of signal a second. */
  readonly #listeners = new Map<Topic, Set<Subscriber>>(topics.map((topic) => [topic, new Set()]));
  readonly #latest = new Map<string, Latest>();
  readonly #points = new Map<string, HistoryPoint[]>();
  readonly #events = new Map<string, (TaskEvent | MarkerEvent)[]>();
  readonly #handles = new Map<string, number>();
  #handleNext = 1;
  #stop: () => void = () => {};

  constructor(daemon: DaemonApi, metrics: Metrics, clock: Clock) {
    this.#daemon = daemon;
    this.#metrics = metrics;
    this.#clock = clock;
  }

  start(): void {
    const subscription = this.#daemon.events$.subscribe((event) => this.#take(event));
    let stopTimer = () => {};
    const tick = () => {
      this.#publishEngine();
      stopTimer = this.#clock.setTimeout(tick, 1_000);
    };
    tick();
    this.#stop = () => {
      subscription.unsubscribe();
      stopTimer();
    };
  }

  close(): void {
    this.#stop();
  }

  /** From now on the subscriber hears of these topics, and of no others; none lets it go. */
  listen(subscriber: Subscriber, asked: ReadonlySet<Topic>): void {
    for (const [topic, listeners] of this.#listeners)
      if (asked.has(topic)) listeners.add(subscriber);
      else listeners.delete(subscriber);
  }

  snapshot(): Snapshot {
    const state = this.#daemon.snapshot();
    return { ...(state as unknown as Snapshot), latest: [...this.#latest.values()] };
  }

  history(stream: string, task: string, limit: number) {
    const spec = this.#daemon.snapshot().tasks.find(({ name }) => name === task);
    const events = this.#events.get(stream) ?? [];
    return {
      classes: [...(spec?.classes ?? [])],
      points: (this.#points.get(`${stream} ${task}`) ?? []).slice(-limit),
      events: events.filter((event) => event.kind === 'marker' || event.task === task),
    };
  }

  #take(raw: DaemonEvent): void {
    const event = withoutNan(raw);
    this.#remember(event);
    this.#publish(event);
  }

  #publish(event: WireEvent): void {
    const topic = topicOf[event.kind];
    const listeners = this.#listeners.get(topic);
    if (listeners === undefined || listeners.size === 0) return;
    const stream = 'stream' in event ? event.stream : undefined;
    const task = 'task' in event ? event.task : undefined;
    const arrivedS = this.#clock.now();
    let data: string | Uint8Array | undefined;
    for (const subscriber of listeners) {
      if (!subscriber.wants(topic, stream, task)) continue;
      if (event.kind === 'signal') {
        const handle = this.#handle(event.stream);
        data ??= encodeSignal(handle, event);
        subscriber.announce(handle, event.stream);
      } else {
        data ??= JSON.stringify({ type: 'event', topic, event });
      }
      const written =
        event.kind === 'prediction' ? () => this.#observeSend(event, arrivedS) : undefined;
      subscriber.deliver(data, keepOf(event), written);
    }
  }

  #observeSend({ task, latency }: Prediction, arrivedS: number): void {
    const sendS = this.#clock.now() - arrivedS;
    this.#metrics.stage('send', sendS);
    this.#metrics.sampleToClient.add(task, latency.totalMs / 1000 + sendS);
  }

  #publishEngine(): void {
    if (this.#listeners.get('engine')?.size === 0) return;
    const state = this.#daemon.snapshot();
    const { checkpoint, trained, engine, degraded, tasks, routing, latencyMsP50 } = state;
    this.#publish({
      kind: 'engine',
      checkpoint,
      trained,
      engine,
      ...(degraded === undefined ? {} : { degraded }),
      tasks: tasks.map(({ name }) => name),
      routing: routing as EngineStatus['routing'],
      latencyMsP50,
    });
  }

  #handle(stream: string): number {
    let handle = this.#handles.get(stream);
    if (handle === undefined) {
      handle = this.#handleNext++;
      remember(this.#handles, stream, handle);
    }
    return handle;
  }

  #remember(event: DaemonEvent): void {
    if (event.kind === 'prediction' || event.kind === 'no_prediction') {
      const key = `${event.stream} ${event.task}`;
      remember(this.#latest, key, event as Latest);
      const points = this.#points.get(key) ?? [];
      points.push(pointOf(event));
      if (points.length > limits.historyMax) points.shift();
      remember(this.#points, key, points);
    } else if (event.kind === 'quality') {
      remember(this.#latest, event.stream, event as Latest);
    } else if (event.kind === 'event' || event.kind === 'marker') {
      const events = this.#events.get(event.stream) ?? [];
      events.push(event);
      if (events.length > limits.historyEventsMax) events.shift();
      remember(this.#events, event.stream, events);
    }
  }
}

function pointOf(event: Extract<DaemonEvent, { kind: 'prediction' | 'no_prediction' }>) {
  const point: HistoryPoint =
    event.kind === 'prediction'
      ? [event.windowEndS, event.label, Object.values(event.smoothed)]
      : [event.windowEndS, null, []];
  return point;
}

/** Insert as the newest; the one longest untouched leaves a full map. */
function remember<V>(map: Map<string, V>, key: string, value: V): void {
  map.delete(key);
  map.set(key, value);
  const oldest = map.keys().next().value;
  if (map.size > limits.historySeriesMax && oldest !== undefined) map.delete(oldest);
}

/** JSON would turn NaN into null: a prediction that is not finite is none, and says so. */
function withoutNan(event: DaemonEvent): DaemonEvent {
  if (event.kind !== 'prediction') return event;
  const values = [
    ...Object.values(event.probabilities),
    ...Object.values(event.smoothed),
    ...Object.values(event.latency),
  ];
  if (values.every(Number.isFinite)) return event;
  const { stream, task, seq, windowStartS, windowEndS, startSample, endSample, validity } = event;
  const window = { stream, task, seq, windowStartS, windowEndS, startSample, endSample, validity };
  const detail = 'the probabilities were not finite';
  return { kind: 'no_prediction', ...window, reason: 'engine_failed', detail };
}

function keepOf(event: WireEvent): Keep {
  switch (event.kind) {
    case 'signal':
      return 'drop';
    case 'event':
    case 'marker':
    case 'checkpoint':
    case 'recording':
      return 'keep';
    case 'prediction':
    case 'no_prediction':
      return { latest: `predictions ${event.stream} ${event.task}` };
    default:
      return { latest: `${event.kind} ${'stream' in event ? event.stream : ''}` };
  }
}
