/**
 * The life of a serial stream: open the port, bring the board up, stream, and after a loss do it
 * again until unsubscribed. One device family differs from another by its `Family` only.
 *
 *   connecting --open, bring-up--> streaming --closed, silent--> lost --back-off--> connecting
 */
import { Observable } from 'rxjs';
import { EegError, toEegError } from '../../src/core/errors.js';
import type { ChannelInfo, DriverEvent, StreamInfo } from '../../src/core/stream.js';
import { type Clock, systemClock } from '../../src/core/time.js';
import { type SerialAddress, streamId } from './address.js';
import { Backoff, type Exists, pathExists } from './backoff.js';
import { Dialog } from './dialog.js';
import { findPort } from './discovery.js';
import type { Frame, FrameFormat } from './frame-reader.js';
import { Intake } from './intake.js';
import { type OpenPort, openSerialPort, type Port } from './port.js';
import { Rows } from './rows.js';

/** What bring-up found the board to send. */
export interface Decoder {
  readonly format: FrameFormat;
  /** Frames a second; rows a second is `rateHz`. */
  readonly framesHz: number;
  readonly rateHz: number;
  readonly name: string;
  readonly manufacturer?: string;
  readonly channels: readonly ChannelInfo[];
  /** Put the frame's rows, gaps and markers into `rows`. Allocates nothing. */
  decode(frame: Frame, rows: Rows): void;
}

export interface Family {
  /** Driver folder. */
  readonly name: string;
  readonly baudRate: number;
  /**
   * A state machine with time limits, written as a function: ends with the board streaming.
   * Throws an `EegError` that says what was tried, what came and what to do.
   */
  bringUp(dialog: Dialog): Promise<Decoder>;
  /** Bytes that make the board stop, where it listens. */
  readonly stop?: string;
}

/** The world outside, replaced in tests. */
export interface SerialWorld {
  readonly open: OpenPort;
  readonly clock: Clock;
  readonly exists: Exists;
  /** Uniform in [0, 1), for the jitter of the back-off. */
  random(): number;
}

export const serialWorld: SerialWorld = {
  open: openSerialPort,
  clock: systemClock,
  exists: pathExists,
  random: Math.random,
};

/** A streaming board that sends nothing for so long is lost. */
export const silenceMsMax = 2000;

export interface SerialStream {
  readonly address: SerialAddress;
  readonly family: Family;
  readonly world: SerialWorld;
}

export function serialStream(stream: SerialStream, signal: AbortSignal): Observable<DriverEvent> {
  return new Observable((subscriber) => {
    const stop = new AbortController();
    const quit = () => stop.abort();
    if (signal.aborted) quit();
    signal.addEventListener('abort', quit, { once: true });
    const session = new Session(stream, stop.signal, (event) => subscriber.next(event));
    session.run().then(
      () => subscriber.complete(),
      (error: unknown) => subscriber.error(toEegError(error)),
    );
    return () => {
      signal.removeEventListener('abort', quit);
      quit();
    };
  });
}

class Session {
  readonly #stream: SerialStream;
  readonly #signal: AbortSignal;
  readonly #emit: (event: DriverEvent) => void;
  #rows: Rows | undefined;
  #info: StreamInfo | undefined;
  #told = '';

