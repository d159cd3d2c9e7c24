/** Commands that ask a running daemon: what it does, what it refuses, and that none is there. */
import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { withDaemon } from '../../src/cli/running-daemon.js';
import { openAt } from '../../src/cli/serve.js';
import type { Client } from '../../src/client/client.js';
import { parseConfig } from '../../src/config/load.js';
import { EegError } from '../../src/core/errors.js';
import { testServer } from '../support/test-client.js';

const token = 'a-token-of-more-than-32-characters-0123456789';
const file = (text: string) => {
  const path = join(mkdtempSync(join(tmpdir(), 'eegd-token-')), 'token');
  writeFileSync(path, `${text}\n`, { mode: 0o600 });
  return path;
};
const at = (port: number) => ({ ...parseConfig('', 'none').server, port });
const activate = (client: Client) => client.call('checkpoints.activate', { checkpoint: 'base@2' });

test('a running daemon does it', async () => {
  const host = await testServer();
  const change = await withDaemon(at(host.server.port), undefined, activate);
  expect(change).toMatchObject({ checkpoint: 'base@2' });
  await host.server.close();
  expect(await withDaemon(at(host.server.port), undefined, activate)).toBeUndefined();
});

test('one that asks for a token is told it, and refuses without', async () => {
  const host = await testServer({ tokenFile: file(token) });
  const server = at(host.server.port);
  const refused = { code: 'EEG_WS_UNAUTHENTICATED' };
  await expect(withDaemon(server, undefined, activate)).rejects.toMatchObject(refused);
  const wrong = file('another-token-of-more-than-32-characters-0123');
  await expect(withDaemon(server, wrong, activate)).rejects.toMatchObject(refused);
  expect(await withDaemon(server, file(token), activate)).toMatchObject({ checkpoint: 'base@2' });
  await host.server.close();
});

test('what the daemon refuses is an error with its code', async () => {
  const host = await testServer();
  host.daemon.failure = new EegError('EEG_MODEL_BUSY', 'expected no swap under way');
  await expect(withDaemon(at(host.server.port), undefined, activate)).rejects.toMatchObject({
    code: 'EEG_MODEL_BUSY',
  });
  await host.server.close();
});

test('where something listens that is no eegd, or is not trusted, nothing is done beside it', async () => {
  const other = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  await expect(withDaemon(at(port), undefined, activate)).rejects.toMatchObject({
    code: 'EEG_WS_UNREACHABLE',
    exitCode: 69,
  });
  other.close();
});

test('the address to open is one that can be opened', () => {
  const lan = { address: '192.0.2.7', family: 'IPv4', internal: false, netmask: '', mac: '' };
  const interfaces = { eth0: [{ ...lan, family: 'IPv4' as const, cidr: null }] };
  expect(openAt('https://0.0.0.0:9443', interfaces)).toBe('https://192.0.2.7:9443');
  expect(openAt('https://[::]:9443', {})).toBe('https://127.0.0.1:9443');
  expect(openAt('http://127.0.0.1:8765', interfaces)).toBe('http://127.0.0.1:8765');
});
