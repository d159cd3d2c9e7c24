/**
 * One connected stream: its driver, signal path and state. Tells the daemon what happens; knows
 * nothing of models. A stream that fails is its own affair: it says `failed` and stops.
 */
import { concatMap, map, type Observable, tap } from 'rxjs';
import type { Driver } from '../../drivers/driver.js';
import type { StageTime } from '../core/daemon-api.js';
import { EegError, toEegError } from '../core/errors.js';
import type { DaemonEvent, StreamState, StreamStatus } from '../core/events.js';
import { type DriverEvent, isReplayed, type StreamInfo } from '../core/stream.js';
import { modelRateHz, patchSamples } from '../core/tasks.js';
import type { Clock } from '../core/time.js';
import type { ConditionedBlock } from '../signal/block.js';
import { SignalPath } from '../signal/path.js';
import type { Tick } from '../windows/schedule.js';
import { type Due, dueTicks } from '../windows/ticks.js';
import { DueArrival } from './due-arrival.js';
import type { HostedSource } from './model-host.js';

export interface PipelineHooks {
  /** The stream's format is known; windows may be asked for, unless it has markers only. */
  readonly onStart: (id: string, source: HostedSource | undefined) => void;
  readonly due: (id: string) => Due;
  readonly onTick: (id: string, tick: Tick) => void;
  readonly onEvent: (event: DaemonEvent) => void;
  readonly onStage: (time: StageTime) => void;
  /** A stream that had begun went silent, was lost, or streams again. */
  readonly onState: (id: string, state: StreamState, detail: string | undefined) => void;
  /** What the driver says, once the stream has its id. */
  readonly onDriverEvent: (id: string, event: DriverEvent) => void;
  /** Nothing more will come. */
  readonly onStop: (error: EegError | undefined) => void;
}

export interface PipelineOptions {
  readonly address: string;
  readonly mainsHz: 50 | 60 | 'auto';
  readonly clock: Clock;
}

/** Without samples for this long, a stream that said it streams is silent. */
const silentAfterS = 1;

export class StreamPipeline {
  readonly address: string;
  /** Resolves with the stream's id once its format is known; rejects where it never will be. */
  readonly started: Promise<string>;
  /** What windows are cut from, once the format is known. */
  source: HostedSource | undefined;
  readonly #hooks: PipelineHooks;
  readonly #options: PipelineOptions;
  readonly #abort = new AbortController();
  #start: { resolve: (id: string) => void; reject: (error: EegError) => void } | undefined;
  #info: StreamInfo | undefined;
  #path: SignalPath | undefined;
  #state: StreamState = 'connecting';
  #stateSinceS: number;
  #detail: string | undefined;
  #discardedBytes = 0;
  #clockOffsetS: number | undefined;
  #lastArrivalS = 0;
  readonly #arrival = new DueArrival();
  #lastSampleS = 0;
  #publishedS = 0;
  /** 200 Hz index of the first real sample: before it, filters were warming up. */
  #firstReal = Number.POSITIVE_INFINITY;

