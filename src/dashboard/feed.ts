/**
 * The page's end of the WebSocket: one client, one chosen stream, panels that listen. Panels get
 * events of the chosen stream only; what is about the daemon goes to all.
 */
import {
  Client,
  type ClientEvent,
  type ConnectionState,
  type SignalMessage,
  type Snapshot,
} from '../client/client.js';
import { topics } from '../server/topics.js';

export type PageEvent = ClientEvent | SignalMessage;

export interface Panel {
  readonly element: HTMLElement;
  /** The state to begin from: at the start, after a reconnect, on another stream. */
  onSnapshot?(snapshot: Snapshot, stream: string | undefined): void;
  onEvent?(event: PageEvent): void;
  /** Every animation frame; draw only what changed. */
  onFrame?(nowMs: number): void;
  onTheme?(): void;
}

const tokenKey = 'eegd-token';
/** About a stream, and shown whichever stream is chosen. */
const daemonKinds: ReadonlySet<string> = new Set(['status', 'adaptation', 'recording']);

export class Feed {
  readonly #panels: Panel[] = [];
  readonly #onState: (state: ConnectionState) => void;
  #client: Client | undefined;
  #snapshot: Snapshot | undefined;
  #stream: string | undefined;

  constructor(onState: (state: ConnectionState) => void) {
    this.#onState = onState;
  }

  get stream(): string | undefined {
    return this.#stream;
  }

  get snapshot(): Snapshot | undefined {
    return this.#snapshot;
  }

  add(panel: Panel): HTMLElement {
    this.#panels.push(panel);
    return panel.element;
  }

  /** Rejects where the server asks for a token, or refuses the one there is. */
  async open(): Promise<void> {
    const url = new URL('ws', location.href);
    url.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
    const token = sessionStorage.getItem(tokenKey);
    this.#client?.close();
    this.#client = new Client(url.href, {
      webSocket: WebSocket,
      ...(token !== null && { token }),
      onState: (state) => this.#onState(state),
      onSnapshot: (snapshot) => this.#take(snapshot),
      onEvent: (event) => this.#dispatch(event),
    });
    await this.#client.open();
    await this.#client.subscribe({ topics });
  }

  /** For this tab only: the token is gone when it is closed. */
  remember(token: string | undefined): void {
    if (token === undefined) sessionStorage.removeItem(tokenKey);
    else sessionStorage.setItem(tokenKey, token);
  }

  readonly call: Client['call'] = (...request) => {
    if (this.#client === undefined) return Promise.reject(new Error('not connected'));
    return this.#client.call(...request);
  };

  choose(stream: string | undefined): void {
    this.#stream = stream;
    if (this.#snapshot === undefined) return;
    for (const panel of this.#panels) panel.onSnapshot?.(this.#snapshot, stream);
  }

  frame(nowMs: number): void {
    for (const panel of this.#panels) panel.onFrame?.(nowMs);
  }

  theme(): void {
    for (const panel of this.#panels) panel.onTheme?.();
  }

  #take(snapshot: Snapshot): void {
    this.#snapshot = snapshot;
    const ids = snapshot.streams.map(({ stream }) => stream);
    const kept = ids.find((id) => id === this.#stream);
    this.choose(kept ?? ids[0]);
  }

  #dispatch(event: PageEvent): void {
    if (event.kind === 'status' && this.#isNew(event.stream)) {
      this.#refresh();
      return;
    }
    if (event.kind === 'checkpoint' && event.tasks !== undefined) this.#refresh();
    const about = 'stream' in event ? event.stream : undefined;
    const daemonWide = daemonKinds.has(event.kind);
    if (about !== undefined && about !== this.#stream && !daemonWide) return;
    for (const panel of this.#panels) panel.onEvent?.(event);
  }

  #isNew(stream: string): boolean {
    return this.#snapshot?.streams.every((each) => each.stream !== stream) ?? false;
  }

  /** A stream came, or the tasks changed: begin from the whole state again. */
  #refresh(): void {
    this.call('snapshot').then(
      (snapshot) => this.#take(snapshot),
      () => {},
    );
  }
}
