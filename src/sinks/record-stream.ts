/** One driver's stream to one file, from its first event to its end. */
import type { Observable } from 'rxjs';
import { EegError, toEegError } from '../core/errors.js';
import type { DriverEvent, StreamInfo } from '../core/stream.js';
import { Recorder, type RecorderOptions, type RecorderTotals } from './recorder.js';

/** What a driver is to a sink: a stream of events that ends with its signal. */
export interface EventSource {
  open(signal: AbortSignal): Observable<DriverEvent>;
}

export interface RecordStreamOptions extends Omit<RecorderOptions, 'onFailure'> {
  /** Stop after so many seconds of signal. */
  readonly seconds?: number;
  readonly onEvent?: (event: DriverEvent) => void;
}

/**
 * Resolves when the stream has ended, `stop` was aborted or `seconds` have come; the file is closed
 * then. @throws EegError of the driver or of the disk; the file holds what came before.
 */
export async function recordStream(
  source: EventSource,
  path: string,
  stop: AbortController,
  options: RecordStreamOptions = {},
): Promise<{ info: StreamInfo; totals: RecorderTotals }> {
  const run = new StreamRecording(path, stop, options);
  const failure = await new Promise<EegError | undefined>((resolve) => {
    source.open(stop.signal).subscribe({
      next: (event) => run.take(event),
      error: (error: unknown) => resolve(toEegError(error)),
      complete: () => resolve(undefined),
    });
  });
  return run.end(failure);
}

class StreamRecording {
  readonly #path: string;
  readonly #stop: AbortController;
  readonly #options: RecordStreamOptions;
  #info: StreamInfo | undefined;
  /** What comes while the file is being made waits for it. */
  #waiting: DriverEvent[] | undefined = [];
  #opening: Promise<void> = Promise.resolve();
  #recorder: Recorder | undefined;
  #failure: EegError | undefined;
  #firstIndex: number | undefined;

  constructor(path: string, stop: AbortController, options: RecordStreamOptions) {
    this.#path = path;
    this.#stop = stop;
    this.#options = options;
  }

  take(event: DriverEvent): void {
    this.#options.onEvent?.(event);
    if (event.kind === 'info') this.#begin(event.info);
    else if (this.#waiting !== undefined) this.#waiting.push(event);
    else this.#record(event);
  }

  async end(failure: EegError | undefined) {
    await this.#opening;
    await this.#recorder?.close();
    const fault = this.#failure ?? this.#recorder?.failure ?? failure;
    if (fault !== undefined) throw fault;
    if (this.#info === undefined || this.#recorder === undefined) {
      throw new EegError('EEG_DEVICE_UNAVAILABLE', 'the stream ended before it began');
    }
    return { info: this.#info, totals: this.#recorder.totals };
  }

  #begin(info: StreamInfo): void {
    if (this.#info !== undefined) return;
    this.#info = info;
    this.#opening = Recorder.open(this.#path, [info], {
      ...this.#options,
      onFailure: (failure) => this.#fail(failure),
    }).then(
      (recorder) => {
        this.#recorder = recorder;
        const waiting = this.#waiting ?? [];
        this.#waiting = undefined;
        for (const event of waiting) this.#record(event);
      },
      (error: unknown) => this.#fail(toEegError(error)),
    );
  }

  #record(event: DriverEvent): void {
    const { id = '', rateHz = 0 } = this.#info ?? {};
    if (event.kind === 'marker') this.#recorder?.marker(id, event.marker);
    if (event.kind !== 'chunk' || this.#stop.signal.aborted) return;
    const { chunk } = event;
    this.#firstIndex ??= chunk.index;
    const limit = this.#firstIndex + Math.round((this.#options.seconds ?? Infinity) * rateHz);
    const frames = Math.min(chunk.frames, limit - chunk.index);
    const width = chunk.data.length / chunk.frames;
    if (frames === chunk.frames) this.#recorder?.chunk(id, chunk);
    else if (frames > 0) {
      const data = chunk.data.subarray(0, frames * width);
      const stamps = chunk.stamps?.subarray(0, frames);
      this.#recorder?.chunk(id, { ...chunk, frames, data, ...(stamps && { stamps }) });
    }
    if (chunk.index + chunk.frames >= limit) this.#stop.abort();
  }

  #fail(failure: EegError): void {
    this.#failure = failure;
    this.#stop.abort();
  }
}
