/**
 * The connection to NATS: it comes back by itself for as long as the process lives. Credentials are
 * an nkey seed or a creds file; their permissions are made by permissions.ts.
 */
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import {
  type Consumers,
  type JetStreamClient,
  type JetStreamManager,
  jetstream,
} from '@nats-io/jetstream';
import {
  type Authenticator,
  connect,
  credsAuthenticator,
  type NatsConnection,
  nkeyAuthenticator,
} from '@nats-io/transport-node';
import { EegError } from '../core/errors.js';
import type { Logger } from '../core/log.js';

export type Role = 'edge' | 'worker' | 'gateway' | 'operator';

export interface ConnectionConfig {
  /** `nats://host:4222` or `tls://host:4222`. */
  readonly servers: readonly string[];
  /** Use the servers that these tell of, too; true where absent. */
  readonly discoverServers?: boolean;
  readonly nkeySeedFile?: string | undefined;
  readonly credsFile?: string | undefined;
  readonly tls?:
    | {
        readonly caFile?: string | undefined;
        certFile?: string | undefined;
        keyFile?: string | undefined;
      }
    | undefined;
}

export interface Link {
  readonly nats: NatsConnection;
  readonly js: JetStreamClient;
  /** To follow a stream: what is not answered soon is asked again, as after an election. */
  readonly consumers: Consumers;
  /** Its requests go unanswered while the cluster has no leader; callers retry. */
  manager(): Promise<JetStreamManager>;
  close(): Promise<void>;
}

const reconnectEveryMs = 250;
/** A link that says nothing for two pings is dropped, and another server is tried. */
const pingEveryMs = 2000;
const apiTimeoutMs = 5000;
const consumerTimeoutMs = 1000;
const flushMs = 500;

/**
 * Each role and site has an inbox of its own, so that permissions can keep replies apart. Waits for
 * the first connect without end where `wait` is set: an edge works without a link too.
 */
export async function openLink(
  config: ConnectionConfig,
  { role, site, name, log, wait = false }: LinkOptions,
): Promise<Link> {
  requireNamed(config);
  const tls = tlsOf(config);
  const authenticator = authenticatorOf(config);
  try {
    const nats = await connect({
      servers: [...config.servers],
      name: `eegd ${role} ${name}`,
      inboxPrefix: inboxOf(role, site),
      maxReconnectAttempts: -1,
      reconnectTimeWait: reconnectEveryMs,
      reconnectJitter: reconnectEveryMs,
      pingInterval: pingEveryMs,
      maxPingOut: 2,
      timeout: apiTimeoutMs,
      ignoreClusterUpdates: config.discoverServers === false,
      waitOnFirstConnect: wait,
      ignoreAuthErrorAbort: true,
      ...(tls === undefined ? {} : { tls }),
      ...(authenticator === undefined ? {} : { authenticator }),
    });
    void follow(nats, log);
    const js = jetstream(nats, { timeout: apiTimeoutMs });
    const { consumers } = jetstream(nats, { timeout: consumerTimeoutMs });
    const manager = () => js.jetstreamManager(false);
    return { nats, js, consumers, manager, close: () => closeLink(nats) };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const message = `expected NATS at ${config.servers.join(', ')}, got: ${reason}`;
    throw new EegError('EEG_CLUSTER_UNREACHABLE', message, { cause });
  }
}

export interface LinkOptions {
  readonly role: Role;
  readonly site: string;
  readonly name: string;
  readonly log: Logger;
  readonly wait?: boolean;
}

export function inboxOf(role: Role, site: string): string {
  return role === 'worker' || role === 'operator' ? `_INBOX.${role}` : `_INBOX.${role}-${site}`;
}

async function closeLink(nats: NatsConnection): Promise<void> {
  const late = new Promise((resolve) => setTimeout(resolve, flushMs).unref());
  // Without a link a flush would wait for one.
  await Promise.race([nats.flush().catch(() => undefined), late]);
  await nats.close();
}

async function follow(nats: NatsConnection, log: Logger): Promise<void> {
  for await (const status of nats.status()) {
    if (status.type === 'disconnect')
      log.warn({ server: status.server }, 'the link to NATS is down');
    else if (status.type === 'reconnect') log.info({ server: status.server }, 'NATS is back');
    else if (status.type === 'error') log.error(`NATS says: ${status.error.message}`);
  }
}

function authenticatorOf(config: ConnectionConfig): Authenticator | undefined {
  if (config.nkeySeedFile !== undefined)
    return nkeyAuthenticator(Buffer.from(read(config.nkeySeedFile).toString('utf8').trim()));
  if (config.credsFile !== undefined) return credsAuthenticator(read(config.credsFile));
  return undefined;
}

/** By an address no certificate can be checked: the library would ask for one of `localhost`. */
function requireNamed({ servers, tls }: ConnectionConfig): void {
  for (const server of servers) {
    const { protocol, hostname } = new URL(server);
    const isSecured = tls !== undefined || protocol === 'tls:';
    if (isSecured && isIP(hostname.replace(/^\[|\]$/g, '')) !== 0)
      throw new EegError('EEG_USAGE', `expected servers by name with TLS, got ${server}`);
  }
}

/** The library reads no files here, so that one that is missing is said in one line. */
function tlsOf({ tls }: ConnectionConfig) {
  if (tls === undefined) return undefined;
  const text = (file: string | undefined) => file && read(file).toString('utf8');
  const [ca, cert, key] = [text(tls.caFile), text(tls.certFile), text(tls.keyFile)];
  return { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
}

function read(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new EegError('EEG_CONFIG_UNREADABLE', `expected a readable file: ${reason}`, { cause });
  }
}
