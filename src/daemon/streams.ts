/**
 * The connected streams: each a pipeline of its own, given to whatever answers windows. One stream
 * that fails touches no other. Both the daemon and the edge of a cluster have one of these.
 */
import type { Driver } from '../../drivers/driver.js';
import type { StageTime } from '../core/daemon-api.js';
import { EegError } from '../core/errors.js';
import type { DaemonEvent, StreamStatus } from '../core/events.js';
import type { Logger } from '../core/log.js';
import type { DriverEvent } from '../core/stream.js';
import type { Clock } from '../core/time.js';
import type { SignalPath } from '../signal/path.js';
import type { Tick } from '../windows/schedule.js';
import type { Due } from '../windows/ticks.js';
import type { HostedSource } from './model-host.js';
import { StreamPipeline } from './stream-pipeline.js';

/** What windows are given to: the model in this process, or the workers of a cluster. */
export interface WindowTarget {
  attach(source: HostedSource, only?: ReadonlySet<string>): void;
  detach(source: HostedSource): void;
  due(id: string): Due;
  take(id: string, tick: Tick): void;
  /** Every window asked for so far is answered. */
  idle(): Promise<void>;
}

export interface StreamOptions {
  readonly mainsHz?: 50 | 60 | 'auto';
  readonly tasks?: readonly string[] | undefined;
  /** Give up where its format is not known after so long, s; Infinity waits for the device. */
  readonly waitS?: number;
}

export interface StreamsOptions {
  readonly driverFor: (address: string) => Promise<Driver>;
  readonly target: WindowTarget;
  readonly clock: Clock;
  readonly log: Logger;
  readonly onEvent: (event: DaemonEvent) => void;
  readonly onStage: (time: StageTime) => void;
  readonly onDriverEvent: (stream: string, event: DriverEvent) => void;
  /** Nothing more comes of it, and all its windows are answered. */
  readonly onForgotten: (stream: string, stampS: number) => void;
}

const statusEveryMs = 1000;
const streamsMax = 256;

export class Streams {
  readonly #options: StreamsOptions;
  readonly #pipelines = new Set<StreamPipeline>();
  #stopTimer: () => void = () => undefined;

  constructor(options: StreamsOptions) {
    this.#options = options;
    this.#tick();
  }

  [Symbol.iterator](): Iterator<StreamPipeline> {
    return this.#pipelines.values();
  }

  status(): StreamStatus[] {
    return [...this.#pipelines].filter(({ id }) => id !== '').map((p) => p.status());
  }

  isConnected(address: string): boolean {
    return [...this.#pipelines].some((pipeline) => pipeline.address === address);
  }

  /** Resolves when the stream's format is known. */
  async connect(address: string, options: StreamOptions = {}): Promise<{ stream: string }> {
    const running = [...this.#pipelines].filter(({ state }) => !isOver(state));
    const twin = running.find((pipeline) => pipeline.address === address);
    if (twin !== undefined) return { stream: await twin.started };
    if (running.length >= streamsMax)
      throw new EegError('EEG_WS_LIMIT', `expected at most ${streamsMax} streams, got one more`);
    const { driverFor, clock } = this.#options;
    const pipeline = this.#pipeline(await driverFor(address), address, options);
    this.#pipelines.add(pipeline);
    const { waitS = 20 } = options;
    const giveUp = Number.isFinite(waitS)
      ? clock.setTimeout(() => pipeline.close(), waitS * 1000)
      : () => undefined;
    try {
      return { stream: await pipeline.started };
    } catch (error) {
      this.#pipelines.delete(pipeline);
      throw error;
    } finally {
      giveUp();
    }
  }

  disconnect(stream: string): void {
    const pipeline = [...this.#pipelines].find(({ id }) => id === stream);
    if (pipeline === undefined) {
      const known = [...this.#pipelines].map(({ id }) => id).join(', ') || 'none';
      throw new EegError('EEG_STREAM_UNKNOWN', `expected one of ${known}, got "${stream}"`);
    }
    pipeline.close();
    this.#pipelines.delete(pipeline);
  }

  /** The signal of a connected stream, the only one where none is named. */
  signalOf(stream: string | undefined): { id: string; path: SignalPath } {
    const running = [...this.#pipelines].filter(({ state, path }) => path && !isOver(state));
    const [only] = running;
    const named = running.find(({ id }) => id === stream);
    const pipeline = stream === undefined && running.length === 1 ? only : named;
    if (pipeline?.path !== undefined) return { id: pipeline.id, path: pipeline.path };
    const known = running.map(({ id }) => id).join(', ') || 'none';
    const got = stream === undefined ? 'no name' : `"${stream}"`;
    throw new EegError('EEG_STREAM_UNKNOWN', `expected one of ${known}, got ${got}`);
  }

  close(): void {
    this.#stopTimer();
    for (const pipeline of this.#pipelines) pipeline.close();
  }

  #pipeline(driver: Driver, address: string, options: StreamOptions): StreamPipeline {
    const { target, clock, log, onEvent, onStage, onDriverEvent } = this.#options;
    const only = options.tasks === undefined ? undefined : new Set(options.tasks);
    const pipeline: StreamPipeline = new StreamPipeline(
      driver,
      { address, mainsHz: options.mainsHz ?? 'auto', clock },
      {
        onStart: (id, source) => {
          this.#replaceEnded(id);
          if (source !== undefined) target.attach(source, only);
        },
        due: (id) => target.due(id),
        onTick: (id, tick) => target.take(id, tick),
        onEvent,
        onStage,
        onState: (stream, state, detail) => {
          if (state === 'streaming') log.info({ stream }, 'stream is back');
          else if (!isOver(state)) log.warn({ stream, detail }, `stream ${state}`);
        },
        onDriverEvent,
        onStop: (error) => this.#stopped(pipeline, error),
      },
    );
    return pipeline;
  }

  /** A stream that ended may be connected again under its id; a running one may not. */
  #replaceEnded(id: string): void {
    for (const pipeline of this.#pipelines) {
      if (pipeline.id !== id) continue;
      if (!isOver(pipeline.state))
        throw new EegError(
          'EEG_STREAM_FORMAT',
          `expected a stream of a new id, ${id} is connected`,
          {
            hint: 'give it another one: ADDRESS?id=NAME',
          },
        );
      this.#pipelines.delete(pipeline);
      if (pipeline.source !== undefined) this.#options.target.detach(pipeline.source);
    }
  }

  #stopped({ id, address, source }: StreamPipeline, error: EegError | undefined): void {
    const { log, clock, target, onForgotten } = this.#options;
    if (error === undefined) log.info({ stream: id, address }, 'stream ended');
    else log.error({ stream: id, address, code: error.code }, error.line);
    if (source === undefined) return;
    const stampS = clock.now();
    void target.idle().then(() => {
      target.detach(source);
      onForgotten(id, stampS);
    });
  }

  #tick(): void {
    for (const pipeline of this.#pipelines) pipeline.check();
    this.#stopTimer = this.#options.clock.setTimeout(() => this.#tick(), statusEveryMs);
  }
}

function isOver(state: string): boolean {
  return state === 'ended' || state === 'failed';
}
