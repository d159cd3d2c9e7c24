/**
 * An edge: drivers, signal path and recordings as in the daemon; windows go to the cluster as
 * steps. While the link is down everything goes on: recordings, and predictions where the edge has
 * a checkpoint; what was missed is sent as recordings once the link is back.
 */
import { Subject } from 'rxjs';
import type { Driver } from '../../drivers/driver.js';
import type { DeviceListing } from '../core/daemon-api.js';
import type { DaemonEvent } from '../core/events.js';
import type { Logger } from '../core/log.js';
import type { DriverEvent } from '../core/stream.js';
import { systemClock } from '../core/time.js';
import type { Recorder } from '../daemon/daemon.js';
import { type StreamOptions, Streams } from '../daemon/streams.js';
import type { Engine } from '../engine/engine.js';
import { Counters } from './counters.js';
import { LocalAnswers } from './local-answers.js';
import type { ModelBoard } from './model-board.js';
import { partitionOf } from './names.js';
import type { Spool } from './spool.js';
import { type PublisherOptions, StepPublisher } from './step-publisher.js';
import { StepTarget } from './step-target.js';

export interface EdgeOptions {
  readonly site: string;
  readonly name: string;
  readonly partitions: number;
  readonly publish: PublisherOptions['publish'];
  readonly board: Pick<ModelBoard, 'modelAt'>;
  readonly log: Logger;
  readonly driverFor: (address: string) => Promise<Driver>;
  readonly discover: () => Promise<DeviceListing[]>;
  /** Serves while the link is down. */
  readonly engine?: Engine | undefined;
  /** Whose pack serves a stream. */
  readonly personOf?: (stream: string) => string;
  /** Age to which every window may grow in the cluster, s. */
  readonly staleS?: number;
  /** Where what is recorded for an outage waits; absent = nothing is kept for one. */
  readonly spool?: Spool;
}

export class Edge {
  readonly events$ = new Subject<DaemonEvent>();
  readonly counters: Counters;
  readonly streams: Streams;
  recorder: Recorder | undefined;
  readonly #options: EdgeOptions;
  readonly #publisher: StepPublisher;
  readonly #local: LocalAnswers | undefined;

  constructor(options: EdgeOptions) {
    this.#options = options;
    const { log, publish, engine, board, site, name, partitions, staleS = 0 } = options;
    this.counters = new Counters(log);
    const emit = (event: DaemonEvent) => this.#emit(event);
    this.#local =
      engine && new LocalAnswers({ engine, staleS, counters: this.counters, onEvent: emit });
    this.#publisher = new StepPublisher({
      ...{ publish, staleS, counters: this.counters },
      onLink: (isUp) => this.#linked(isUp),
      onUnsent: (step) => {
        this.counters.add('windows_not_sent', step.windows.length);
        this.#local?.answer(step);
      },
    });
    const target = new StepTarget({
      ...{ site, edge: name, personOf: options.personOf ?? (() => '') },
      modelAt: (stampWallS, person) => board.modelAt(stampWallS, person) ?? this.#local,
      onAttach: (stream) => {
        const address = { site, edge: name, stream };
        this.#publisher.open(address, partitionOf(address, partitions));
      },
      onStep: (step) => {
        this.#local?.follow(step);
        this.#publisher.push(step);
      },
    });
    this.streams = new Streams({
      ...{ driverFor: options.driverFor, target, clock: systemClock, log },
      onEvent: emit,
      onStage: () => undefined,
      onDriverEvent: (stream, event) => this.#driver(stream, event),
      onForgotten: () => undefined,
    });
  }

  get isLinked(): boolean {
    return this.#publisher.isUp;
  }

  connect(address: string, options?: StreamOptions): Promise<{ stream: string }> {
    return this.streams.connect(address, options);
  }

  async devices(): Promise<DeviceListing[]> {
    const found = await this.#options.discover();
    return found.map((device) => ({
      ...device,
      connected: this.streams.isConnected(device.address),
    }));
  }

  /** Streams end, what can still be sent is, recordings are closed. */
  async close(): Promise<void> {
    this.streams.close();
    await this.#publisher.flush(1000);
    this.#publisher.close();
    await this.recorder?.close();
    await this.#options.spool?.close();
    await this.#local?.close();
    this.events$.complete();
  }

  #emit(event: DaemonEvent): void {
    this.recorder?.daemonEvent(event);
    this.#options.spool?.daemonEvent(event);
    this.events$.next(event);
  }

  #driver(stream: string, event: DriverEvent): void {
    this.recorder?.driverEvent(stream, event);
    this.#options.spool?.driverEvent(stream, event);
  }

  #linked(isUp: boolean): void {
    const { log, spool } = this.#options;
    this.counters.add(isUp ? 'link_up' : 'link_down');
    if (isUp) log.info('the cluster takes windows again');
    else log.warn(`the cluster takes no windows; ${this.#local ? 'predicting here' : 'recording'}`);
    this.#local?.linked(isUp);
    spool?.linked(isUp);
  }
}
