/**
 * The text that opens a data feed (protocol 1.10): the request of an inlet, the response of an
 * outlet. Header lines are `Key: value`, keys in any case, `;` begins a comment.
 */
import { endianness } from 'node:os';
import { LslError } from './errors.js';
import { valueBytes } from './formats.js';
import type { LslStreamInfo } from './stream-info.js';

export const protocolVersion = 110;
/** Longest header accepted, bytes. */
export const headerBytesMax = 16 * 1024;

export interface FeedRequest {
  readonly version: number;
  /** '' = any stream at this port. */
  readonly uid: string;
  readonly littleEndian: boolean;
  readonly supportsSubnormals: boolean;
  /** Undefined = not said. */
  readonly valueSize?: number;
  readonly bufferSamples: number;
  /** 0 = the sender decides. */
  readonly chunkSamples: number;
}

export interface FeedLimits {
  /** Samples the outlet may hold for us. */
  readonly bufferSamples: number;
  readonly chunkSamples: number;
}

const hostLittleEndian = endianness() === 'LE';

export function formatFeedRequest(info: LslStreamInfo, limits: FeedLimits): string {
  const line = (text: string) => text.replace(/[\r\n;]/g, ' ');
  return [
    `LSL:streamfeed/${protocolVersion} ${info.uid}`,
    `Native-Byte-Order: ${hostLittleEndian ? 1234 : 4321}`,
    // 0: let the sender convert to our order.
    'Endian-Performance: 0',
    'Has-IEEE754-Floats: 1',
    'Supports-Subnormals: 1',
    // Not said for strings: liblsl would compare with its own `sizeof(std::string)`.
    ...(info.format === 'string' ? [] : [`Value-Size: ${valueBytes[info.format]}`]),
    `Data-Protocol-Version: ${protocolVersion}`,
    `Max-Buffer-Length: ${Math.max(1, Math.round(limits.bufferSamples))}`,
    `Max-Chunk-Length: ${Math.round(limits.chunkSamples)}`,
    `Hostname: ${line(info.hostname)}`,
    `Source-Id: ${line(info.sourceId)}`,
    `Session-Id: ${line(info.sessionId)}`,
    '',
    '',
  ].join('\r\n');
}

/** `text`: the request line and the header lines. Throws `LslError` (`protocol`). */
export function parseFeedRequest(text: string): FeedRequest {
  const [first = '', ...rest] = text.split(/\r?\n/);
  const match = /^LSL:streamfeed\/(\d{1,6})(?:[ \t]+(\S+))?\s*$/.exec(first);
  if (match === null)
    throw new LslError('protocol', `expected LSL:streamfeed/110, got "${first.slice(0, 60)}"`);
  const headers = parseHeaders(rest);
  const size = headers.get('value-size');
  return {
    version: Number(match[1]),
    uid: match[2] ?? '',
    littleEndian: headers.get('native-byte-order') !== '4321',
    supportsSubnormals: headers.get('supports-subnormals') !== '0',
    ...(size !== undefined && { valueSize: Number(size) }),
    bufferSamples: countOf(headers.get('max-buffer-length')),
    chunkSamples: countOf(headers.get('max-chunk-length')),
  };
}

function countOf(text: string | undefined): number {
  const value = Number(text ?? 0);
  return Number.isSafeInteger(value) && value > 0 ? value : 0;
}

export function formatFeedResponse(
  uid: string,
  agreed: { littleEndian: boolean; suppressSubnormals: boolean },
): string {
  return [
    `LSL/${protocolVersion} 200 OK`,
    `UID: ${uid}`,
    `Byte-Order: ${agreed.littleEndian ? 1234 : 4321}`,
    `Suppress-Subnormals: ${agreed.suppressSubnormals ? 1 : 0}`,
    `Data-Protocol-Version: ${protocolVersion}`,
    '',
    '',
  ].join('\r\n');
}

/**
 * The byte order agreed on. Throws `LslError`: `lost` where the outlet behind this address is
 * another one by now, `protocol` where it cannot speak 1.10.
 */
export function parseFeedResponse(text: string, uid: string): { littleEndian: boolean } {
  const [first = '', ...rest] = text.split(/\r?\n/);
  const match = /^LSL\/(\d{1,6})\s+(\d{3})(.*)$/.exec(first);
  if (match === null)
    throw new LslError('protocol', `expected LSL/110 200 OK, got "${first.slice(0, 60)}"`);
  const status = Number(match[2]);
  if (status === 404 || (status >= 300 && status < 400))
    throw new LslError('lost', `expected the stream at its address, got "${first.slice(0, 60)}"`);
  if (status !== 200)
    throw new LslError('protocol', `expected LSL/110 200 OK, got "${first.slice(0, 60)}"`);
  const headers = parseHeaders(rest);
  const got = headers.get('uid');
  if (got !== undefined && got !== uid.toLowerCase())
    throw new LslError('lost', `expected the outlet ${uid}, got ${got.slice(0, 60)}`);
  const version = Number(headers.get('data-protocol-version') ?? protocolVersion);
  if (version !== protocolVersion)
    throw new LslError(
      'protocol',
      `expected protocol 1.10, got ${(version / 100).toFixed(2)}: the outlet's LSL is too old`,
    );
  return { littleEndian: byteOrder(headers.get('byte-order') ?? '0') };
}

function byteOrder(text: string): boolean {
  if (text === '1234') return true;
  if (text === '4321') return false;
  if (text === '0') return hostLittleEndian;
  throw new LslError('protocol', `expected byte order 1234 or 4321, got ${text.slice(0, 20)}`);
}

/** Keys and values in lower case, as liblsl reads them. */
function parseHeaders(lines: readonly string[]): Map<string, string> {
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(':');
    if (colon < 0) continue;
    const value = line.slice(colon + 1).replace(/;.*$/, '');
    headers.set(line.slice(0, colon).trim().toLowerCase(), value.trim().toLowerCase());
  }
  return headers;
}

/** Collects bytes up to an empty line, or up to a line end, whichever is asked for. */
export class HeaderReader {
  #bytes = Buffer.alloc(0);
  readonly #terminator: string;

  constructor(terminator: '\r\n' | '\r\n\r\n') {
    this.#terminator = terminator;
  }

  /** The header without its terminator and the bytes behind it, once it is whole. */
  push(bytes: Uint8Array): { text: string; rest: Buffer } | undefined {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    const end = this.#bytes.indexOf(this.#terminator);
    if (end < 0 || end > headerBytesMax) {
      if (this.#bytes.byteLength > headerBytesMax)
        throw new LslError('protocol', `expected a header of at most ${headerBytesMax} bytes`);
      return undefined;
    }
    return {
      text: this.#bytes.toString('utf8', 0, end),
      rest: this.#bytes.subarray(end + this.#terminator.length),
    };
  }
}
