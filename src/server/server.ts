/**
 * The daemon's front: HTTP and WebSocket on one port. Connects are judged before the upgrade (host,
 * origin, limits); what follows is a session's. Listens on loopback unless it has a token.
 */
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, STATUS_CODES } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import type { DaemonApi } from '../core/daemon-api.js';
import { EegError } from '../core/errors.js';
import type { Logger } from '../core/log.js';
import { packageRoot } from '../core/paths.js';
import { type Clock, systemClock } from '../core/time.js';
import { httpHandler } from './http.js';
import { Hub } from './hub.js';
import { limits } from './limits.js';
import { Metrics } from './metrics.js';
import { hostAllowed, hostRefusal, isLoopback, originAllowed, originRefusal } from './origin.js';
import { type Scope, subprotocol } from './protocol.js';
import { Failures } from './rate.js';
import { Session } from './session.js';
import { credentialFile, loadTokens, type Tokens } from './tokens.js';

export interface ServerOptions {
  /** 127.0.0.1 where absent; any other address needs a token. */
  readonly host?: string;
  /** 0 = any free one. */
  readonly port: number;
  /** Absent: systemd's credential `ws-token`, where the service has one. */
  readonly tokenFile?: string;
  readonly tls?: { readonly certFile: string; readonly keyFile: string };
  /** A proxy in front ends TLS; its X-Forwarded-For names the client. */
  readonly behindProxy?: boolean;
  /** Host names besides localhost and address literals under which the server is reached. */
  readonly hosts?: readonly string[];
  /** Origins besides the server's own page, e.g. `https://lab.example`. */
  readonly origins?: readonly string[];
  readonly dashboardDir?: string;
  /** For stage times that only the daemon knows; made here where absent. */
  readonly metrics?: Metrics;
  readonly clock?: Clock;
}

export interface RunningServer {
  /** `http://127.0.0.1:8765` or `https://...`. */
  readonly address: string;
  readonly port: number;
  readonly metrics: Metrics;
  /** Close code 1001 to everybody; resolves when every socket is closed. */
  close(): Promise<void>;
}

/** Rejects with `EEG_WS_BIND_REFUSED`, `EEG_CONFIG_INVALID` or `EEG_CONFIG_UNREADABLE`. */
export async function startServer(
  daemon: DaemonApi,
  options: ServerOptions,
  log: Logger,
): Promise<RunningServer> {
  const host = options.host ?? '127.0.0.1';
  const tokenFile = options.tokenFile ?? credentialFile();
  refuseOpenBind(host, tokenFile !== undefined, options);
  const tokens = tokenFile === undefined ? undefined : loadTokens(tokenFile);
  const clock = options.clock ?? systemClock;
  const metrics = options.metrics ?? new Metrics(clock);
  const front = new Front({ ...options, host }, { daemon, tokens, clock, metrics, log });
  return front.listen();
}

function refuseOpenBind(host: string, hasToken: boolean, options: ServerOptions): void {
  if (isLoopback(host)) return;
  const hasTls = options.tls !== undefined || options.behindProxy === true;
  if (!hasToken)
    throw new EegError(
      'EEG_WS_BIND_REFUSED',
      hasTls
        ? `expected a token to listen on ${host}, found none`
        : `expected a token and TLS to listen on ${host}, found neither`,
      { hint: 'set server.tokenFile and server.tls (or behindProxy), or listen on 127.0.0.1' },
    );
  if (!hasTls)
    throw new EegError(
      'EEG_WS_BIND_REFUSED',
      `expected TLS to listen on ${host}: a token would travel in the clear`,
      {
        hint: 'set tls.certFile and tls.keyFile, or behindProxy: true where a proxy ends TLS',
      },
    );
}

interface Parts {
  readonly daemon: DaemonApi;
  readonly tokens: Tokens | undefined;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly log: Logger;
}

class Front {
  readonly #options: ServerOptions & { readonly host: string };
  readonly #parts: Parts;
  readonly #hub: Hub;
  readonly #http: Server;
  readonly #upgrader: WebSocketServer;
  readonly #sessions = new Map<Session, string>();
  readonly #failures: Failures;
  readonly #version: string;