  constructor(driver: Driver, options: PipelineOptions, hooks: PipelineHooks) {
    this.address = options.address;
    this.#options = options;
    this.#hooks = hooks;
    this.#stateSinceS = options.clock.now();
    this.started = new Promise((resolve, reject) => {
      this.#start = { resolve, reject };
    });
    this.started.catch(() => undefined);
    this.#ticks(driver.open(this.#abort.signal)).subscribe({
      next: (tick) => this.#due(tick),
      error: (error: unknown) => this.#stop(toEegError(error)),
      complete: () => this.#stop(undefined),
    });
  }

  get id(): string {
    return this.#info?.id ?? '';
  }

  /** The signal path, once the format is known. */
  get path(): SignalPath | undefined {
    return this.#path;
  }

  get state(): StreamState {
    return this.#state;
  }

  /** LSL seconds of the last change of state. */
  get stateSinceS(): number {
    return this.#stateSinceS;
  }

  close(): void {
    this.#abort.abort();
  }

  /** Called now and then: notices silence and publishes the status. */
  check(): void {
    if (this.#info === undefined) return;
    const quietS = this.#options.clock.now() - this.#lastArrivalS;
    if (this.#path !== undefined && this.#state === 'streaming' && quietS > silentAfterS) {
      this.#enter('silent', `no samples for ${quietS.toFixed(1)} s`);
      return;
    }
    this.#hooks.onEvent(this.status());
  }

  status(): StreamStatus {
    const info = this.#info;
    return {
      kind: 'status',
      stream: this.id,
      name: info?.name ?? this.address,
      driver: info?.driver ?? this.address.split(':')[0] ?? '',
      state: this.#state,
      ...(this.#detail === undefined ? {} : { detail: this.#detail }),
      nominalRateHz: info?.rateHz ?? 0,
      rateHz: this.#path?.rateHz ?? 0,
      channels: this.#path?.channels.map((channel) => channel.label) ?? [],
      samples: this.#path?.samples ?? 0,
      lostSamples: this.#path?.lostSamples ?? 0,
      discardedBytes: this.#discardedBytes,
      lastSampleS: this.#lastSampleS,
      ...(this.#clockOffsetS === undefined ? {} : { clockOffsetS: this.#clockOffsetS }),
    };
  }

  #ticks(events$: Observable<DriverEvent>): Observable<Tick> {
    return events$.pipe(
      concatMap((event) => this.#take(event)),
      tap((block) => this.#publish(block)),
      map((block) => this.#dated(block)),
      dueTicks(() => this.#hooks.due(this.id)),
    );
  }

  #due(tick: Tick): void {
    if (tick.windows.length > 0) {
      const seconds = this.#options.clock.now() - this.#publishedS;
      this.#hooks.onStage({ stage: 'window', seconds });
    }
    this.#hooks.onTick(this.id, tick);
  }

  #take(event: DriverEvent): ConditionedBlock[] {
    if (event.kind === 'info') this.#begin(event.info);
    else if (event.kind === 'status') this.#follow(event);
    else if (event.kind === 'discarded') this.#discardedBytes += event.bytes;
    else if (event.kind === 'clock') this.#clockOffsetS = event.offsetS;
    else if (event.kind === 'marker') {
      const { stampS, text } = event.marker;
      this.#hooks.onEvent({ kind: 'marker', stream: this.id, stampS, text });
    } else if (event.kind === 'gap' && isReplayed(event.reason)) {
      // Known beforehand, so nothing is missed until it is over.
      const gapS = event.missing / (this.#info?.rateHz ?? 1);
      this.#lastArrivalS = this.#options.clock.now() + gapS;
    } else if (event.kind === 'chunk') {
      this.#lastArrivalS = event.chunk.arrivalS;
      if (this.#state === 'silent' || this.#state === 'connecting') this.#enter('streaming');
    }
    if (this.#info !== undefined) this.#hooks.onDriverEvent(this.id, event);
    return this.#path?.push(event) ?? [];
  }

  #begin(info: StreamInfo): void {
    const known = this.#info;
    if (known !== undefined) {
      requireSameFormat(known, info);
      return;
    }
    const path = isMarkers(info)
      ? undefined
      : new SignalPath(info, { mainsHz: this.#options.mainsHz });
    // Throws where the id is taken; the stream then never had one.
    const source = path && sourceOf(info.id, path, () => this.#firstReal);
    this.#hooks.onStart(info.id, source);
    this.source = source;
    this.#info = info;
    this.#path = path;
    this.#lastArrivalS = this.#options.clock.now();
    this.#start?.resolve(info.id);
  }

  #follow(event: Extract<DriverEvent, { kind: 'status' }>): void {
    this.#enter(event.state, event.detail === '' ? undefined : event.detail);
  }

  #enter(state: StreamState, detail?: string): void {
    const before = this.#state;
    if (state !== before) this.#stateSinceS = this.#options.clock.now();
    this.#state = state;
    this.#detail = detail;
    if (this.#info === undefined) return;
    this.#hooks.onEvent(this.status());
    if (state !== before && before !== 'connecting') this.#hooks.onState(this.id, state, detail);
  }

  /** A gap is known only when it ends: its windows are not late, there is nothing in them. */
  #dated(block: ConditionedBlock): ConditionedBlock {
    if (!block.valid.includes(1)) return block;
    const arrivalS = this.#arrival.at(this.#lastSampleS, block.arrivalS);
    return arrivalS === block.arrivalS ? block : { ...block, arrivalS };
  }

  #publish(block: ConditionedBlock): void {
    const { index, samples, channels, data, valid, stampS } = block;
    this.#lastSampleS = stampS + (samples - 1) / modelRateHz;
    this.#observe(block.arrivalS);
    // A loop and one look for the first: this is done for every block of every stream.
    const shown = data.slice();
    for (let i = 0; i < shown.length; i++) if (valid[i] !== 1) shown[i] = Number.NaN;
    const first = this.#firstReal > index ? valid.indexOf(1) : -1;
    if (first >= 0) this.#firstReal = index + (first % samples);
    const stream = this.id;
    this.#hooks.onEvent({ kind: 'signal', stream, index, stampS, samples, channels, data: shown });
    const end = index + samples;
    if (end % modelRateHz !== 0) return;
    const quality = this.#path?.quality() ?? [];
    this.#hooks.onEvent({
      kind: 'quality',
      stream,
      stampS: this.#lastSampleS,
      channels: quality,
    });
  }

  /** How long the last block was on its way. */
  #observe(arrivalS: number): void {
    this.#publishedS = this.#options.clock.now();
    const { onStage } = this.#hooks;
    onStage({ stage: 'arrival', seconds: Math.max(0, arrivalS - this.#lastSampleS) });
    onStage({ stage: 'conditioned', seconds: this.#publishedS - arrivalS });
  }

  #stop(error: EegError | undefined): void {
    if (error !== undefined) this.#enter('failed', error.line);
    else if (this.#state !== 'failed') this.#enter('ended');
    const never = new EegError('EEG_DEVICE_UNAVAILABLE', `${this.address} ended before it began`);
    this.#start?.reject(error ?? never);
    this.#hooks.onStop(error);
  }
}

/** A stream of nothing but markers, as LSL has them: it has no rate. */
const isMarkers = ({ rateHz, channels }: StreamInfo) => rateHz === 0 && channels.length === 0;

function sourceOf(id: string, path: SignalPath, firstReal: () => number): HostedSource {
  const { ring } = path;
  return {
    id,
    channels: path.channels.length,
    labels: path.channels.map(({ label }) => label),
    reference: (endSample) => path.covariance.at(endSample)?.covariance,
    positions: path.electrodes,
    oldestSample: () => ring.firstIndex,
    newestSample: () => ring.nextIndex,
    ring,
    patches: (endSample, out, mask) => {
      ring.patches(endSample, out, mask);
    },
    reason(endSample) {
      if (endSample - patchSamples < firstReal()) return 'warming_up';
      const { valid } = ring.copy(endSample - patchSamples, endSample);
      return valid.some((value) => value === 0) ? 'gap' : 'bad_channels';
    },
  };
}

function requireSameFormat(known: StreamInfo, info: StreamInfo): void {
  const describe = ({ id, rateHz, channels }: StreamInfo) =>
    `${id}, ${channels.length} channels (${channels.map((c) => c.label).join(' ')}) at ${rateHz} Hz`;
  const [before, now] = [describe(known), describe(info)];
  if (before === now) return;
  throw new EegError('EEG_STREAM_FORMAT_CHANGED', `expected ${before}, got ${now}`);
}
