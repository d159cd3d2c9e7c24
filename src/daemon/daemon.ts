/**
 * The daemon: streams in, predictions out, checkpoints exchanged meanwhile. Puts the parts together
 * and is what the server talks to. Everything that can fail does so alone: a stream, a swap, the
 * engine.
 */
import { type Observable, Subject } from 'rxjs';
import type { Driver } from '../../drivers/driver.js';
import type {
  CheckpointListing,
  DaemonApi,
  DaemonSnapshot,
  DeviceListing,
  RecordingListing,
  StageTime,
} from '../core/daemon-api.js';
import { EegError } from '../core/errors.js';
import type {
  AdaptationUpdate,
  CheckpointChange,
  DaemonEvent,
  RecordingUpdate,
} from '../core/events.js';
import type { Logger } from '../core/log.js';
import type { DriverEvent } from '../core/stream.js';
import { type Clock, systemClock } from '../core/time.js';
import type { Engine } from '../engine/engine.js';
import type { SignalPath } from '../signal/path.js';
import type { QueueCounters } from '../windows/bounded-queue.js';
import type { EngineRun, Pace, WindowAnswer } from '../windows/serving.js';
import type { CheckpointStore } from './checkpoint-store.js';
import { DataFlow } from './data-flow.js';
import { ModelHost } from './model-host.js';
import { Predictor } from './predictor.js';
import { ShadowReport } from './shadow.js';
import { type StreamOptions, Streams } from './streams.js';
import { type OpenEngine, Swapper } from './swapper.js';

/** Recording to files; made by src/sinks. */
export interface Recorder {
  start(stream: string, format: 'xdf' | 'edf'): Promise<RecordingListing>;
  stop(id: string): Promise<RecordingListing>;
  list(): RecordingListing[];
  /** What a stream's driver says, before anything is done to it. */
  driverEvent(stream: string, event: DriverEvent): void;
  daemonEvent(event: DaemonEvent): void;
  close(): Promise<void>;
}

/** Online adaptation; made by src/adaptation. */
export type Adapt = DaemonApi['adapt'];

export interface DaemonOptions {
  readonly store: CheckpointStore;
  readonly openEngine: OpenEngine;
  /** Driver of an address, not opened yet. */
  readonly driverFor: (address: string) => Promise<Driver>;
  readonly discover: () => Promise<DeviceListing[]>;
  readonly log: Logger;
  readonly version: string;
  readonly clock?: Clock;
  readonly pace?: Pace;
  /** Told of every run of the engine. */
  readonly onRun?: (run: EngineRun) => void;
}

export class Daemon implements DaemonApi {
  readonly events$: Observable<DaemonEvent>;
  /** Plugged in by whoever starts the daemon. */
  recorder: Recorder | undefined;
  adaptation: Adapt | undefined;
  /** Told what every driver says, before anything is done to it. */
  driverTap: ((stream: string, event: DriverEvent) => void) | undefined;
  closeAdaptation: () => Promise<void> = async () => undefined;
  readonly stageTimes$ = new Subject<StageTime>();
  readonly #events = new Subject<DaemonEvent>();
  readonly #options: DaemonOptions;
  readonly #clock: Clock;
  readonly #host: ModelHost;
  readonly #predictor: Predictor;
  readonly #shadow = new ShadowReport();
  readonly #swapper: Swapper;
  readonly #streams: Streams;
  #lastChange: CheckpointChange | undefined;
  readonly #flow = new DataFlow();
  #closing: Promise<void> | undefined;

