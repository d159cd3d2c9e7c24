/**
 * Settings of LSL: `lsl_api.cfg`, with the keys, defaults and search order of liblsl
 * (labstreaminglayer.readthedocs.io/info/lslapicfg.html). Unlike liblsl, a file that cannot be
 * understood is an error: falling back to multicast on every interface would be a surprise.
 */
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { LslError } from './errors.js';

export type ResolveScope = 'machine' | 'link' | 'site' | 'organization' | 'global';

export interface LslConfig {
  /** Where it was read; undefined = defaults. */
  readonly path?: string;
  readonly multicastPort: number;
  /** Ports of outlets: `basePort` to `basePort + portRange - 1`, then any. */
  readonly basePort: number;
  readonly portRange: number;
  readonly allowRandomPorts: boolean;
  readonly ipv4: boolean;
  readonly ipv6: boolean;
  /** Unicast, broadcast and multicast addresses that are asked, and groups that are joined. */
  readonly addresses: readonly string[];
  readonly ttl: number;
  /** Addresses of the interfaces to use; undefined = all. */
  readonly interfaces?: readonly string[];
  readonly listenAddress?: string;
  /** Hosts that are asked one by one. */
  readonly knownPeers: readonly string[];
  readonly sessionId: string;
  readonly multicastMinRttS: number;
  readonly unicastMinRttS: number;
  readonly continuousResolveIntervalS: number;
  readonly timeUpdateIntervalS: number;
  readonly timeUpdateMinProbes: number;
  readonly timeProbeCount: number;
  readonly timeProbeIntervalS: number;
  readonly timeProbeMaxRttS: number;
  readonly smoothingHalftimeS: number;
}

const scopes: Readonly<Record<ResolveScope, { ttl: number; ipv6Prefix?: string }>> = {
  machine: { ttl: 0 },
  link: { ttl: 1, ipv6Prefix: 'FF02' },
  site: { ttl: 24, ipv6Prefix: 'FF05' },
  organization: { ttl: 32, ipv6Prefix: 'FF08' },
  global: { ttl: 255, ipv6Prefix: 'FF0E' },
};

/** Addresses of each scope where the file gives none. */
const scopeAddresses: Readonly<Record<ResolveScope, readonly string[]>> = {
  machine: ['127.0.0.1'],
  link: ['255.255.255.255', '224.0.0.1', '224.0.0.183'],
  site: ['239.255.172.215'],
  organization: [],
  global: [],
};

/** Throws `LslError` (`config`) with file and line. */
export function parseLslConfig(text: string, path?: string): LslConfig {
  const file = new IniFile(text, path ?? 'lsl_api.cfg');
  const ipv6 = readIpv6(file);
  const interfaces = file.set('multicast.interfaces');
  const listenAddress = file.text('multicast.listenaddress', '');
  return {
    ...(path !== undefined && { path }),
    multicastPort: file.number('ports.multicastport', 16_571, 65_535),
    basePort: file.number('ports.baseport', 16_572, 65_535),
    portRange: file.number('ports.portrange', 32, 4096),
    allowRandomPorts: file.boolean('ports.allowrandomports', true),
    ...ipv6,
    ...readAddresses(file),
    ...(interfaces !== undefined && interfaces.length > 0 && { interfaces }),
    ...(listenAddress !== '' && { listenAddress }),
    knownPeers: file.set('lab.knownpeers') ?? [],
    sessionId: file.text('lab.sessionid', 'default'),
    multicastMinRttS: file.number('tuning.multicastminrtt', 0.5),
    unicastMinRttS: file.number('tuning.unicastminrtt', 0.75),
    continuousResolveIntervalS: file.number('tuning.continuousresolveinterval', 0.5),
    timeUpdateIntervalS: file.number('tuning.timeupdateinterval', 2),
    timeUpdateMinProbes: file.number('tuning.timeupdateminprobes', 6),
    timeProbeCount: file.number('tuning.timeprobecount', 8, 1000),
    timeProbeIntervalS: file.number('tuning.timeprobeinterval', 0.064),
    timeProbeMaxRttS: file.number('tuning.timeprobemaxrtt', 0.128),
    smoothingHalftimeS: file.number('tuning.smoothinghalftime', 90),
  };
}

export function defaultLslConfig(): LslConfig {
  return parseLslConfig('');
}

export interface ConfigPlace {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  readonly home?: string;
}

/** Files in the order in which they are looked for; the first that exists counts. */
export function configCandidates(place: ConfigPlace = {}): string[] {
  const fromEnv = (place.env ?? process.env).LSLAPICFG;
  return [
    ...(fromEnv !== undefined && fromEnv !== '' ? [fromEnv] : []),
    join(place.cwd ?? process.cwd(), 'lsl_api.cfg'),
    join(place.home ?? homedir(), 'lsl_api', 'lsl_api.cfg'),
    '/etc/lsl_api/lsl_api.cfg',
  ];
}

