/**
 * One WebSocket client from hello to close: authentication, limits, commands, subscriptions. A
 * mistake is answered and never thrown; three that cannot be understood end the connection.
 */
import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import type { DaemonApi } from '../core/daemon-api.js';
import { EegError } from '../core/errors.js';
import type { Logger } from '../core/log.js';
import type { Clock } from '../core/time.js';
import { dispatch, type Subscriptions } from './dispatch.js';
import type { Hub, Subscriber } from './hub.js';
import { closeCodes, limits } from './limits.js';
import type { Metrics } from './metrics.js';
import { type Keep, Outbox } from './outbox.js';
import {
  authMessage,
  type CommandInput,
  type CommandName,
  commandMessages,
  commands,
  envelope,
  type Hello,
  protocolVersion,
  type Scope,
  type ServerMessage,
  scopes,
  type WireError,
} from './protocol.js';
import { TokenBucket } from './rate.js';
import { SubscriptionList } from './subscriptions.js';
import { type Topic, topics } from './topics.js';

export interface SessionOptions {
  /** What the WebSocket writes to. */
  readonly transport: Duplex;
  readonly address: string;
  readonly version: string;
  readonly daemon: DaemonApi;
  readonly hub: Hub;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly log: Logger;
  /** Absent: this server asks for no token. */
  readonly authenticate?: (token: string) => ReadonlySet<Scope> | undefined;
}

export class Session implements Subscriber, Subscriptions {
  readonly #socket: WebSocket;
  readonly #options: SessionOptions;
  readonly #outbox: Outbox;
  readonly #bucket: TokenBucket;
  readonly #subscriptions = new SubscriptionList();
  readonly #announced = new Set<number>();
  #scopes: ReadonlySet<Scope> | undefined;
  #strikes = 0;
  #pending = 0;
  #alive = true;
  #closing = false;
  #gathering = false;
  #stopTimers: (() => void)[] = [];

