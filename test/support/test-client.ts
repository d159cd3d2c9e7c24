/** A WebSocket client for tests that keeps what it gets and can be awaited; and a test server. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WebSocket } from 'ws';
import { silentLogger } from '../../src/core/log.js';
import { type RunningServer, type ServerOptions, startServer } from '../../src/server/server.js';
import { FakeDaemon } from './fake-daemon.js';

type Message = Record<string, unknown>;

export class TestClient {
  readonly socket: WebSocket;
  readonly messages: Message[] = [];
  readonly frames: Buffer[] = [];
  readonly opened: Promise<void>;
  readonly closed: Promise<{ code: number; reason: string }>;
  #waiting: (() => void)[] = [];
  #idNext = 1;

  constructor(address: string, options: { headers?: Record<string, string> } = {}) {
    this.socket = new WebSocket(`${address.replace(/^http/, 'ws')}/ws`, options);
    this.socket.on('message', (data: Buffer, isBinary) => {
      if (isBinary) this.frames.push(data);
      else this.messages.push(JSON.parse(data.toString()));
      for (const wake of this.#waiting.splice(0)) wake();
    });
    this.opened = new Promise((resolve, reject) => {
      this.socket.once('open', resolve);
      this.socket.once('error', reject);
    });
    this.closed = new Promise((resolve, reject) => {
      this.socket.on('close', (code, reason) => {
        for (const wake of this.#waiting.splice(0)) wake();
        resolve({ code, reason: reason.toString() });
      });
      this.socket.on('error', reject);
    });
    this.closed.catch(() => {});
  }

  /** The first message, early or still to come, that fits; taken out. */
  async next(fits: (message: Message) => boolean): Promise<Message> {
    for (;;) {
      const at = this.messages.findIndex(fits);
      if (at >= 0) return this.messages.splice(at, 1)[0] as Message;
      if (this.socket.readyState > WebSocket.OPEN) throw new Error('closed before it came');
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  hello(): Promise<Message> {
    return this.next(({ type }) => type === 'hello');
  }

  async frame(): Promise<Buffer> {
    while (this.frames.length === 0)
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return this.frames.shift() as Buffer;
  }

  send(data: unknown): void {
    this.socket.send(
      typeof data === 'string' || Buffer.isBuffer(data) ? data : JSON.stringify(data),
    );
  }

  /** Send a command, wait for its result. */
  async call(type: string, fields: Message = {}): Promise<Message> {
    const id = this.#idNext++;
    this.send({ id, type, ...fields });
    return this.next((message) => message.type === 'result' && message.id === id);
  }

  close(): Promise<unknown> {
    this.socket.close();
    return this.closed;
  }
}

export interface TestServer {
  readonly daemon: FakeDaemon;
  readonly server: RunningServer;
  /** Resolves when the socket is open; rejects where the connect is refused. */
  connect(headers?: Record<string, string>): Promise<TestClient>;
}

/** A server on a free port with a fake daemon; `close` the server in `afterEach`. */
export async function testServer(options: Partial<ServerOptions> = {}): Promise<TestServer> {
  const daemon = new FakeDaemon();
  const server = await startServer(daemon, { port: 0, ...options }, silentLogger);
  const connect = async (headers = {}) => {
    const client = new TestClient(server.address, { headers });
    await client.opened;
    return client;
  };
  return { daemon, server, connect };
}

export function tokenFile(text: string, mode = 0o600): string {
  const file = join(mkdtempSync(join(tmpdir(), 'eegd-token-')), 'token');
  writeFileSync(file, text, { mode });
  return file;
}
