/**
 * One TCP connection to an outlet's data port: asks for the feed, checks the test pattern, then
 * hands over what each read brought. It never reconnects; `recovering-inlet.ts` does.
 */
import { connect, type Socket } from 'node:net';
import { type LslClock, systemLslClock } from './clock.js';
import { type DecodedSamples, SampleDecoder } from './decoder.js';
import { checkPattern } from './encoder.js';
import { isLslError, LslError } from './errors.js';
import {
  type FeedLimits,
  formatFeedRequest,
  HeaderReader,
  parseFeedResponse,
} from './feed-protocol.js';
import { patternOffsets, type SampleArray } from './formats.js';
import { type LslStreamInfo, parseStreamInfo } from './stream-info.js';
import { xmlLimits } from './xml.js';

export interface ConnectionOptions extends FeedLimits {
  readonly clock?: LslClock;
  /** For connecting and for the header, ms. */
  readonly timeoutMs?: number;
  /** Samples of one read, and when it came, LSL seconds here. */
  onSamples(samples: DecodedSamples, arrivalS: number): void;
  /** Once, after `opened` had resolved: the connection is gone. */
  onClosed(error: LslError): void;
}

const readBufferBytes = 64 * 1024;

export class InletConnection {
  readonly #info: LslStreamInfo;
  readonly #options: ConnectionOptions;
  readonly #clock: LslClock;
  readonly #socket: Socket;
  readonly #header = new HeaderReader('\r\n\r\n');
  #decoder: SampleDecoder | undefined;
  #state: 'header' | 'pattern' | 'data' | 'closed' = 'header';
  #paused = false;
  #cancelTimeout: () => void = () => undefined;
  #settle: { resolve: () => void; reject: (error: LslError) => void } | undefined;
  /** Resolves when the feed runs; rejects with `LslError`. */
  readonly opened: Promise<void>;

  constructor(info: LslStreamInfo, options: ConnectionOptions) {
    this.#info = info;
    this.#options = options;
    this.#clock = options.clock ?? systemLslClock;
    this.opened = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    this.opened.catch(() => undefined);
    const { host, port } = dataAddress(info);
    this.#socket = connect({
      host,
      port,
      noDelay: true,
      onread: {
        buffer: Buffer.allocUnsafe(readBufferBytes),
        callback: (length, buffer) => this.#read(length, buffer),
      },
    });
    this.#socket.setKeepAlive(true, 10_000);
    this.#socket.once('connect', () => this.#socket.write(formatFeedRequest(info, options)));
    this.#socket.on('error', (error) => this.#fail(lost(info, error.message)));
    // The outlet never ends its side alone: either end means that nothing more will come.
    this.#socket.once('end', () => this.#fail(lost(info, 'the connection was closed')));
    this.#socket.once('close', () => this.#fail(lost(info, 'the connection was closed')));
    const timeoutMs = options.timeoutMs ?? 3000;
    this.#cancelTimeout = this.#clock.setTimeout(
      () => this.#fail(new LslError('timeout', `expected a feed from ${host}:${port} in time`)),
      timeoutMs,
    );
  }

  /** Stop reading: TCP, and then the outlet's ring, hold what comes. */
  pause(): void {
    this.#paused = true;
    this.#socket.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#socket.resume();
  }

  close(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#cancelTimeout();
    this.#settle?.reject(new LslError('lost', 'the inlet was closed'));
    this.#socket.destroy();
  }

  #read(length: number, buffer: Uint8Array): boolean {
    const arrivalS = this.#clock.now();
    try {
      if (this.#state === 'header') this.#readHeader(buffer.subarray(0, length));
      else if (this.#state !== 'closed') this.#decoder?.push(buffer, 0, length);
      this.#deliver(arrivalS);
    } catch (error) {
      this.#fail(isLslError(error) ? error : new LslError('protocol', String(error)));
    }
    return !this.#paused;
  }

  #readHeader(bytes: Uint8Array): void {
    const header = this.#header.push(bytes);
    if (header === undefined) return;
    const { littleEndian } = parseFeedResponse(header.text, this.#info.uid);
    const { format, channelCount, rateHz } = this.#info;
    const patternSamples = patternOffsets.length;
    const shape = { format, channels: channelCount, rateHz };
    this.#decoder = new SampleDecoder({ ...shape, littleEndian, patternSamples });
    this.#state = 'pattern';
    this.#decoder.push(header.rest);
  }

  #deliver(arrivalS: number): void {
    const decoder = this.#decoder;
    if (decoder === undefined || decoder.frames === 0) return;
    if (this.#state === 'pattern') {
      if (decoder.frames < 2) return;
      const samples = this.#checkPattern(decoder.take() as DecodedSamples);
      this.#state = 'data';
      this.#cancelTimeout();
      this.#settle?.resolve();
      this.#settle = undefined;
      if (samples !== undefined) this.#options.onSamples(samples, arrivalS);
      return;
    }
    const samples = this.#state === 'data' ? decoder.take() : undefined;
    if (samples !== undefined) this.#options.onSamples(samples, arrivalS);
  }

  /** What lies behind the two pattern samples. */
  #checkPattern(first: DecodedSamples): DecodedSamples | undefined {
    const { format, channelCount: channels } = this.#info;
    checkPattern({ format, channels }, first.data as ArrayLike<number>);
    const frames = first.frames - 2;
    if (frames === 0) return undefined;
    const data = first.data.slice(2 * channels) as SampleArray;
    return { frames, data, stamps: first.stamps.slice(2) };
  }

  #fail(error: LslError): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#cancelTimeout();
    this.#socket.destroy();
    if (this.#settle !== undefined) {
      this.#settle.reject(error);
      this.#settle = undefined;
    } else this.#options.onClosed(error);
  }
}

