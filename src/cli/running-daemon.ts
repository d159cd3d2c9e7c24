/** The daemon at the configured address, for commands that rather ask it than its files. */
import { connect } from 'node:net';
import { Client, CommandError } from '../client/client.js';
import type { Config } from '../config/schema.js';
import { EegError } from '../core/errors.js';
import { readToken } from './token.js';

/**
 * What `ask` resolves with; undefined where no daemon answers. Rejects with an `EegError` where one
 * refuses: the code is the daemon's, or `EEG_WS_UNAUTHENTICATED`; and where something listens that
 * cannot be talked to, so that nobody changes files under a daemon that runs.
 */
export async function withDaemon<T>(
  server: Config['server'],
  tokenFile: string | undefined,
  ask: (client: Client) => Promise<T>,
): Promise<T | undefined> {
  if (server.port === 0) return undefined;
  const token = tokenFile === undefined ? undefined : readToken(tokenFile);
  let answers = false;
  const client = new Client(urlOf(server), {
    reconnect: false,
    ...(token === undefined ? {} : { token }),
    onState: ({ state, ...rest }) => {
      // 1006: there was no server to say why.
      if (state === 'closed' && 'code' in rest) answers ||= rest.code !== 1006;
      else answers ||= state === 'open';
    },
  });
  try {
    await client.open();
    return await ask(client);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    if (error instanceof CommandError)
      throw new EegError(error.code, message, { hint: error.hint });
    if (message.includes('token') || answers)
      throw new EegError('EEG_WS_UNAUTHENTICATED', message, { hint: 'use --token-file' });
    if (await listens(server)) throw new EegError('EEG_WS_UNREACHABLE', `${urlOf(server)} ${deaf}`);
    return undefined;
  } finally {
    client.close();
  }
}

const deaf = 'is taken by a program that does not answer as eegd does';

function listens({ host, port }: Config['server']): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: reachedAt(host), port });
    const end = (isThere: boolean) => {
      socket.destroy();
      resolve(isThere);
    };
    socket.once('connect', () => end(true));
    socket.once('error', () => end(false));
  });
}

const reachedAt = (host: string) => (host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host);

function urlOf({ host, port, tls }: Config['server']): string {
  const reached = reachedAt(host);
  const name = reached.includes(':') ? `[${reached}]` : reached;
  return `${tls === undefined ? 'ws' : 'wss'}://${name}:${port}/ws`;
}
