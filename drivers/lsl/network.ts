/** Interfaces and sockets: which addresses to use, and ports out of LSL's range. */
import { createSocket, type Socket } from 'node:dgram';
import { isIP, isIPv4 } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { LslConfig } from './config.js';

export type Family = 4 | 6;

export interface Interface {
  readonly name: string;
  readonly family: Family;
  readonly address: string;
  readonly isLoopback: boolean;
  /** IPv4 only: the broadcast address of the interface's own net. */
  readonly broadcast?: string;
}

/** Interfaces that are up now, those the settings name where they name some. */
export function listInterfaces(config: LslConfig): Interface[] {
  const wanted = config.interfaces;
  const found: Interface[] = [];
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    for (const one of addresses ?? []) {
      const family: Family = one.family === 'IPv4' ? 4 : 6;
      if (family === 4 ? !config.ipv4 : !config.ipv6) continue;
      const isWanted = wanted?.some((each) => each === one.address || each === name) ?? true;
      if (!isWanted) continue;
      // A link-local address means nothing without its interface.
      const address = /^fe80:/i.test(one.address) ? `${one.address}%${name}` : one.address;
      found.push({
        name,
        family,
        address,
        isLoopback: one.internal,
        ...(family === 4 && !one.internal && { broadcast: broadcastOf(one.address, one.netmask) }),
      });
    }
  }
  return found;
}

/** Is this an address of this machine? */
export function isOwnAddress(address: string): boolean {
  const plain = address.replace(/%.*$/, '').toLowerCase();
  if (/^127\./.test(plain)) return true;
  return Object.values(networkInterfaces())
    .flat()
    .some((one) => one?.address.toLowerCase() === plain);
}

export function broadcastOf(address: string, netmask: string): string {
  const mask = netmask.split('.').map(Number);
  return address
    .split('.')
    .map((part, i) => (Number(part) & (mask[i] ?? 255)) | (~(mask[i] ?? 255) & 255))
    .join('.');
}

/** All interfaces named by the settings are loopback: then nothing is to be reachable from afar. */
export function isLoopbackOnly(config: LslConfig): boolean {
  if (config.interfaces === undefined) return false;
  const found = listInterfaces({ ...config, ipv4: true, ipv6: true });
  return found.length > 0 && found.every((one) => one.isLoopback);
}

/** Address that servers listen on. */
export function listenAddress(config: LslConfig, family: Family): string {
  const set = config.listenAddress;
  if (set !== undefined && isIPv4(set) === (family === 4)) return set;
  if (isLoopbackOnly(config)) return family === 4 ? '127.0.0.1' : '::1';
  return family === 4 ? '0.0.0.0' : '::';
}

export function families(config: LslConfig): Family[] {
  return [...(config.ipv4 ? [4 as const] : []), ...(config.ipv6 ? [6 as const] : [])];
}

export function familyOf(address: string): Family {
  return isIPv4(address) ? 4 : 6;
}

export function isMulticast(address: string): boolean {
  if (isIPv4(address)) {
    const first = Number(address.split('.')[0]);
    return first >= 224 && first <= 239;
  }
  return isIP(address) === 6 && /^ff/i.test(address);
}

/** Try `bind` with each port of the range, then with 0 (any). Rejects where none can be had. */
export async function bindInRange<T>(
  config: LslConfig,
  bind: (port: number) => Promise<T>,
): Promise<T> {
  let last: unknown;
  for (let port = config.basePort; port < config.basePort + config.portRange; port++) {
    try {
      return await bind(port);
    } catch (error) {
      last = error;
      const code = (error as NodeJS.ErrnoException).code;
      if (code !== 'EADDRINUSE' && code !== 'EACCES') break;
    }
  }
  if (config.allowRandomPorts || last === undefined) return bind(0);
  throw last;
}

export interface UdpOptions {
  readonly family: Family;
  readonly address: string;
  readonly port: number;
  readonly reuse?: boolean;
}

export function openUdp(options: UdpOptions): Promise<Socket> {
  const socket = createSocket({
    type: options.family === 4 ? 'udp4' : 'udp6',
    reuseAddr: options.reuse ?? false,
    ...(options.family === 6 && { ipv6Only: true }),
    // Addresses are always numeric here; this keeps the resolver, and a tick, out of the way.
    lookup: (host, _options, done) => done(null, host, isIPv4(host) ? 4 : 6),
  });
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.bind({ address: options.address, port: options.port, exclusive: true }, () => {
      socket.removeListener('error', reject);
      // An ICMP refusal or a vanished interface is no reason to fall over.
      socket.on('error', () => undefined);
      resolve(socket);
    });
  });
}

export function closeUdp(socket: Socket | undefined): void {
  try {
    socket?.close();
  } catch {
    // It was closed already: what was wanted.
  }
}
