/**
 * The daemon's recordings: each a stream, with its markers, predictions and events, in a new file of
 * one folder. Fed with everything that happens; what belongs to no recording is passed over.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { RecordingListing } from '../core/daemon-api.js';
import { EegError } from '../core/errors.js';
import type { DaemonEvent, RecordingUpdate } from '../core/events.js';
import type { DriverEvent, StreamInfo } from '../core/stream.js';
import { type Clock, systemClock } from '../core/time.js';
import { storeError } from './append-file.js';
import { Recorder, type RecorderOptions } from './recorder.js';

export interface RecordingsOptions {
  /** Made where it is not there. */
  readonly folder: string;
  /** A recording has begun or ended, by itself too. */
  readonly onUpdate?: (update: RecordingUpdate) => void;
  readonly clock?: Clock;
  readonly recorder?: Omit<RecorderOptions, 'onFailure' | 'clock'>;
}

/** Recordings that run at once. */
const runningMax = 64;
/** Ended ones that are still listed. */
const listedMax = 200;

interface Running {
  readonly id: string;
  readonly stream: string;
  readonly format: 'xdf' | 'edf';
  readonly recorder: Recorder;
}

export class Recordings {
  readonly #options: RecordingsOptions;
  readonly #clock: Clock;
  readonly #infos = new Map<string, StreamInfo>();
  readonly #running = new Map<string, Running>();
  readonly #ended = new Map<string, RecordingListing>();
  #opening = 0;

  constructor(options: RecordingsOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /**
   * Begins a recording of a stream that has said what it is; its id is the file's name.
   * @throws EegError EEG_STREAM_UNKNOWN, EEG_USAGE, EEG_STORE_NO_SPACE, EEG_STORE_FAILED.
   */
  async start(stream: string, format: 'xdf' | 'edf'): Promise<RecordingListing> {
    const info = this.#infos.get(stream);
    if (info === undefined) {
      const known = [...this.#infos.keys()].join(', ') || 'none';
      throw new EegError('EEG_STREAM_UNKNOWN', `expected one of ${known}, got "${stream}"`);
    }
    if (this.#running.size + this.#opening >= runningMax) {
      throw new EegError('EEG_WS_LIMIT', `expected at most ${runningMax} recordings, got one more`);
    }
    this.#opening++;
    try {
      const id = await this.#freeName(info, format);
      const recorder = await Recorder.open(join(this.#options.folder, id), [info], {
        ...this.#options.recorder,
        clock: this.#clock,
        onFailure: (failure) => void this.#end(id, 'failed', failure),
      });
      const running = { id, stream, format, recorder };
      this.#running.set(id, running);
      this.#tell(running, 'started');
      return listingOf(running);
    } finally {
      this.#opening--;
    }
  }

  /** @throws EegError EEG_USAGE for an unknown id. Stopping twice is no fault. */
  async stop(id: string): Promise<RecordingListing> {
    const ended = this.#ended.get(id);
    if (ended !== undefined) return ended;
    if (!this.#running.has(id)) {
      const known = [...this.#running.keys()].join(', ') || 'none';
      throw new EegError('EEG_USAGE', `expected a recording, one of ${known}, got "${id}"`);
    }
    return this.#end(id, 'stopped');
  }

  /** Running ones first. */
  list(): RecordingListing[] {
    return [...[...this.#running.values()].map(listingOf), ...this.#ended.values()];
  }

  /** What a driver says; `stream` is the id its `info` gave. */
  driverEvent(stream: string, event: DriverEvent): void {
    if (event.kind === 'info') this.#infos.set(event.info.id, event.info);
    if (event.kind !== 'chunk' && event.kind !== 'marker') return;
    for (const running of this.#running.values()) {
      if (running.stream !== stream) continue;
      if (event.kind === 'chunk') running.recorder.chunk(stream, event.chunk);
      else running.recorder.marker(stream, event.marker);
    }
  }

  daemonEvent(event: DaemonEvent): void {
    if (event.kind === 'status' && (event.state === 'ended' || event.state === 'failed')) {
      this.#forget(event.stream);
    }
    if (event.kind !== 'prediction' && event.kind !== 'event') return;
    for (const { stream, recorder } of this.#running.values()) {
      if (stream !== event.stream) continue;
      if (event.kind === 'prediction') recorder.prediction(event);
      else recorder.event(event);
    }
  }

  /** Ends every recording. */
  async close(): Promise<void> {
    await Promise.all([...this.#running.keys()].map((id) => this.#end(id, 'stopped')));
  }

  /** A stream that is over ends its recordings. */
  #forget(stream: string): void {
    this.#infos.delete(stream);
    for (const running of this.#running.values()) {
      if (running.stream === stream) void this.#end(running.id, 'stopped');
    }
  }

  async #end(id: string, phase: 'stopped' | 'failed', failure?: EegError) {
    const running = this.#running.get(id);
    const before = this.#ended.get(id);
    if (running === undefined) return before as RecordingListing;
    this.#running.delete(id);
    const listing = { ...listingOf(running), running: false };
    this.#ended.set(id, listing);
    const [oldest] = this.#ended.keys();
    if (this.#ended.size > listedMax && oldest !== undefined) this.#ended.delete(oldest);
    await running.recorder.close();
    const fault = failure ?? running.recorder.failure;
    this.#tell(running, fault === undefined ? phase : 'failed', fault);
    return listing;
  }

  #tell(running: Running, phase: RecordingUpdate['phase'], failure?: EegError): void {
    const { id, stream, recorder } = running;
    const samples = recorder.totals.frames;
    const detail = failure === undefined ? {} : { code: failure.code, detail: failure.message };
    this.#options.onUpdate?.({ kind: 'recording', stream, id, phase, samples, ...detail });
  }

  async #freeName(info: StreamInfo, format: string): Promise<string> {
    const { folder } = this.#options;
    await mkdir(folder, { recursive: true }).catch((cause: unknown) => {
      throw storeError(folder, cause);
    });
    const time = new Date(this.#clock.wallMs()).toISOString().replace(/[-:]/g, '').slice(0, 15);
    const taken = new Set(this.list().map(({ id }) => id));
    for (let n = 1; ; n++) {
      const name = `${info.id}-${time}Z${n > 1 ? `-${n}` : ''}.${format}`;
      if (!taken.has(name)) return name;
    }
  }
}

function listingOf({ id, stream, format, recorder }: Running): RecordingListing {
  return { id, stream, format, samples: recorder.totals.frames, running: true };
}
