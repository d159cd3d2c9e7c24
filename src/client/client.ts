/**
 * A typed client for Node and browsers: answers as promises, events as callbacks. It reconnects by
 * itself with a growing pause, says so, and subscribes again; a command that was under way when
 * the connection broke rejects, since nobody knows whether it was done.
 */
import type {
  CommandFields,
  CommandName,
  CommandResult,
  Hello,
  HistoryPoint,
  ServerMessage,
  Snapshot,
  WireError,
} from '../server/protocol.js';
import { decodeSignal, type SignalFrame } from '../server/signal-frame.js';
import type { Topic } from '../server/topics.js';
import type { WireEvent } from '../server/wire-events.js';

export type { HistoryPoint, Snapshot, Topic };

/** The part of the browser's WebSocket that is used; `ws` has it too. */
export interface SocketLike {
  binaryType: string;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(data: string): void;
  close(code?: number): void;
}
export type SocketConstructor = new (url: string, protocols?: string[]) => SocketLike;

export type ConnectionState =
  | { readonly state: 'connecting'; readonly attempt: number }
  | { readonly state: 'open'; readonly hello: Hello }
  | {
      readonly state: 'closed';
      readonly code: number;
      readonly reason: string;
      readonly retryMs: number | undefined;
    };

/** A JSON event; `signal` comes as a `SignalMessage`. */
export type ClientEvent = WireEvent;

export interface SignalMessage extends Omit<SignalFrame, 'handle'> {
  readonly kind: 'signal';
  readonly stream: string;
}

export interface SubscribeFields {
  readonly topics: readonly Topic[];
  readonly streams?: readonly string[];
  readonly tasks?: readonly string[];
}

export interface ClientOptions {
  readonly token?: string;
  onEvent?(event: ClientEvent | SignalMessage): void;
  /** After each (re)connect of a subscription: the state to begin from. */
  onSnapshot?(snapshot: Snapshot): void;
  onState?(state: ConnectionState): void;
  /** This client was too slow; so many messages were left out. */
  onLagged?(dropped: number): void;
  /** False: one connection, no second try. */
  readonly reconnect?: boolean;
  /** Absent: the global one, else that of the package `ws`. */
  readonly webSocket?: SocketConstructor;
}

/** What the server refused, with its code. */
export class CommandError extends Error {
  readonly code: WireError['code'];
  readonly hint: string;
  readonly retryable: boolean;

  constructor({ code, message, hint, retryable }: WireError) {
    super(message);
    this.name = 'CommandError';
    this.code = code;
    this.hint = hint;
    this.retryable = retryable;
  }
}

interface First {
  resolve(hello: Hello): void;
  reject(error: Error): void;
}

interface Waiting {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

/** Our close code for a message of the server that cannot be read. */
const notUnderstood = 4400;
const retryMsFirst = 250;
const retryMsMax = 10_000;
/** Wrong token, and a policy broken: trying again would not help. */
const finalCodes = new Set([1008, 4401]);

export class Client {
  readonly #url: string;
  readonly #options: ClientOptions;
  readonly #waiting = new Map<number, Waiting>();
  readonly #streams = new Map<number, string>();
  readonly #subscriptions = new Map<number, SubscribeFields>();
  #serverNumbers = new Map<number, number>();
  #socket: SocketLike | undefined;
  #idNext = 1;
  #subscriptionNext = 1;
  #attempt = 0;
  #ready = false;
  #ended = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `url`: `ws://127.0.0.1:8765/ws`. Nothing happens before `open`. */
  constructor(url: string, options: ClientOptions = {}) {
    this.#url = url;
    this.#options = options;
  }