function lost(info: LslStreamInfo, reason: string): LslError {
  const { host, port } = dataAddress(info);
  return new LslError('lost', `expected samples of "${info.name}" at ${host}:${port}: ${reason}`);
}

/** IPv4 where the outlet answered there, else IPv6. */
export function dataAddress(info: LslStreamInfo): { host: string; port: number } {
  if (info.v4Address !== '' && info.v4DataPort > 0)
    return { host: info.v4Address, port: info.v4DataPort };
  return { host: info.v6Address, port: info.v6DataPort };
}

/** The whole <info> with its <desc>, over TCP. Rejects with `LslError`. */
export function fetchFullInfo(
  info: LslStreamInfo,
  options: { timeoutMs?: number; clock?: LslClock } = {},
): Promise<LslStreamInfo> {
  const { host, port } = dataAddress(info);
  const { timeoutMs = 3000, clock = systemLslClock } = options;
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const socket = connect({ host, port, noDelay: true });
    const finish = (result: LslStreamInfo | LslError) => {
      cancel();
      socket.destroy();
      if (result instanceof LslError) reject(result);
      else resolve(result);
    };
    const cancel = clock.setTimeout(
      () => finish(new LslError('timeout', `expected metadata from ${host}:${port} in time`)),
      timeoutMs,
    );
    socket.once('connect', () => socket.write('LSL:fullinfo\r\n'));
    socket.on('error', (error) => finish(lost(info, error.message)));
    socket.on('data', (bytes) => {
      size += bytes.byteLength;
      chunks.push(bytes);
      if (size > xmlLimits.bytes)
        finish(new LslError('metadata', `expected at most ${xmlLimits.bytes} bytes of metadata`));
    });
    // liblsl closes behind the document, but not at once: its end is what counts.
    socket.on('data', () => {
      if (!endsDocument(chunks)) return;
      const result = parseFull(info, chunks);
      if (!(result instanceof LslError)) finish(result);
    });
    socket.once('end', () => finish(parseFull(info, chunks)));
    socket.once('close', () => finish(parseFull(info, chunks)));
  });
}

function endsDocument(chunks: readonly Buffer[]): boolean {
  const tail = Buffer.concat(chunks.slice(-2)).subarray(-16).toString('latin1');
  return tail.trimEnd().endsWith('</info>');
}

/** The answer with the addresses under which it was found. */
function parseFull(info: LslStreamInfo, chunks: readonly Buffer[]): LslStreamInfo | LslError {
  try {
    const full = parseStreamInfo(Buffer.concat(chunks));
    const { v4Address, v6Address } = info;
    if (full.uid !== info.uid)
      return new LslError('lost', `expected metadata of ${info.uid}, got ${full.uid}`);
    return { ...full, v4Address, v6Address };
  } catch (error) {
    return isLslError(error) ? error : new LslError('metadata', String(error));
  }
}
