/**
 * One reader of an outlet: its own ring of encoded samples in front of its socket. A reader that
 * does not keep up loses the oldest samples, counted, and never holds up the outlet or another one.
 */
import type { Socket } from 'node:net';
import type { FeedRequest } from './feed-protocol.js';

export interface EncodedChunk {
  readonly bytes: Buffer;
  readonly samples: number;
}

export interface ConsumerStats {
  readonly address: string;
  /** Samples handed to the socket. */
  readonly sent: number;
  /** Samples dropped because this reader was too slow. */
  readonly dropped: number;
  /** Samples waiting in the ring. */
  readonly waiting: number;
}

/** Bytes that may wait in the socket; the ring keeps the rest, where it can still be dropped. */
const socketBytesMax = 64 * 1024;
/** For a reader to take what was sent before the end, ms. */
const lingerMs = 500;

export class OutletConsumer {
  readonly littleEndian: boolean;
  readonly #socket: Socket;
  readonly #address: string;
  readonly #ringSamples: number;
  readonly #chunkSamples: number;
  #ring: EncodedChunk[] = [];
  #waiting = 0;
  #sent = 0;
  #dropped = 0;

  constructor(socket: Socket, request: FeedRequest, chunkSamples: number) {
    this.#socket = socket;
    this.#address = `${socket.remoteAddress ?? '?'}:${socket.remotePort ?? 0}`;
    this.littleEndian = request.littleEndian;
    this.#ringSamples = request.bufferSamples;
    this.#chunkSamples = request.chunkSamples || chunkSamples;
    socket.on('drain', () => this.#write());
  }

  get stats(): ConsumerStats {
    return {
      address: this.#address,
      sent: this.#sent,
      dropped: this.#dropped,
      waiting: this.#waiting,
    };
  }

  /** `flush` is ignored where the reader asked for chunks of a certain length. */
  push(chunk: EncodedChunk, flush: boolean): void {
    // A reader that wants no buffer gets the header only, as with liblsl.
    if (this.#ringSamples === 0) return;
    this.#ring.push(chunk);
    this.#waiting += chunk.samples;
    let drop = 0;
    while (this.#waiting > this.#ringSamples && drop < this.#ring.length - 1) {
      const samples = this.#ring[drop++]?.samples ?? 0;
      this.#waiting -= samples;
      this.#dropped += samples;
    }
    if (drop > 0) this.#ring.splice(0, drop);
    const isDue = this.#chunkSamples > 0 ? this.#waiting >= this.#chunkSamples : flush;
    if (isDue) this.#write();
  }

  /** Write what waits, whole or not. */
  flush(): void {
    this.#write();
  }

  end(): void {
    this.#write();
    this.#socket.end();
    // A reader that does not read is not waited for.
    setTimeout(() => this.#socket.destroy(), lingerMs).unref();
  }

  #write(): void {
    let k = 0;
    if (this.#ring.length > 1) this.#socket.cork();
    while (k < this.#ring.length && this.#socket.writableLength < socketBytesMax) {
      const chunk = this.#ring[k++] as EncodedChunk;
      this.#waiting -= chunk.samples;
      this.#sent += chunk.samples;
      this.#socket.write(chunk.bytes);
    }
    this.#socket.uncork();
    if (k > 0) this.#ring.splice(0, k);
  }
}
