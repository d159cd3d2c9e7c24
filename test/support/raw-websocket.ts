/** A WebSocket spoken by hand over TCP, so that every rule of RFC 6455 can be broken. */
import { createHash } from 'node:crypto';
import { connect, type Socket } from 'node:net';

export interface Frame {
  readonly fin: boolean;
  readonly rsv: number;
  readonly opcode: number;
  readonly masked: boolean;
  readonly payload: Buffer;
}

export const opcodes = {
  continuation: 0,
  text: 1,
  binary: 2,
  close: 8,
  ping: 9,
  pong: 10,
} as const;

export function frame(
  opcode: number,
  payload: Buffer | string = '',
  { fin = true, rsv = 0, masked = true, lengthForm = 0 } = {},
): Buffer {
  const body = Buffer.from(payload);
  const form = lengthForm || (body.length < 126 ? 7 : body.length < 65_536 ? 16 : 64);
  const head = Buffer.alloc(form === 7 ? 2 : form === 16 ? 4 : 10);
  head[0] = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  const maskBit = masked ? 0x80 : 0;
  head[1] = maskBit | (form === 7 ? body.length : form === 16 ? 126 : 127);
  if (form === 16) head.writeUInt16BE(body.length, 2);
  if (form === 64) head.writeBigUInt64BE(BigInt(body.length), 2);
  if (!masked) return Buffer.concat([head, body]);
  const key = Buffer.from([0x12, 0x34, 0x56, 0x78]);
  const hidden = body.map((byte, i) => byte ^ (key[i % 4] ?? 0));
  return Buffer.concat([head, key, hidden]);
}

export function closeBody(code: number, reason = ''): Buffer {
  const body = Buffer.alloc(2 + Buffer.byteLength(reason));
  body.writeUInt16BE(code, 0);
  body.write(reason, 2);
  return body;
}

export class RawWebSocket {
  readonly #socket: Socket;
  #buffer: Buffer = Buffer.alloc(0);
  #ended = false;
  #wake: () => void = () => {};

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (data) => {
      this.#buffer = Buffer.concat([this.#buffer, data]);
      this.#wake();
    });
    for (const event of ['end', 'close', 'error'])
      socket.on(event, () => {
        this.#ended = true;
        this.#wake();
      });
  }

  /** Connects and shakes hands; resolves with the response head too. */
  static async open(port: number, headers: readonly string[] = []) {
    const key = 'dGhlIHNhbXBsZSBub25jZQ==';
    const raw = new RawWebSocket(connect(port, '127.0.0.1'));
    raw.write(
      [
        'GET /ws HTTP/1.1',
        `Host: 127.0.0.1:${port}`,
        'Connection: Upgrade',
        'Upgrade: websocket',
        'Sec-WebSocket-Version: 13',
        `Sec-WebSocket-Key: ${key}`,
        ...headers,
        '\r\n',
      ].join('\r\n'),
    );
    const head = await raw.#head();
    const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`);
    return { raw, head, accept: accept.digest('base64') };
  }

  write(data: Buffer | string): void {
    this.#socket.write(data);
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** The next frame; undefined where the connection ended first. */
  async next(): Promise<Frame | undefined> {
    for (;;) {
      const read = this.#take();
      if (read !== undefined || this.#ended) return read;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Reads on to the close frame: its code, or `dropped` where none came. */
  async closeCode(): Promise<number | 'dropped'> {
    for (;;) {
      const read = await this.next();
      if (read === undefined) return 'dropped';
      if (read.opcode === opcodes.close)
        return read.payload.length >= 2 ? read.payload.readUInt16BE(0) : 1005;
    }
  }

  /** The next text frame that fits, parsed. */
  async json(fits: (message: Record<string, unknown>) => boolean) {
    for (;;) {
      const read = await this.next();
      if (read === undefined) throw new Error('the connection ended');
      if (read.opcode !== opcodes.text) continue;
      const message = JSON.parse(read.payload.toString()) as Record<string, unknown>;
      if (fits(message)) return message;
    }
  }

  async #head(): Promise<string> {
    for (;;) {
      const end = this.#buffer.indexOf('\r\n\r\n');
      if (end >= 0) {
        const head = this.#buffer.subarray(0, end).toString();
        this.#buffer = this.#buffer.subarray(end + 4);
        return head;
      }
      if (this.#ended) return this.#buffer.toString();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #take(): Frame | undefined {
    const [first = 0, second = 0] = this.#buffer;
    if (this.#buffer.length < 2) return undefined;
    const short = second & 0x7f;
    const headBytes = short === 126 ? 4 : short === 127 ? 10 : 2;
    if (this.#buffer.length < headBytes) return undefined;
    const length =
      short === 126
        ? this.#buffer.readUInt16BE(2)
        : short === 127
          ? Number(this.#buffer.readBigUInt64BE(2))
          : short;
    if (this.#buffer.length < headBytes + length) return undefined;
    const payload = this.#buffer.subarray(headBytes, headBytes + length);
    this.#buffer = this.#buffer.subarray(headBytes + length);
    return {
      fin: (first & 0x80) !== 0,
      rsv: (first >> 4) & 7,
      opcode: first & 15,
      masked: (second & 0x80) !== 0,
      payload,
    };
  }
}