  /** Resolves once greeted and, where asked, authenticated; rejects where the first try fails. */
  async open(): Promise<Hello> {
    const Socket = this.#options.webSocket ?? (await defaultSocket());
    return new Promise((resolve, reject) => this.#connect(Socket, { resolve, reject }));
  }

  /** Send a command; rejects with a `CommandError`, or an `Error` where the connection broke. */
  call<N extends CommandName>(
    ...[type, fields]: Record<never, never> extends CommandFields<N>
      ? [type: N, fields?: CommandFields<N>]
      : [type: N, fields: CommandFields<N>]
  ): Promise<CommandResult<N>> {
    if (!this.#ready) return Promise.reject(new Error('not connected'));
    return this.#request({ type, ...fields }) as Promise<CommandResult<N>>;
  }

  /** Subscribe, and again after every reconnect; returns how to end it. */
  async subscribe(fields: SubscribeFields): Promise<() => Promise<void>> {
    const key = this.#subscriptionNext++;
    this.#subscriptions.set(key, fields);
    if (this.#ready) await this.#sendSubscription(key, fields);
    return async () => {
      this.#subscriptions.delete(key);
      const subscription = this.#serverNumbers.get(key);
      this.#serverNumbers.delete(key);
      if (this.#ready && subscription !== undefined)
        await this.call('unsubscribe', { subscription });
    };
  }

  close(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#socket?.close(1000);
  }

  #connect(Socket: SocketConstructor, first?: First): void {
    this.#options.onState?.({ state: 'connecting', attempt: this.#attempt });
    const socket = new Socket(this.#url, ['eegd.v1']);
    this.#socket = socket;
    socket.binaryType = 'arraybuffer';
    socket.onmessage = ({ data }: { data: unknown }) => {
      try {
        if (data instanceof ArrayBuffer) this.#signal(data);
        else this.#message(JSON.parse(String(data)) as ServerMessage, first);
      } catch {
        socket.close(notUnderstood);
      }
    };
    socket.onerror = () => {};
    socket.onclose = ({ code, reason }: { code: number; reason: string }) => {
      const wasReady = this.#ready;
      this.#lost(code, reason);
      const told = reason === '' ? `code ${code}` : `${code} ${reason}`;
      first?.reject(new Error(`the connection to ${this.#url} was closed: ${told}`));
      const again =
        !this.#ended &&
        !finalCodes.has(code) &&
        this.#options.reconnect !== false &&
        (wasReady || this.#attempt > 0);
      const retryMs = again ? this.#retryMs() : undefined;
      this.#options.onState?.({ state: 'closed', code, reason, retryMs });
      if (retryMs !== undefined) this.#timer = setTimeout(() => this.#connect(Socket), retryMs);
    };
  }

  /** Doubling from 0.25 s to 10 s, with 20 % of chance so that many clients do not come at once. */
  #retryMs(): number {
    const pauseMs = Math.min(retryMsMax, retryMsFirst * 2 ** this.#attempt++);
    return Math.round(pauseMs * (0.8 + 0.4 * Math.random()));
  }

  #message(message: ServerMessage, first: First | undefined): void {
    switch (message.type) {
      case 'hello':
        this.#greeted(message).then(
          () => first?.resolve(message),
          (error: Error) => first?.reject(error),
        );
        break;
      case 'result': {
        const waiting = this.#waiting.get(message.id);
        this.#waiting.delete(message.id);
        if (message.success) waiting?.resolve(message.result);
        else waiting?.reject(new CommandError(message.error));
        break;
      }
      case 'event':
        this.#options.onEvent?.(message.event as ClientEvent);
        break;
      case 'stream':
        this.#streams.set(message.handle, message.stream);
        break;
      case 'lagged':
        this.#options.onLagged?.(message.dropped);
        break;
      default:
    }
  }

  async #greeted(hello: Hello): Promise<void> {
    const { token } = this.#options;
    if (hello.authRequired && token === undefined) {
      this.close();
      throw new Error('this server asks for a token');
    }
    if (hello.authRequired) await this.#request({ type: 'auth', token });
    this.#ready = true;
    this.#attempt = 0;
    this.#options.onState?.({ state: 'open', hello });
    for (const [key, fields] of this.#subscriptions) await this.#sendSubscription(key, fields);
  }

  async #sendSubscription(key: number, fields: SubscribeFields): Promise<void> {
    const answer = (await this.#request({
      type: 'subscribe',
      ...fields,
    })) as CommandResult<'subscribe'>;
    this.#serverNumbers.set(key, answer.subscription);
    this.#options.onSnapshot?.(answer.snapshot);
  }

  #request(message: Readonly<Record<string, unknown>>): Promise<unknown> {
    const id = this.#idNext++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#socket?.send(JSON.stringify({ id, ...message }));
    });
  }

  #signal(bytes: ArrayBuffer): void {
    const { handle, ...frame } = decodeSignal(bytes);
    const stream = this.#streams.get(handle);
    if (stream !== undefined) this.#options.onEvent?.({ kind: 'signal', stream, ...frame });
  }

  #lost(code: number, reason: string): void {
    this.#ready = false;
    this.#streams.clear();
    this.#serverNumbers = new Map();
    const error = new Error(`the connection was closed: ${code} ${reason}`);
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

async function defaultSocket(): Promise<SocketConstructor> {
  const { WebSocket: builtIn } = globalThis as { WebSocket?: SocketConstructor };
  return builtIn ?? ((await import('ws')).WebSocket as unknown as SocketConstructor);
}
