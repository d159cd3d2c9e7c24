/**
 * Finds outlets: a query goes in waves to multicast groups, broadcast addresses, the local machine
 * and known peers, from every interface; answers come back to one socket a family. Streams appear,
 * and vanish when they have not answered for a while.
 */

import { randomInt } from 'node:crypto';
import type { Socket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { type LslClock, systemLslClock } from './clock.js';
import { type LslConfig, loadLslConfig } from './config.js';
import {
  bindInRange,
  closeUdp,
  type Family,
  families,
  familyOf,
  type Interface,
  isMulticast,
  listInterfaces,
  openUdp,
} from './network.js';
import { type LslStreamInfo, parseStreamInfo } from './stream-info.js';
import { quote } from './xpath.js';

export interface StreamSelector {
  readonly name?: string;
  readonly type?: string;
  readonly sourceId?: string;
  readonly hostname?: string;
  /** XPath over <info>, e.g. `channel_count>4 and starts-with(name,'Bio')`. */
  readonly predicate?: string;
}

export interface ResolverOptions {
  readonly config?: LslConfig;
  readonly clock?: LslClock;
  /** Forget a stream that has not answered for so long, s. */
  readonly forgetAfterS?: number;
  /** Between waves, s; default as liblsl. */
  readonly intervalS?: number;
  /** Between waves after the first ten seconds, s; default the same. */
  readonly laterIntervalS?: number;
  onAppeared?(info: LslStreamInfo): void;
  onVanished?(info: LslStreamInfo): void;
  /** Every answer, known stream or not. */
  onAnswer?(info: LslStreamInfo): void;
}

/** Streams kept at once: a flood of answers must not fill the memory. */
const streamsMax = 4096;
/** A lost stream is most often back soon, s. */
const eagerS = 10;

/** `session_id='default' and name='x' and ...`, as liblsl sends it. */
export function buildQuery(selector: StreamSelector, sessionId: string): string {
  const terms = [
    `session_id=${quote(sessionId)}`,
    ...(selector.name === undefined ? [] : [`name=${quote(selector.name)}`]),
    ...(selector.type === undefined ? [] : [`type=${quote(selector.type)}`]),
    ...(selector.sourceId === undefined ? [] : [`source_id=${quote(selector.sourceId)}`]),
    ...(selector.hostname === undefined ? [] : [`hostname=${quote(selector.hostname)}`]),
    ...(selector.predicate === undefined || selector.predicate.trim() === ''
      ? []
      : [`(${selector.predicate.replace(/[\r\n]+/g, ' ')})`]),
  ];
  return terms.join(' and ');
}

interface Known {
  info: LslStreamInfo;
  lastS: number;
}

export class Resolver {
  readonly #options: ResolverOptions;
  readonly #config: LslConfig;
  readonly #clock: LslClock;
  readonly #query: string;
  readonly #queryId = String(randomInt(2 ** 47));
  readonly #sessionId: string;
  readonly #known = new Map<string, Known>();
  readonly #receivers = new Map<Family, Socket>();
  readonly #senders = new Map<string, Socket>();
  readonly #cancels = new Set<() => void>();
  #peers: string[] = [];
  #closed = false;
  #startedS = 0;

  constructor(selector: StreamSelector, options: ResolverOptions = {}) {
    this.#options = options;
    this.#config = options.config ?? loadLslConfig();
    this.#clock = options.clock ?? systemLslClock;
    this.#sessionId = this.#config.sessionId;
    this.#query = buildQuery(selector, this.#sessionId);
  }

  /** Streams known now. */
  get streams(): LslStreamInfo[] {
    return [...this.#known.values()].map((one) => one.info);
  }

  /** Opens the sockets and sends the first wave; waves go on until `close`. */
  async start(): Promise<void> {
    this.#startedS = this.#clock.now();
    for (const family of families(this.#config)) {
      const socket = await this.#openReceiver(family).catch(() => undefined);
      if (socket === undefined) continue;
      if (this.#closed) closeUdp(socket);
      else this.#receivers.set(family, socket);
      socket.on('message', (message, from) => this.#receive(message, from.address));
    }
    this.#peers = this.#config.knownPeers.filter((peer) => isIP(peer) > 0);
    if (this.#closed) return;
    void this.#resolvePeers();
    await this.#wave();
  }

  /** Ask often again for a while. */
  hurry(): void {
    this.#startedS = this.#clock.now();
  }

  close(): void {
    this.#closed = true;
    for (const cancel of this.#cancels) cancel();
    for (const socket of [...this.#receivers.values(), ...this.#senders.values()]) closeUdp(socket);
    this.#receivers.clear();
    this.#senders.clear();
  }

  #openReceiver(family: Family): Promise<Socket> {
    const address = family === 4 ? '0.0.0.0' : '::';
    // In the range that a firewall for LSL has open, so that answers reach us.
    return bindInRange(this.#config, (port) => openUdp({ family, address, port }));
  }

  /** Names of peers may take long to look up: nothing waits for them. */
  async #resolvePeers(): Promise<void> {
    for (const peer of this.#config.knownPeers.filter((one) => isIP(one) === 0)) {
      const all = await lookup(peer, { all: true }).catch(() => []);
      for (const { address } of all) if (!this.#peers.includes(address)) this.#peers.push(address);
      if (!this.#closed) this.#sendUnicast();
    }
  }

  async #wave(): Promise<void> {
    this.#forget();
    const { multicastMinRttS, unicastMinRttS, continuousResolveIntervalS } = this.#config;
    await this.#sendGroups();
    if (this.#closed) return;
    this.#sendUnicast();
    const hasPeers = this.#peers.length > 0;
    const byConfig =
      continuousResolveIntervalS + multicastMinRttS + (hasPeers ? unicastMinRttS : 0);
    const cancel = this.#clock.setTimeout(
      () => {
        this.#cancels.delete(cancel);
        void this.#wave().catch(() => undefined);
      },
      (this.#interval ?? byConfig) * 1000,
    );
    this.#cancels.add(cancel);
  }

  /** To groups and broadcast addresses, once from each interface. */
  async #sendGroups(): Promise<void> {
    const interfaces = listInterfaces(this.#config);
    const names = new Set(interfaces.map((one) => one.address));
    for (const [address, socket] of this.#senders) {
      if (names.has(address)) continue;
      closeUdp(socket);
      this.#senders.delete(address);
    }
    for (const one of interfaces) {
      const targets = this.#config.addresses.filter(
        (address) => familyOf(address) === one.family && isGroup(address),
      );
      if (targets.length === 0) continue;
      const socket = await this.#sender(one);
      if (socket === undefined || this.#closed) continue;
      for (const target of targets) this.#send(socket, one.family, target);
      const hasBroadcast = targets.includes('255.255.255.255');
      if (hasBroadcast && one.broadcast) this.#send(socket, one.family, one.broadcast);
    }
  }

  async #sender(one: Interface): Promise<Socket | undefined> {
    const kept = this.#senders.get(one.address);
    if (kept !== undefined) return kept;
    try {
      const socket = await openUdp({ family: one.family, address: one.address, port: 0 });
      if (this.#closed) {
        closeUdp(socket);
        return undefined;
      }
      socket.unref();
      if (one.family === 4) socket.setBroadcast(true);
      socket.setMulticastTTL(Math.max(one.family === 4 ? 0 : 1, this.#config.ttl));
      socket.setMulticastInterface(one.family === 4 ? one.address : `::%${one.name}`);
      this.#senders.set(one.address, socket);
      return socket;
    } catch {
      // The interface went away, or has no multicast: the others are asked all the same.
      return undefined;
    }
  }

  /**
   * To hosts: the multicast port, and each port an outlet may have. Several outlets of one machine
   * share the multicast port, and a unicast datagram reaches only one of them.
   */
  #sendUnicast(): void {
    const { addresses, basePort, portRange } = this.#config;
    const hosts = new Set([
      ...addresses.filter((address) => isIP(address) && !isGroup(address)),
      ...this.#peers,
    ]);
    for (const host of hosts) {
      const family = familyOf(host);
      const socket = this.#receivers.get(family);
      if (socket === undefined) continue;
      this.#send(socket, family, host);
      for (let port = basePort; port < basePort + portRange; port++)
        this.#send(socket, family, host, port);
    }
  }

  #send(socket: Socket, family: Family, host: string, port = this.#config.multicastPort): void {
    const returnPort = this.#receivers.get(family)?.address().port;
    if (returnPort === undefined) return;
    const text = `LSL:shortinfo\r\n${this.#query}\r\n${returnPort} ${this.#queryId}\r\n`;
    socket.send(text, port, host, () => undefined);
  }

  #receive(message: Buffer, from: string): void {
    if (this.#closed) return;
    const end = message.indexOf(10);
    if (end < 0 || message.toString('latin1', 0, end).trim() !== this.#queryId) return;
    let info: LslStreamInfo;
    try {
      info = parseStreamInfo(message.subarray(end + 1));
    } catch {
      // Not an outlet we can use; whoever sent it is not to disturb the others.
      return;
    }
    if (info.sessionId !== this.#sessionId) return;
    this.#remember(info, from);
  }

  #remember(info: LslStreamInfo, from: string): void {
    const known = this.#known.get(info.uid);
    const now = this.#clock.now();
    if (known === undefined) {
      if (this.#known.size >= streamsMax) return;
      const located = locate({ ...info, v4Address: '', v6Address: '' }, from);
      this.#known.set(info.uid, { info: located, lastS: now });
      this.#options.onAppeared?.(located);
      this.#options.onAnswer?.(located);
      return;
    }
    known.lastS = now;
    known.info = locate(known.info, from);
    this.#options.onAnswer?.(known.info);
  }

  get #interval(): number | undefined {
    const { intervalS, laterIntervalS = intervalS } = this.#options;
    return this.#clock.now() - this.#startedS > eagerS ? laterIntervalS : intervalS;
  }

  #forget(): void {
    const forgetAfterS = this.#options.forgetAfterS ?? 5;
    const now = this.#clock.now();
    for (const [uid, one] of this.#known) {
      if (now - one.lastS <= forgetAfterS) continue;
      this.#known.delete(uid);
      this.#options.onVanished?.(one.info);
    }
  }
}

function isGroup(address: string): boolean {
  return isMulticast(address) || address === '255.255.255.255';
}

/** The first address that answered is the fastest way there: it stays. */
function locate(info: LslStreamInfo, from: string): LslStreamInfo {
  if (familyOf(from) === 4) return info.v4Address === '' ? { ...info, v4Address: from } : info;
  return info.v6Address === '' ? { ...info, v6Address: from } : info;
}

export interface ResolveOptions {
  readonly config?: LslConfig;
  readonly clock?: LslClock;
  /** Give up after so long, ms. */
  readonly timeoutMs?: number;
  /** Return as soon as so many are known; default: wait the whole time. */
  readonly minimum?: number;
  readonly signal?: AbortSignal;
}

/** Streams that answer within the time. */
export async function resolveStreams(
  selector: StreamSelector = {},
  options: ResolveOptions = {},
): Promise<LslStreamInfo[]> {
  const { timeoutMs = 1000, minimum = Number.POSITIVE_INFINITY, signal } = options;
  const clock = options.clock ?? systemLslClock;
  let done: () => void = () => undefined;
  const ended = new Promise<void>((resolve) => {
    done = resolve;
  });
  const resolver = new Resolver(selector, {
    ...(options.config && { config: options.config }),
    clock,
    intervalS: 0.5,
    forgetAfterS: Number.POSITIVE_INFINITY,
    onAppeared: () => {
      if (resolver.streams.length >= minimum) done();
    },
  });
  const cancel = clock.setTimeout(done, timeoutMs);
  signal?.addEventListener('abort', done, { once: true });
  try {
    await resolver.start();
    if (!signal?.aborted) await ended;
    return resolver.streams;
  } finally {
    cancel();
    signal?.removeEventListener('abort', done);
    resolver.close();
  }
}