export function loadLslConfig(place: ConfigPlace = {}): LslConfig {
  for (const path of configCandidates(place)) {
    const text = readIfThere(path);
    if (text !== undefined) return parseLslConfig(text, path);
  }
  return defaultLslConfig();
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new LslError('config', `expected a readable file at ${path}, got ${code ?? 'an error'}`, {
      cause: error,
    });
  }
}

function readIpv6(file: IniFile): { ipv4: boolean; ipv6: boolean } {
  const text = file.text('ports.ipv6', 'allow').toLowerCase();
  if (/^disabled?$/.test(text)) return { ipv4: true, ipv6: false };
  if (/^allow(ed)?$/.test(text)) return { ipv4: true, ipv6: true };
  if (/^forced?$/.test(text)) return { ipv4: false, ipv6: true };
  throw file.fault('ports.ipv6', 'allow, disable or force', text);
}

function readAddresses(file: IniFile): { addresses: readonly string[]; ttl: number } {
  const scope = file.text('multicast.resolvescope', 'site').toLowerCase();
  if (!Object.hasOwn(scopes, scope))
    throw file.fault('multicast.resolvescope', Object.keys(scopes).join(', '), scope);
  const group = file.text('multicast.ipv6multicastgroup', '113D:6FDD:2C17:A643:FFE2:1BD1:3CD2');
  const reach = Object.keys(scopes).indexOf(scope);
  const addresses: string[] = [];
  for (const name of (Object.keys(scopes) as ResolveScope[]).slice(0, reach + 1)) {
    addresses.push(...(file.set(`multicast.${name}addresses`) ?? scopeAddresses[name]));
    const prefix = scopes[name].ipv6Prefix;
    if (prefix !== undefined) addresses.push(`${prefix}:${group}`);
  }
  const override = file.set('multicast.addressesoverride') ?? [];
  const ttl = file.number('multicast.ttloverride', scopes[scope as ResolveScope].ttl, 255, -1);
  return {
    addresses: override.length > 0 ? override : addresses,
    ttl: ttl < 0 ? scopes[scope as ResolveScope].ttl : ttl,
  };
}

/** `[section]` and `key = value` lines; `;` or `#` starts a comment; an empty value is no value. */
class IniFile {
  readonly #values = new Map<string, { value: string; line: number }>();
  readonly #path: string;

  constructor(text: string, path: string) {
    this.#path = path;
    let section = '';
    for (const [i, raw] of text
      .replace(/^\ufeff/, '')
      .split(/\r?\n/)
      .entries()) {
      const line = raw.replace(/(^|\s)[;#].*$/, '').trim();
      if (line === '') continue;
      const header = /^\[([^\]]*)\]$/.exec(line);
      if (header) {
        section = (header[1] ?? '').trim().toLowerCase();
        continue;
      }
      const equals = line.indexOf('=');
      if (equals < 1)
        throw new LslError('config', `${path}:${i + 1}: expected key = value, got "${line}"`);
      const key = `${section}.${line.slice(0, equals).trim().toLowerCase()}`;
      const value = line.slice(equals + 1).trim();
      if (value !== '') this.#values.set(key, { value, line: i + 1 });
    }
  }

  fault(key: string, expected: string, got: string): LslError {
    const line = this.#values.get(key)?.line ?? 0;
    return new LslError(
      'config',
      `${this.#path}:${line}: ${key}: expected ${expected}, got "${got}"`,
    );
  }

  text(key: string, fallback: string): string {
    return this.#values.get(key)?.value ?? fallback;
  }

  number(key: string, fallback: number, max = 1e9, min = 0): number {
    const text = this.#values.get(key)?.value;
    if (text === undefined) return fallback;
    const value = Number(text);
    if (!(value >= min && value <= max)) throw this.fault(key, `a number up to ${max}`, text);
    return value;
  }

  boolean(key: string, fallback: boolean): boolean {
    const text = this.#values.get(key)?.value.toLowerCase();
    if (text === undefined) return fallback;
    if (text === '1' || text === 'true') return true;
    if (text === '0' || text === 'false') return false;
    throw this.fault(key, '0 or 1', text);
  }

  set(key: string): string[] | undefined {
    const text = this.#values.get(key)?.value;
    if (text === undefined) return undefined;
    if (!text.startsWith('{') || !text.endsWith('}')) throw this.fault(key, '{a, b}', text);
    return text
      .slice(1, -1)
      .split(',')
      .map((one) => one.trim())
      .filter((one) => one !== '');
  }
}
