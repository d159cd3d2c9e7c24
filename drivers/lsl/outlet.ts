/**
 * An outlet: makes a stream findable and serves it to any number of inlets, liblsl's included.
 * Each reader has a ring of its own; samples pushed while nobody reads go nowhere.
 */
import { randomUUID } from 'node:crypto';
import type { RemoteInfo, Socket as UdpSocket } from 'node:dgram';
import type { Server, Socket } from 'node:net';
import { hostname } from 'node:os';
import { localClock } from './clock.js';
import { type LslConfig, loadLslConfig } from './config.js';
import { encodePattern, encodeSamples, type SampleValues } from './encoder.js';
import { LslError } from './errors.js';
import { type FeedRequest, protocolVersion } from './feed-protocol.js';
import { isSampleFormat, type SampleFormat } from './formats.js';
import { bindInRange, closeUdp, type Family, families, listenAddress, openUdp } from './network.js';
import { type ConsumerStats, OutletConsumer } from './outlet-consumer.js';
import { listenForFeeds } from './outlet-session.js';
import { answerQuery, Responder } from './responder.js';
import {
  emptyDesc,
  formatStreamInfo,
  type LslStreamInfo,
  streamInfoXml,
  streamLimits,
} from './stream-info.js';
import { answerTime } from './time-sync.js';
import type { XmlElement } from './xml.js';
import { compileQuery } from './xpath.js';

export interface OutletDescription {
  readonly name: string;
  readonly type: string;
  readonly channelCount: number;
  readonly format: SampleFormat;
  /** Nominal rate in Hz; 0 = irregular. */
  readonly rateHz: number;
  /** Stable over restarts, so that readers find the stream again. */
  readonly sourceId: string;
  /** See `describeChannels`. */
  readonly desc?: XmlElement;
}

export interface OutletOptions {
  readonly config?: LslConfig;
  /** Send when so many samples wait; 0 (default) = at each push. A reader may ask otherwise. */
  readonly chunkSamples?: number;
}

/** Chunks are cut into pieces of so many samples, so that a full ring loses little at a time. */
const pieceSamples = 32;
const cachedQueriesMax = 200;

export class Outlet {
  #info: LslStreamInfo;
  readonly #config: LslConfig;
  readonly #chunkSamples: number;
  readonly #servers: Server[] = [];
  readonly #services: UdpSocket[] = [];
  readonly #consumers = new Map<Socket, OutletConsumer>();
  readonly #waiting = new Set<() => void>();
  #droppedBefore = 0;
  #leave: (() => void) | undefined;
  #shortInfo = '';
  readonly #matches = new Map<string, boolean>();