  /** `engine` serves at once; `previous` is what a roll-back goes to. */
  constructor(engine: Engine, previous: string | undefined, options: DaemonOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.events$ = this.#events.asObservable();
    const emit = (event: DaemonEvent) => this.#emit(event);
    this.#predictor = new Predictor(emit);
    this.#host = new ModelHost(engine, {
      clock: this.#clock,
      pace: options.pace ?? 'live',
      onAnswer: (answer, info) => this.#answered(answer, info),
      onShadow: (answer, info) => this.#shadow.addShadow(answer, info),
      ...(options.onRun === undefined ? {} : { onRun: options.onRun }),
    });
    const { store, openEngine } = options;
    const parts = { store, openEngine, emit, clock: this.#clock };
    this.#swapper = new Swapper({ ...parts, host: this.#host, shadow: this.#shadow }, previous);
    this.#streams = new Streams({
      ...{ driverFor: options.driverFor, log: options.log, clock: this.#clock },
      target: this.#host,
      onEvent: emit,
      onStage: (time) => this.stageTimes$.next(time),
      onDriverEvent: (id, event) => {
        this.recorder?.driverEvent(id, event);
        this.driverTap?.(id, event);
      },
      onForgotten: (id, stampS) => this.#predictor.forget(id, stampS),
    });
  }

  snapshot(): DaemonSnapshot {
    const { info } = this.#host;
    return {
      version: this.#options.version,
      checkpoint: info.checkpoint,
      trained: info.trained,
      engine: info.engine,
      ...(info.degraded === undefined ? {} : { degraded: info.degraded }),
      tasks: info.tasks,
      streams: this.#streams.status(),
      routing: this.#predictor.routing(info),
      latencyMsP50: this.#predictor.latencyMsP50(),
      ...(this.#lastChange === undefined ? {} : { lastCheckpointChange: this.#lastChange }),
    };
  }

  async devices(): Promise<DeviceListing[]> {
    const found = await this.#options.discover();
    return found.map((device) => ({
      ...device,
      connected: this.#streams.isConnected(device.address),
    }));
  }

  /** Resolves when the stream's format is known. */
  connect(address: string, options: StreamOptions = {}): Promise<{ stream: string }> {
    return this.#streams.connect(address, options);
  }

  async disconnect(stream: string): Promise<void> {
    this.#streams.disconnect(stream);
  }

  async checkpoints(): Promise<CheckpointListing[]> {
    const all = await this.#options.store.list((folder, error) =>
      this.#options.log.warn({ folder, error: String(error) }, 'a checkpoint cannot be read'),
    );
    return all.map(({ id, manifest, parameters }) => ({
      checkpoint: id,
      trained: manifest.trained,
      active: id === this.#host.info.checkpoint,
      previous: id === this.#swapper.previous,
      tasks: manifest.architecture.tasks.map(({ name }) => name),
      parameters,
    }));
  }

  load(checkpoint: string, options: { shadowS?: number } = {}): Promise<CheckpointChange> {
    return this.#swapper.load(checkpoint, options.shadowS);
  }

  activate(checkpoint: string): Promise<CheckpointChange> {
    return this.#swapper.activate(checkpoint);
  }

  rollback(): Promise<CheckpointChange> {
    return this.#swapper.rollback();
  }

  async startRecording(stream: string, format: 'xdf' | 'edf'): Promise<RecordingListing> {
    return this.#required(this.recorder, 'recording').start(stream, format);
  }

  async stopRecording(id: string): Promise<RecordingListing> {
    return this.#required(this.recorder, 'recording').stop(id);
  }

  recordings(): RecordingListing[] {
    return this.recorder?.list() ?? [];
  }

  /** The signal of a connected stream, the only one where none is named. */
  signalOf(stream: string | undefined): { id: string; path: SignalPath } {
    return this.#streams.signalOf(stream);
  }

  /** For adaptation to say how it goes. */
  tell(update: AdaptationUpdate): void {
    this.#emit(update);
  }

  /** For the recorder to say what became of a recording. */
  publish(update: RecordingUpdate): void {
    const log = this.#options.log;
    if (update.phase === 'failed') log.error(update, 'recording failed');
    else log.info(update, `recording ${update.phase}`);
    this.#emit(update);
  }

  async adapt(name: string, args: Readonly<Record<string, unknown>>) {
    return this.#required(this.adaptation, 'adaptation')(name, args);
  }

  /** Seconds and windows that wait for the engine. */
  get pending(): number {
    return this.#host.pending;
  }

  /** Resolves when every window asked for so far was answered. */
  idle(): Promise<void> {
    return this.#host.idle();
  }

  /** For the watchdog: wherever samples come, windows are answered when they should be. */
  dataFlows(): boolean {
    return this.#flow.holds(this.#streams, this.#host, this.#clock.now());
  }

  counters(): QueueCounters[] {
    return this.#host.counters();
  }

  /** Stops streams, answers what was asked, releases the engine. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#streams.close();
    await this.#host.close();
    await this.recorder?.close();
    await this.closeAdaptation();
    this.#events.complete();
  }

  #required<T>(part: T | undefined, what: string): T {
    if (part !== undefined) return part;
    throw new EegError('EEG_USAGE', `expected ${what} to be switched on, it is off`);
  }

  #emit(event: DaemonEvent): void {
    if (event.kind === 'checkpoint') {
      this.#lastChange = event;
      this.#options.log.info(event, `checkpoint ${event.phase}`);
    }
    this.recorder?.daemonEvent(event);
    this.#events.next(event);
  }

  #answered(answer: WindowAnswer, info: Engine['info']): void {
    this.#flow.answered(answer, this.#clock.now());
    if (this.#host.candidate !== undefined) this.#shadow.addServing(answer, info);
    this.#predictor.take(answer, info);
  }
}
