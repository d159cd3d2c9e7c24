/**
 * Answers discovery queries on LSL's multicast port for all outlets of this process that share
 * settings: one socket a family, joined to each group on each interface. Sharing it makes a unicast
 * query find every outlet, where sockets of their own would hide all but one.
 */
import type { RemoteInfo, Socket } from 'node:dgram';
import type { LslConfig } from './config.js';
import {
  closeUdp,
  type Family,
  families,
  familyOf,
  isMulticast,
  listInterfaces,
  openUdp,
} from './network.js';

/** Gives the answer to a query, or undefined where it does not match. */
export type Answerer = (query: string) => string | undefined;

const responders = new Map<string, Responder>();
/** New interfaces are joined this often, ms. */
const rejoinMs = 5000;

export class Responder {
  readonly #config: LslConfig;
  readonly #answerers = new Set<Answerer>();
  readonly #sockets = new Map<Family, Socket>();
  readonly #joined = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  readonly #opened: Promise<void>;

  private constructor(config: LslConfig) {
    this.#config = config;
    this.#opened = this.#open();
  }

  /** Answer through `answerer` until the function returned is called. */
  static async add(config: LslConfig, answerer: Answerer): Promise<() => void> {
    const { multicastPort, addresses, interfaces, listenAddress, ipv4, ipv6, ttl } = config;
    const key = JSON.stringify([
      multicastPort,
      addresses,
      interfaces,
      listenAddress,
      ipv4,
      ipv6,
      ttl,
    ]);
    const responder = responders.get(key) ?? new Responder(config);
    responders.set(key, responder);
    responder.#answerers.add(answerer);
    await responder.#opened;
    return () => {
      responder.#answerers.delete(answerer);
      if (responder.#answerers.size > 0) return;
      if (responders.get(key) === responder) responders.delete(key);
      responder.#close();
    };
  }

  async #open(): Promise<void> {
    const { multicastPort: port, listenAddress } = this.#config;
    for (const family of families(this.#config)) {
      const isGiven = listenAddress !== undefined && familyOf(listenAddress) === family;
      const address = isGiven ? listenAddress : family === 4 ? '0.0.0.0' : '::';
      // Another program may hold the port without sharing it: unicast still finds our outlets.
      const socket = await openUdp({ family, address, port, reuse: true }).catch(() => undefined);
      if (socket === undefined) continue;
      socket.unref();
      socket.setMulticastTTL(Math.max(1, this.#config.ttl));
      socket.on('message', (message, from) => this.#receive(socket, message, from));
      this.#sockets.set(family, socket);
    }
    this.#join();
    this.#timer = setInterval(() => this.#join(), rejoinMs);
    this.#timer.unref();
  }

  #join(): void {
    for (const one of listInterfaces(this.#config)) {
      const socket = this.#sockets.get(one.family);
      if (socket === undefined) continue;
      for (const group of this.#config.addresses.filter(isMulticast)) {
        if (familyOf(group) !== one.family) continue;
        const via = one.family === 4 ? one.address : `::%${one.name}`;
        const key = `${group} ${via}`;
        if (this.#joined.has(key)) continue;
        try {
          socket.addMembership(group, via);
          this.#joined.add(key);
        } catch {
          // This interface has no multicast, or shares its membership with one of the same name.
        }
      }
    }
  }

  #receive(socket: Socket, message: Buffer, from: RemoteInfo): void {
    for (const answerer of this.#answerers) answerQuery(socket, message, from, answerer);
  }

  #close(): void {
    clearInterval(this.#timer);
    void this.#opened.then(() => {
      clearInterval(this.#timer);
      for (const socket of this.#sockets.values()) closeUdp(socket);
    });
  }
}

/** Answer `LSL:shortinfo`: to the sender's address, at the port the query names. */
export function answerQuery(
  socket: Socket,
  message: Buffer,
  from: RemoteInfo,
  answerer: Answerer,
): void {
  const [method = '', query = '', back = ''] = message.toString('utf8').split(/\r?\n/, 3);
  if (method.trim() !== 'LSL:shortinfo') return;
  const match = /^\s*(\d{1,5})\s+(\S{1,64})/.exec(back);
  const port = Number(match?.[1] ?? 0);
  if (match === null || port < 1 || port > 65_535) return;
  const answer = answerer(query.trim());
  if (answer === undefined) return;
  socket.send(`${match[2]}\r\n${answer}`, port, from.address, () => undefined);
}