  private constructor(description: OutletDescription, options: OutletOptions) {
    check(description);
    this.#config = options.config ?? loadLslConfig();
    this.#chunkSamples = options.chunkSamples ?? 0;
    this.#info = {
      ...description,
      desc: description.desc ?? emptyDesc,
      version: protocolVersion,
      createdAtS: localClock(),
      uid: randomUUID(),
      sessionId: this.#config.sessionId,
      hostname: hostname(),
      v4Address: '',
      v4DataPort: 0,
      v4ServicePort: 0,
      v6Address: '',
      v6DataPort: 0,
      v6ServicePort: 0,
    };
  }

  /** Throws `LslError` (`usage`); rejects where no port can be had. */
  static async open(description: OutletDescription, options: OutletOptions = {}): Promise<Outlet> {
    const outlet = new Outlet(description, options);
    try {
      for (const family of families(outlet.#config)) await outlet.#listen(family);
      if (outlet.#servers.length === 0)
        throw new LslError('usage', 'expected a free port for the outlet, got none');
      outlet.#shortInfo = formatStreamInfo(outlet.#info, false);
      outlet.#leave = await Responder.add(outlet.#config, (query) => outlet.#answer(query));
    } catch (error) {
      outlet.close();
      throw error;
    }
    return outlet;
  }

  get info(): LslStreamInfo {
    return this.#info;
  }

  get consumers(): ConsumerStats[] {
    return [...this.#consumers.values()].map((one) => one.stats);
  }

  /** Samples dropped for readers that were too slow, all readers together. */
  get dropped(): number {
    let sum = this.#droppedBefore;
    for (const one of this.#consumers.values()) sum += one.stats.dropped;
    return sum;
  }

  /** Resolves true as soon as somebody reads, false after `timeoutMs`. */
  waitForConsumers(timeoutMs: number): Promise<boolean> {
    if (this.#consumers.size > 0) return Promise.resolve(true);
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(arrived);
        resolve(false);
      }, timeoutMs);
      const arrived = () => {
        clearTimeout(timer);
        resolve(true);
      };
      this.#waiting.add(arrived);
    });
  }

  /** One sample, stamped `stampS` (default: now). `flush` false keeps it for the next push. */
  push(values: SampleValues, stampS = localClock(), flush = true): void {
    this.#push(values, [stampS], flush);
  }

  /**
   * Several samples, `[frames, channels]`. `stamps`: one for each frame, or the last one's (then
   * the others are deduced from the rate). Throws `LslError` (`usage`) where the sizes do not fit.
   */
  pushChunk(
    values: SampleValues,
    stamps: number | ArrayLike<number> = localClock(),
    flush = true,
  ): void {
    const frames = values.length / this.#info.channelCount;
    this.#push(values, typeof stamps === 'number' ? this.#deduced(stamps, frames) : stamps, flush);
  }

  /** Stops the service; readers see the end at once. */
  close(): void {
    this.#leave?.();
    for (const server of this.#servers) server.close();
    for (const consumer of this.#consumers.values()) consumer.end();
    for (const socket of this.#services) closeUdp(socket);
  }

  #push(values: SampleValues, stamps: ArrayLike<number>, flush: boolean): void {
    const { channelCount: channels, format } = this.#info;
    const frames = stamps.length;
    if (values.length !== frames * channels)
      throw new LslError(
        'usage',
        `expected ${frames} x ${channels} values for "${this.#info.name}", got ${values.length}`,
      );
    if (this.#consumers.size === 0) return;
    for (let from = 0; from < frames; from += pieceSamples) {
      const range = { from, to: Math.min(frames, from + pieceSamples) };
      const encoded = new Map<boolean, Buffer>();
      for (const consumer of this.#consumers.values()) {
        const order = consumer.littleEndian;
        const bytes =
          encoded.get(order) ?? encodeSamples({ format, channels }, values, stamps, range, order);
        encoded.set(order, bytes);
        const isLast = range.to === frames;
        consumer.push({ bytes, samples: range.to - range.from }, flush && isLast);
      }
    }
  }

  /** First stamp of each piece is said, the others follow from the rate. */
  #deduced(lastS: number, frames: number): Float64Array {
    const stamps = new Float64Array(frames).fill(Number.NaN);
    const stepS = this.#info.rateHz > 0 ? 1 / this.#info.rateHz : 0;
    for (let k = 0; k < frames; k += pieceSamples) stamps[k] = lastS - (frames - 1 - k) * stepS;
    return stamps;
  }

  async #listen(family: Family): Promise<void> {
    const address = listenAddress(this.#config, family);
    try {
      const server = await bindInRange(this.#config, (port) =>
        listenForFeeds({ address, port, family }, this.#feed),
      );
      this.#servers.push(server);
      const service = await bindInRange(this.#config, (port) => openUdp({ family, address, port }));
      this.#services.push(service);
      service.on('message', (message, from) => this.#serve(service, message, from));
      const bound = server.address();
      const dataPort = typeof bound === 'object' && bound !== null ? bound.port : 0;
      const servicePort = service.address().port;
      this.#info =
        family === 4
          ? { ...this.#info, v4DataPort: dataPort, v4ServicePort: servicePort }
          : { ...this.#info, v6DataPort: dataPort, v6ServicePort: servicePort };
    } catch (error) {
      // A machine without IPv6 serves IPv4 only.
      if (family === 4) throw error;
    }
  }

  #serve(socket: UdpSocket, message: Buffer, from: RemoteInfo): void {
    const receivedS = localClock();
    const answer = answerTime(message.toString('latin1'), receivedS, localClock);
    if (answer !== undefined) socket.send(answer, from.port, from.address, () => undefined);
    else answerQuery(socket, message, from, (query) => this.#answer(query));
  }

  /** What matched once matches again: the description never changes. */
  #answer(query: string): string | undefined {
    let matches = this.#matches.get(query);
    if (matches === undefined) {
      try {
        matches = compileQuery(query)(streamInfoXml(this.#info, true));
      } catch {
        // A query that we cannot read is not for us.
        matches = false;
      }
      if (this.#matches.size >= cachedQueriesMax) this.#matches.clear();
      this.#matches.set(query, matches);
    }
    return matches ? this.#shortInfo : undefined;
  }

  readonly #feed = {
    info: () => this.#info,
    shortInfo: (query: string) => this.#answer(query),
    fullInfo: () => formatStreamInfo(this.#info, true),
    pattern: (littleEndian: boolean) => {
      const { format, channelCount: channels } = this.#info;
      return encodePattern({ format, channels }, littleEndian);
    },
    start: (socket: Socket, request: FeedRequest) => this.#addConsumer(socket, request),
  };

  #addConsumer(socket: Socket, request: FeedRequest): void {
    const consumer = new OutletConsumer(socket, request, this.#chunkSamples);
    this.#consumers.set(socket, consumer);
    socket.once('close', () => {
      this.#droppedBefore += consumer.stats.dropped;
      this.#consumers.delete(socket);
    });
    for (const arrived of this.#waiting) arrived();
    this.#waiting.clear();
  }
}

function check(description: OutletDescription): void {
  const { name, channelCount, format, rateHz } = description;
  if (name.trim() === '') throw new LslError('usage', 'expected a name for the outlet, got none');
  if (!Number.isInteger(channelCount) || channelCount < 0 || channelCount > streamLimits.channels)
    throw new LslError(
      'usage',
      `expected up to ${streamLimits.channels} channels, got ${channelCount}`,
    );
  if (!isSampleFormat(format))
    throw new LslError('usage', `expected a format of LSL, got ${format}`);
  if (!(rateHz >= 0 && Number.isFinite(rateHz)))
    throw new LslError('usage', `expected a rate of 0 Hz or more, got ${rateHz}`);
}
