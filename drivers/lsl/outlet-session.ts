/** The TCP side of an outlet: one request a connection (`shortinfo`, `fullinfo`, `streamfeed`). */
import { createServer, type Server, type Socket } from 'node:net';
import { isLslError } from './errors.js';
import {
  type FeedRequest,
  formatFeedResponse,
  headerBytesMax,
  parseFeedRequest,
  protocolVersion,
} from './feed-protocol.js';
import { valueBytes } from './formats.js';
import type { Family } from './network.js';
import type { LslStreamInfo } from './stream-info.js';

export interface FeedSource {
  info(): LslStreamInfo;
  /** Undefined where the query does not match. */
  shortInfo(query: string): string | undefined;
  fullInfo(): string;
  pattern(littleEndian: boolean): Buffer;
  start(socket: Socket, request: FeedRequest): void;
}

/** A connection must have asked for something by then, ms. */
const requestMs = 5000;

export function listenForFeeds(
  at: { address: string; port: number; family: Family },
  source: FeedSource,
): Promise<Server> {
  const server = createServer({ noDelay: true }, (socket) => serve(socket, source));
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const ipv6Only = at.family === 6;
    server.listen({ host: at.address, port: at.port, ipv6Only, exclusive: true }, () => {
      server.removeListener('error', reject);
      server.on('error', () => undefined);
      resolve(server);
    });
  });
}

function serve(socket: Socket, source: FeedSource): void {
  let request = Buffer.alloc(0);
  socket.on('error', () => socket.destroy());
  const timer = setTimeout(() => socket.destroy(), requestMs);
  socket.once('close', () => clearTimeout(timer));
  const read = (bytes: Buffer) => {
    request = Buffer.concat([request, bytes]);
    const done = answer(socket, request.toString('utf8'), source);
    if (!done && request.byteLength <= headerBytesMax) return;
    clearTimeout(timer);
    socket.removeListener('data', read);
    if (!done) socket.destroy();
    // What a reader says later is nothing to us, but its end must be noticed.
    else socket.resume();
  };
  socket.on('data', read);
}

/** False: the request is not whole yet. */
function answer(socket: Socket, text: string, source: FeedSource): boolean {
  const end = text.indexOf('\n');
  if (end < 0) return false;
  const method = text.slice(0, end).trim();
  if (method === 'LSL:fullinfo') {
    socket.end(source.fullInfo());
    return true;
  }
  if (method === 'LSL:shortinfo') {
    const queryEnd = text.indexOf('\n', end + 1);
    if (queryEnd < 0) return false;
    socket.end(source.shortInfo(text.slice(end + 1, queryEnd).trim()) ?? '');
    return true;
  }
  if (method.startsWith('LSL:streamfeed/')) {
    const headerEnd = text.indexOf('\r\n\r\n');
    if (headerEnd < 0) return false;
    feed(socket, text.slice(0, headerEnd), source);
    return true;
  }
  // Protocol 1.00 (`LSL:streamfeed`) has no way to be told why.
  socket.destroy();
  return true;
}

function feed(socket: Socket, text: string, source: FeedSource): void {
  const info = source.info();
  const refuse = (status: string) => socket.end(`LSL/${protocolVersion} ${status}\r\n\r\n`);
  let request: FeedRequest;
  try {
    request = parseFeedRequest(text);
  } catch (error) {
    refuse(`400 ${isLslError(error) ? error.message : 'Bad request'}`);
    return;
  }
  if (
    Math.floor(request.version / 100) > Math.floor(protocolVersion / 100) ||
    request.version < 110
  )
    return void refuse('505 Version not supported');
  if (request.uid !== '' && request.uid !== info.uid) return void refuse('404 Not found');
  const size = request.valueSize;
  if (info.format !== 'string' && size !== undefined && size !== valueBytes[info.format])
    return void refuse(`400 Value-Size ${valueBytes[info.format]} expected`);
  const isFloat = info.format === 'float32' || info.format === 'double64';
  socket.write(
    formatFeedResponse(info.uid, {
      littleEndian: request.littleEndian,
      suppressSubnormals: isFloat && !request.supportsSubnormals,
    }),
  );
  socket.write(source.pattern(request.littleEndian));
  source.start(socket, request);
}
