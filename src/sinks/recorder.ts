/**
 * Records streams to a file while they run: XDF (several streams), EDF+ or BDF+ (one), by the
 * path's extension. Every call returns at once; the file is written beside. A recording never
 * disturbs what it records: a full disk ends the recording, a slow one costs it samples, which
 * stand in the file as a gap.
 */
import { extname } from 'node:path';
import { EegError } from '../core/errors.js';
import type { Prediction, TaskEvent } from '../core/events.js';
import type { Chunk, Marker, StreamInfo } from '../core/stream.js';
import { type Clock, systemClock } from '../core/time.js';
import { AppendFile } from './append-file.js';
import { EdfEncoder } from './edf-encoder.js';
import type { RecordingEncoder } from './encoder.js';
import { StampLine } from './stamp-line.js';
import { XdfEncoder } from './xdf-encoder.js';

export interface RecorderOptions {
  readonly clock?: Clock;
  /** Bytes that may wait for the disk; chunks beyond are dropped and counted. */
  readonly bufferedBytesMax?: number;
  /** Called once, when the recording has ended by itself: EEG_STORE_NO_SPACE, EEG_STORE_FAILED. */
  readonly onFailure?: (failure: EegError) => void;
  /** EDF: half the range of an EEG channel, uV. */
  readonly halfRangeUv?: number;
}

export interface RecorderTotals {
  /** Frames written, of all streams. */
  readonly frames: number;
  readonly droppedFrames: number;
  /** EDF: values beyond the range. */
  readonly clippedValues: number;
  readonly bytes: number;
}

const bufferedBytesMax = 32 * 1024 * 1024;
const tickS = 1;

export class Recorder {
  readonly path: string;
  readonly #file: AppendFile;
  readonly #encoder: RecordingEncoder;
  readonly #clock: Clock;
  readonly #lines = new Map<string, StampLine>();
  readonly #bufferedBytesMax: number;
  #frames = 0;
  #droppedFrames = 0;
  #cancelTick: () => void = () => {};
  #closing: Promise<void> | undefined;

  /** With a file of the caller's, for tests of faulty disks; else use `open`. */
  constructor(
    path: string,
    file: AppendFile,
    streams: readonly StreamInfo[],
    options: RecorderOptions = {},
  ) {
    this.path = path;
    this.#file = file;
    this.#clock = options.clock ?? systemClock;
    this.#bufferedBytesMax = options.bufferedBytesMax ?? bufferedBytesMax;
    this.#encoder = encoderFor(path, streams, this.#clock, options);
    for (const { id, rateHz } of streams) this.#lines.set(id, new StampLine(rateHz));
    this.#file.write(this.#encoder.begin());
    this.#tick();
  }

  /**
   * Creates the file; one that is there is never written over.
   * @throws EegError EEG_USAGE (extension, or more streams than the format holds),
   *   EEG_STORE_FAILED, EEG_STORE_NO_SPACE.
   */
  static async open(
    path: string,
    streams: readonly StreamInfo[],
    options: RecorderOptions = {},
  ): Promise<Recorder> {
    checkFormat(path, streams);
    const file = await AppendFile.create(path, (failure) => options.onFailure?.(failure));
    return new Recorder(path, file, streams, options);
  }

  /** Frames of one stream; `chunk.index` says what is missing before them. */
  chunk(stream: string, chunk: Chunk): void {
    const line = this.#lines.get(stream);
    if (line === undefined || this.#closing !== undefined) return;
    const bytes = chunk.data.byteLength * 2;
    if (this.#file.queuedBytes + bytes > this.#bufferedBytesMax) {
      this.#droppedFrames += chunk.frames;
      return;
    }
    this.#frames += chunk.frames;
    this.#file.write(this.#encoder.chunk(stream, chunk, chunk.stamps ?? line.stamps(chunk)));
  }

  marker(stream: string, marker: Marker): void {
    this.#small(() => this.#encoder.marker(stream, marker));
  }

  prediction(prediction: Prediction): void {
    this.#small(() => this.#encoder.prediction(prediction));
  }

  event(event: TaskEvent): void {
    this.#small(() => this.#encoder.event(event));
  }

  get failure(): EegError | undefined {
    return this.#file.failure;
  }

  get totals(): RecorderTotals {
    return {
      frames: this.#frames,
      droppedFrames: this.#droppedFrames,
      clippedValues: this.#encoder instanceof EdfEncoder ? this.#encoder.clipped : 0,
      bytes: this.#file.length,
    };
  }

  /** Until all that was given is in the file; a process killed after that loses none of it. */
  flush(): Promise<void> {
    return this.#file.flush();
  }

  /** Writes what is left and what the format ends with. Never rejects; see `failure`. */
  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  async #end(): Promise<void> {
    this.#cancelTick();
    this.#file.write(this.#encoder.end());
    await this.#file.sync();
    await this.#file.close();
  }

  #small(encode: () => ReturnType<RecordingEncoder['marker']>): void {
    if (this.#closing !== undefined || this.#file.queuedBytes > this.#bufferedBytesMax) return;
    this.#file.write(encode());
  }

  #tick(): void {
    if (this.#file.failure !== undefined) return;
    this.#file.write(this.#encoder.tick(this.#clock.now()));
    this.#cancelTick = this.#clock.setTimeout(() => this.#tick(), tickS * 1000);
  }
}

/** Throws where no file is made of such a name: ask before there is a stream. */
export function checkExtension(path: string): void {
  const extension = extname(path).toLowerCase();
  if (!['.xdf', '.edf', '.bdf'].includes(extension)) {
    const came = extension === '' ? 'none' : extension;
    throw new EegError(
      'EEG_USAGE',
      `${path}: expected the extension .xdf, .edf or .bdf, came ${came}`,
    );
  }
}

function checkFormat(path: string, streams: readonly StreamInfo[]): void {
  checkExtension(path);
  const extension = extname(path).toLowerCase();
  if (streams.length === 0) throw new EegError('EEG_USAGE', `${path}: expected a stream to record`);
  if (extension === '.xdf') return;
  const [first] = streams as [StreamInfo];
  if (streams.length > 1) {
    throw new EegError('EEG_USAGE', `${path}: expected 1 stream, came ${streams.length}`, {
      hint: 'record several streams to an .xdf file',
    });
  }
  if (!(first.rateHz > 0)) {
    throw new EegError('EEG_USAGE', `${path}: expected a regular stream, came ${first.rateHz} Hz`, {
      hint: 'record an irregular stream to an .xdf file',
    });
  }
}

function encoderFor(
  path: string,
  streams: readonly StreamInfo[],
  clock: Clock,
  options: RecorderOptions,
): RecordingEncoder {
  const extension = extname(path).toLowerCase();
  if (extension === '.xdf') return new XdfEncoder(streams, clock.wallMs());
  const wallMsOf = (stampS: number): number => clock.wallMs() + (stampS - clock.now()) * 1000;
  const { halfRangeUv } = options;
  return new EdfEncoder(streams[0] as StreamInfo, {
    format: extension === '.bdf' ? 'bdf' : 'edf',
    wallMsOf,
    ...(halfRangeUv === undefined ? {} : { halfRangeUv }),
  });
}