  constructor(options: ServerOptions & { readonly host: string }, parts: Parts) {
    this.#options = options;
    this.#parts = parts;
    this.#version = parts.daemon.snapshot().version;
    this.#hub = new Hub(parts.daemon, parts.metrics, parts.clock);
    this.#failures = new Failures(limits.authFailuresMax, limits.authWindowMs, parts.clock);
    this.#upgrader = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: limits.payloadBytesMax,
      maxFragments: limits.fragmentsMax,
      maxBufferedChunks: limits.bufferedChunksMax,
      handleProtocols: (offered) => (offered.has(subprotocol) ? subprotocol : false),
    });
    this.#http = this.#createServer();
    this.#http.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
    this.#http.maxConnections = limits.httpConnectionsMax;
  }

  async listen(): Promise<RunningServer> {
    const { host, port, tls } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#http.once('error', (error: NodeJS.ErrnoException) =>
        reject(bindError(error, host, port)),
      );
      this.#http.listen(port, host, resolve);
    });
    const stopMetrics = this.#parts.metrics.follow(this.#parts.daemon);
    this.#hub.start();
    const bound = this.#http.address() as AddressInfo;
    const name = bound.family === 'IPv6' ? `[${bound.address}]` : bound.address;
    const address = `${tls ? 'https' : 'http'}://${name}:${bound.port}`;
    this.#parts.log.info({ address, token: undefined }, 'listening');
    return {
      address,
      port: bound.port,
      metrics: this.#parts.metrics,
      close: async () => {
        stopMetrics();
        await this.#close();
      },
    };
  }

  #createServer(): Server {
    const { tls, dashboardDir } = this.#options;
    const handler = httpHandler({
      ...this.#parts,
      dashboardDir: dashboardDir ?? join(packageRoot(), 'dist', 'dashboard'),
      hostAllowed: (request) => hostAllowed(request.headers.host, this.#options.hosts ?? []),
      mayRead: (request) => this.#mayRead(request),
    });
    const bounds = {
      headersTimeout: limits.headersMsMax,
      requestTimeout: limits.requestMsMax,
      keepAliveTimeout: limits.headersMsMax,
      connectionsCheckingInterval: 500,
      maxHeaderSize: limits.headerBytesMax,
    };
    if (tls === undefined) return createServer(bounds, handler);
    const files = { cert: readTls(tls.certFile), key: readTls(tls.keyFile) };
    return createTlsServer({ ...bounds, ...files, minVersion: 'TLSv1.2' }, handler);
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy());
    const ip = this.#clientIp(request);
    const refusal = this.#judge(request, ip);
    if (refusal !== undefined) {
      this.#parts.metrics.rejected.inc({ reason: refusal.reason });
      this.#parts.log.warn({ ip, reason: refusal.reason }, `connect refused: ${refusal.text}`);
      refuse(socket, refusal.status, refusal.text);
      return;
    }
    this.#upgrader.handleUpgrade(request, socket, head, (client) => {
      const { tokens, clock, ...parts } = this.#parts;
      const session = new Session(client, {
        ...parts,
        clock,
        transport: socket,
        hub: this.#hub,
        address: ip,
        version: this.#version,
        ...(tokens && { authenticate: (token: string) => this.#authenticate(token, ip) }),
      });
      this.#sessions.set(session, ip);
      this.#parts.metrics.clients.set(this.#sessions.size);
      client.once('close', () => {
        this.#sessions.delete(session);
        this.#parts.metrics.clients.set(this.#sessions.size);
      });
      session.start();
    });
  }

  /** Undefined: the connect may go on. */
  #judge(request: IncomingMessage, ip: string): Refusal | undefined {
    const { hosts = [], origins = [], tls, behindProxy } = this.#options;
    const { host, origin } = request.headers;
    if (request.url !== '/ws')
      return { status: 404, reason: 'path', text: 'expected the path /ws without a query' };
    if (!hostAllowed(host, hosts)) return { status: 403, reason: 'host', text: hostRefusal(host) };
    const secure = tls !== undefined || behindProxy === true;
    if (origin !== undefined && !originAllowed(origin, host, secure, origins))
      return { status: 403, reason: 'origin', text: originRefusal(origin) };
    // A browser always says its origin: who says none is a program, here or with the token.
    if (origin === undefined && this.#parts.tokens === undefined && !isLoopback(ip))
      return { status: 403, reason: 'origin', text: 'expected a token or an origin' };
    if (this.#failures.tooMany(ip))
      return { status: 429, reason: 'token_tries', text: 'too many wrong tokens; wait a minute' };
    if (this.#sessions.size >= limits.clientsMax)
      return { status: 503, reason: 'clients', text: 'too many clients' };
    let same = 0;
    for (const address of this.#sessions.values()) if (address === ip) same += 1;
    if (same >= limits.clientsPerIpMax)
      return { status: 429, reason: 'clients_per_ip', text: 'too many clients of this address' };
    return undefined;
  }

  #authenticate(token: string, ip: string): ReadonlySet<Scope> | undefined {
    const { tokens, clock } = this.#parts;
    if (this.#failures.tooMany(ip)) return undefined;
    const granted = tokens?.check(token, clock.wallMs());
    if (granted === undefined) this.#failures.add(ip);
    return granted;
  }

  #mayRead(request: IncomingMessage): boolean {
    const ip = this.#clientIp(request);
    if (this.#parts.tokens === undefined || isLoopback(ip)) return true;
    const token = /^Bearer (\S+)$/.exec(request.headers.authorization ?? '')?.[1];
    return token !== undefined && this.#authenticate(token, ip)?.has('read') === true;
  }

  /** The proxy appends the address it saw, so the last one is its word. */
  #clientIp(request: IncomingMessage): string {
    const forwarded = request.headers['x-forwarded-for'];
    if (this.#options.behindProxy === true && typeof forwarded === 'string')
      return forwarded.split(',').at(-1)?.trim() ?? '';
    return (request.socket.remoteAddress ?? '').replace(/^::ffff:/, '');
  }

  async #close(): Promise<void> {
    this.#hub.close();
    const closed = new Promise<void>((resolve) => this.#http.close(() => resolve()));
    for (const session of this.#sessions.keys()) session.stop();
    this.#http.closeIdleConnections();
    const cut = () => this.#http.closeAllConnections();
    const stopTimer = this.#parts.clock.setTimeout(cut, limits.closeMsMax);
    await closed;
    stopTimer();
  }
}

interface Refusal {
  readonly status: number;
  readonly reason: string;
  readonly text: string;
}

function refuse(socket: Duplex, status: number, text: string): void {
  const body = `${text}\n`;
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\n` +
      `Content-Type: text/plain\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
  socket.once('finish', () => socket.destroy());
}

function readTls(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    const cause = error instanceof Error ? error.message : String(error);
    throw new EegError('EEG_CONFIG_UNREADABLE', `TLS file ${file} cannot be read: ${cause}`);
  }
}

function bindError(error: NodeJS.ErrnoException, host: string, port: number): EegError {
  const hint =
    error.code === 'EADDRINUSE'
      ? 'stop the other program or choose another port'
      : 'check server.host';
  const message = `expected to listen on ${host}:${port}, got ${error.code ?? error.message}`;
  return new EegError('EEG_CONFIG_INVALID', message, { hint, cause: error });
}
