/**
 * Which pages and host names may talk to the server. A page of another site can open a WebSocket
 * to localhost, and a hostile DNS name can be made to point at it (DNS rebinding): the Origin
 * and Host headers, which pages cannot forge, tell.
 */
import { isIP } from 'node:net';

/**
 * Host header: an address literal, `localhost`, or a name of the list. A rebinding attack always
 * comes by name, so that literals are safe.
 */
export function hostAllowed(host: string | undefined, names: readonly string[]): boolean {
  const name = hostName(host);
  if (name === undefined) return false;
  return name === 'localhost' || isIP(name) !== 0 || names.includes(name);
}

/**
 * Origin header: the page this server itself serves (same scheme, host and port), or one of the
 * list, exactly. Programs send none: `undefined` is for the caller to judge.
 */
export function originAllowed(
  origin: string,
  host: string | undefined,
  secure: boolean,
  origins: readonly string[],
): boolean {
  if (origins.includes(origin)) return true;
  const own = `${secure ? 'https' : 'http'}://${host?.toLowerCase()}`;
  return host !== undefined && origin === own;
}

export function hostRefusal(host: string | undefined): string {
  const got = quoted(host);
  return `expected localhost or a name in server.hosts, got ${got}: add it if it is this machine`;
}

export function originRefusal(origin: string): string {
  const expected = "the dashboard's origin or one in server.origins";
  return `expected ${expected}, got ${quoted(origin)}: add it if you trust that page`;
}

/** What a stranger sent, on one line and short. */
function quoted(header: string | undefined): string {
  return header === undefined ? 'none' : JSON.stringify(header.slice(0, 100));
}

/** `[::1]:80` -> `::1`; undefined where the header is no host. */
export function hostName(host: string | undefined): string | undefined {
  if (host === undefined || !/^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?$/i.test(host))
    return undefined;
  const name = host.replace(/:\d{1,5}$/, '').toLowerCase();
  return name.startsWith('[') ? name.slice(1, -1) : name;
}

export function isLoopback(address: string | undefined): boolean {
  if (address === undefined) return false;
  const plain = address.replace(/^::ffff:/, '');
  return (
    plain === 'localhost' || plain === '::1' || (isIP(plain) === 4 && plain.startsWith('127.'))
  );
}