  constructor(stream: SerialStream, signal: AbortSignal, emit: (event: DriverEvent) => void) {
    this.#stream = stream;
    this.#signal = signal;
    this.#emit = (event) => {
      if (!signal.aborted) emit(event);
    };
  }

  /** Ends when aborted; throws when the stream can never deliver. */
  async run(): Promise<void> {
    const { world, address } = this.#stream;
    const backoff = new Backoff(world, address.path, this.#signal);
    while (!this.#signal.aborted) {
      this.#status('connecting');
      try {
        await this.#connect(() => backoff.reset());
      } catch (error) {
        if (this.#signal.aborted) return;
        const problem = toEegError(error);
        // Before anything streamed, a fault that waiting cannot mend is the user's to mend.
        if (problem.code === 'EEG_STREAM_FORMAT_CHANGED') throw problem;
        if (this.#info === undefined && !problem.retryable) throw problem;
        this.#status('lost', problem);
        // The board behind a living dongle cannot be seen to return, so it is asked more often.
        backoff.ceilingMs = problem.context.silent === true ? 1000 : 5000;
      }
      await backoff.wait();
    }
  }

  /** One connection, from opening to loss. Always throws the reason of its end. */
  async #connect(streaming: () => void): Promise<never> {
    const { world, address, family } = this.#stream;
    const over = new AbortController();
    const signal = AbortSignal.any([this.#signal, over.signal]);
    let dialog: Dialog | undefined;
    let intake: Intake | undefined;
    const early: Uint8Array[] = [];
    let port: Port | undefined;
    try {
      return await new Promise<never>((_, reject) => {
        const abort = () => reject(this.#signal.reason);
        this.#signal.addEventListener('abort', abort, { once: true });
        over.signal.addEventListener('abort', () =>
          this.#signal.removeEventListener('abort', abort),
        );
        const handlers = {
          bytes: (bytes: Uint8Array) => {
            if (intake !== undefined) intake.receive(bytes);
            else if (dialog !== undefined) dialog.receive(bytes);
            else early.push(new Uint8Array(bytes));
          },
          closed: (error: EegError) => {
            dialog?.fail(error);
            reject(error);
          },
        };
        const start = async () => {
          const path = address.path === '' ? await findPort(family, world) : address.path;
          port = await world.open(path, family.baudRate, handlers);
          // Aborted while opening: nobody waits any more, but the port must not stay open.
          if (signal.aborted) return await port.close();
          dialog = new Dialog(port, world.clock, signal);
          for (const bytes of early.splice(0)) dialog.receive(bytes);
          const decoder = await family.bringUp(dialog);
          intake = this.#begin(decoder, signal, { streaming, failed: reject });
          intake.receive(dialog.take());
        };
        start().catch(reject);
      });
    } finally {
      over.abort();
      intake?.end();
      await this.#close(port);
    }
  }

  #begin(
    decoder: Decoder,
    signal: AbortSignal,
    on: { streaming(): void; failed(error: EegError): void },
  ): Intake {
    const info = this.#infoOf(decoder);
    if (this.#info === undefined) this.#info = info;
    else if (formatOf(info) !== formatOf(this.#info)) {
      throw new EegError(
        'EEG_STREAM_FORMAT_CHANGED',
        `${info.id} came back with ${info.channels.length} channels at ${info.rateHz} Hz, ` +
          `expected ${this.#info.channels.length} at ${this.#info.rateHz} Hz`,
      );
    }
    this.#emit({ kind: 'info', info });
    this.#rows ??= new Rows(info.channels.length, this.#emit);
    return new Intake({
      decoder,
      rows: this.#rows,
      clock: this.#stream.world.clock,
      emit: this.#emit,
      signal,
      path: this.#stream.address.path,
      silenceMsMax,
      streaming: () => {
        this.#status('streaming');
        on.streaming();
      },
      failed: on.failed,
    });
  }

  #infoOf(decoder: Decoder): StreamInfo {
    const { address, family } = this.#stream;
    const { name, rateHz, channels, manufacturer } = decoder;
    const id = streamId(family.name, address);
    const sourceId = address.path === '' ? family.name : address.path;
    const info = { id, name, driver: family.name, rateHz, channels, sourceId };
    return manufacturer === undefined ? info : { ...info, manufacturer };
  }

  async #close(port: Port | undefined): Promise<void> {
    const { stop } = this.#stream.family;
    if (port === undefined) return;
    if (stop !== undefined) await port.write(Buffer.from(stop, 'latin1')).catch(() => undefined);
    await port.close();
  }

  /** Says a state once, and again when its reason is another. */
  #status(state: 'connecting' | 'streaming' | 'lost', error?: EegError): void {
    const told = `${state} ${error?.line ?? ''}`;
    if (told === this.#told || (state === 'connecting' && this.#told.startsWith('lost'))) return;
    this.#told = told;
    if (error === undefined) this.#emit({ kind: 'status', state });
    else this.#emit({ kind: 'status', state, detail: error.line, code: error.code });
  }
}

function formatOf(info: StreamInfo): string {
  return JSON.stringify([info.rateHz, info.channels]);
}