  constructor(socket: WebSocket, options: SessionOptions) {
    const { clock, metrics } = options;
    this.#socket = socket;
    this.#options = options;
    this.#bucket = new TokenBucket(limits.messagesPerS, limits.messagesBurst, clock);
    this.#outbox = new Outbox(
      {
        get bufferedAmount() {
          return socket.bufferedAmount;
        },
        send: (data, done) => this.#write(data, done),
      },
      clock,
      {
        onSlow: () => this.#end(closeCodes.slow, 'too slow', 'slow'),
        onDropped: (count) => metrics.dropped.inc({ reason: 'slow' }, count),
        lagged: (dropped) => JSON.stringify({ type: 'lagged', dropped }),
      },
    );
    if (options.authenticate === undefined) this.#scopes = new Set(scopes);
  }

  start(): void {
    const { clock } = this.#options;
    this.#socket.on('message', (data, isBinary) => this.#receive(data as Buffer, isBinary));
    this.#socket.on('pong', () => {
      this.#alive = true;
    });
    // ws has answered a broken frame with its close code already (1002, 1007, 1009).
    this.#socket.on('error', (error) => {
      this.#options.metrics.rejected.inc({ reason: 'frame' });
      this.#options.log.debug({ err: error, address: this.#options.address }, 'broken frame');
    });
    this.#socket.on('close', () => this.#closed());
    this.#say(this.#hello());
    this.#ping();
    if (this.#scopes !== undefined) return;
    const late = () => {
      if (this.#scopes === undefined)
        this.#end(closeCodes.unauthenticated, 'no token in time', 'auth');
    };
    this.#stopTimers.push(clock.setTimeout(late, limits.authMsMax));
  }

  /** Close with 1001; what has not answered within `closeMsMax` is cut. */
  stop(): void {
    this.#end(closeCodes.goingAway, 'the server stops');
  }

  wants(topic: Topic, stream: string | undefined, task: string | undefined): boolean {
    if (this.#scopes === undefined || this.#closing) return false;
    return this.#subscriptions.matches(topic, stream, task);
  }

  deliver(data: string | Uint8Array, keep: Keep, written?: () => void): void {
    this.#outbox.send(data, keep, written);
  }

  announce(handle: number, stream: string): void {
    if (this.#announced.has(handle)) return;
    this.#announced.add(handle);
    this.#say({ type: 'stream', handle, stream });
  }

  subscribe(input: CommandInput<'subscribe'>): number {
    const subscription = this.#subscriptions.add(input);
    this.#options.hub.listen(this, this.#subscriptions.topics);
    return subscription;
  }

  unsubscribe(subscription: number): void {
    this.#subscriptions.delete(subscription);
    this.#options.hub.listen(this, this.#subscriptions.topics);
  }

  #hello(): Hello {
    return {
      type: 'hello',
      protocol: protocolVersion,
      versionMin: protocolVersion,
      versionMax: protocolVersion,
      server: `eegd/${this.#options.version}`,
      features: [...topics],
      authRequired: this.#options.authenticate !== undefined,
      scopes: [...(this.#scopes ?? [])],
    };
  }

  #receive(data: Buffer, isBinary: boolean): void {
    if (this.#closing) return;
    if (!this.#bucket.take()) {
      this.#refuse(undefined, new EegError('EEG_WS_RATE_LIMITED', rateMessage));
      this.#end(closeCodes.rateLimited, 'too many messages', 'rate');
      return;
    }
    const message = isBinary ? undefined : parse(data);
    const read = envelope.safeParse(message);
    if (!read.success) {
      const found = isBinary ? 'binary' : message === undefined ? 'no JSON' : 'another shape';
      const text = `expected {"id": 1, "type": "..."} as JSON text, got ${found}`;
      this.#strike(readableId(message), new EegError('EEG_WS_INVALID_MESSAGE', text));
      return;
    }
    const { id, type } = read.data;
    if (type === 'auth') this.#authenticate(id, message);
    else if (this.#scopes === undefined)
      this.#refuse(id, new EegError('EEG_WS_UNAUTHENTICATED', `expected auth before ${type}`));
    else if (!isCommand(type))
      this.#refuse(id, new EegError('EEG_WS_UNKNOWN_COMMAND', `no command "${type}"`));
    else this.#command(id, type, message);
  }

  #command(id: number, type: CommandName, message: unknown): void {
    const { log, address, daemon, hub } = this.#options;
    const { scope } = commands[type];
    if (!this.#scopes?.has(scope)) {
      log.warn({ audit: true, address, command: type, scope }, 'command refused');
      const text = `${type} needs the scope ${scope}`;
      this.#refuse(id, new EegError('EEG_WS_FORBIDDEN', text));
      return;
    }
    const parsed = commandMessages[type].safeParse(message);
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      const where = issue?.path.join('.') || 'the message';
      const text = `${type}: ${where}: ${issue?.message ?? 'not valid'}`;
      this.#strike(id, new EegError('EEG_WS_INVALID_MESSAGE', text));
      return;
    }
    if (this.#pending >= limits.commandsPendingMax) {
      const text = `expected ${limits.commandsPendingMax} commands at once at most`;
      this.#refuse(id, new EegError('EEG_WS_LIMIT', text));
      return;
    }
    this.#strikes = Math.max(0, this.#strikes - 1);
    if (scope !== 'read') log.info({ audit: true, address, command: type }, 'command');
    this.#pending += 1;
    const input = parsed.data as unknown as CommandInput<typeof type>;
    dispatch({ daemon, hub, client: this }, type, input)
      .then(
        (result) => this.#say({ id, type: 'result', success: true, result }),
        (error: unknown) => this.#fail(id, type, error),
      )
      .finally(() => {
        this.#pending -= 1;
      });
  }

  #authenticate(id: number, message: unknown): void {
    const { authenticate, log, address, metrics } = this.#options;
    const parsed = authMessage.safeParse(message);
    if (!parsed.success) {
      const text = 'expected {"id": 1, "type": "auth", "token": "..."}';
      this.#strike(id, new EegError('EEG_WS_INVALID_MESSAGE', text));
      return;
    }
    const granted = authenticate === undefined ? this.#scopes : authenticate(parsed.data.token);
    if (granted === undefined) {
      log.warn({ audit: true, address }, 'wrong token');
      metrics.rejected.inc({ reason: 'token' });
      this.#refuse(id, new EegError('EEG_WS_UNAUTHENTICATED', 'the token is wrong or has expired'));
      this.#end(closeCodes.unauthenticated, 'wrong token');
      return;
    }
    this.#scopes = granted;
    this.#say({ id, type: 'result', success: true, result: { scopes: [...granted] } });
  }

  #fail(id: number, type: string, thrown: unknown): void {
    if (thrown instanceof EegError) {
      this.#refuse(id, thrown);
      return;
    }
    this.#options.log.error({ err: thrown, command: type }, 'command failed');
    this.#refuse(id, new EegError('EEG_INTERNAL', `${type} failed; the reason is in the log`));
  }

  #strike(id: number | undefined, error: EegError): void {
    this.#strikes += 1;
    this.#refuse(id, error);
    if (this.#strikes >= limits.strikesMax)
      this.#end(closeCodes.policy, 'messages not understood', 'strikes');
  }

  #refuse(id: number | undefined, error: EegError): void {
    const wire = toWire(error);
    if (id === undefined) this.#say({ type: 'error', error: wire });
    else this.#say({ id, type: 'result', success: false, error: wire });
  }

  #say(message: ServerMessage): void {
    this.#outbox.send(JSON.stringify(message), 'keep');
  }

  #write(data: string | Uint8Array, done: () => void): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    this.#options.metrics.sent.inc();
    this.#gather();
    this.#socket.send(data, done);
  }

  /**
   * What is sent in one turn leaves in one system call: a run of the engine answers many windows
   * at once, and a call for each took a fifth of the main thread at 128 streams.
   */
  #gather(): void {
    if (this.#gathering) return;
    this.#gathering = true;
    const { transport } = this.#options;
    transport.cork();
    process.nextTick(() => {
      this.#gathering = false;
      transport.uncork();
    });
  }

  /** A client that answers no ping for two rounds is gone. */
  #ping(): void {
    const round = () => {
      if (!this.#alive) {
        this.#options.metrics.rejected.inc({ reason: 'silent' });
        this.#socket.terminate();
        return;
      }
      this.#alive = false;
      this.#socket.ping();
      this.#stopTimers[0] = this.#options.clock.setTimeout(round, limits.pingMs);
    };
    this.#stopTimers[0] = this.#options.clock.setTimeout(round, limits.pingMs);
  }

  #end(code: number, reason: string, counted?: string): void {
    if (this.#closing) return;
    this.#closing = true;
    if (counted !== undefined) this.#options.metrics.rejected.inc({ reason: counted });
    this.#outbox.close();
    this.#socket.close(code, reason);
    const cut = () => this.#socket.terminate();
    const graceMs = code === closeCodes.slow ? 250 : limits.closeMsMax;
    this.#stopTimers.push(this.#options.clock.setTimeout(cut, graceMs));
  }

  #closed(): void {
    this.#closing = true;
    for (const stop of this.#stopTimers) stop();
    this.#outbox.close();
    this.#options.hub.listen(this, new Set());
  }
}

const rateMessage = `expected ${limits.messagesPerS} messages a second at most`;

function parse(data: Buffer): unknown {
  try {
    return JSON.parse(data.toString('utf8'));
  } catch {
    return undefined;
  }
}

function readableId(message: unknown): number | undefined {
  const id = typeof message === 'object' && message !== null && 'id' in message && message.id;
  return typeof id === 'number' && Number.isSafeInteger(id) && id >= 0 ? id : undefined;
}

function isCommand(type: string): type is CommandName {
  return Object.hasOwn(commands, type);
}

export function toWire({ code, message, hint, retryable }: EegError): WireError {
  return { code, message, hint, retryable };
}
