/** Stopping, TLS, and what stays behind: nothing. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { limits } from '../../src/server/limits.js';
import { fakePrediction } from '../support/fake-daemon.js';
import { RawWebSocket } from '../support/raw-websocket.js';
import { testServer } from '../support/test-client.js';
import { VirtualClock } from '../support/virtual-clock.js';

test('every client is told 1001, then the port is free', async () => {
  const host = await testServer();
  const clients = await Promise.all(Array.from({ length: 30 }, () => host.connect()));
  await clients[0]?.call('subscribe', { topics: ['predictions'] });
  const closes = Promise.all(clients.map(({ closed }) => closed));
  await host.server.close();
  expect((await closes).every(({ code }) => code === 1001)).toBe(true);
  host.daemon.emit(fakePrediction());
  const again = await testServer({ port: host.server.port });
  await again.server.close();
});

test('a client that does not answer the close is cut after 2 s', async () => {
  const clock = new VirtualClock();
  const host = await testServer({ clock });
  const { raw } = await RawWebSocket.open(host.server.port);
  const closed = host.server.close();
  expect(await raw.closeCode()).toBe(1001);
  clock.advance(limits.closeMsMax / 1000 + 0.1);
  await closed;
  expect(await raw.next()).toBeUndefined();
});

const hasOpenssl = spawnSync('openssl', ['version']).status === 0;
if (!hasOpenssl) console.warn('SKIPPED: the TLS test needs openssl');

test.skipIf(!hasOpenssl)('TLS by certificate files: pages and sockets', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'eegd-tls-'));
  const certFile = join(folder, 'cert.pem');
  const keyFile = join(folder, 'key.pem');
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
  execFileSync(
    'openssl',
    ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
      .concat(['-keyout', keyFile, '-out', certFile, '-days', '2'])
      .concat(subject),
    { stdio: 'ignore' },
  );
  const host = await testServer({ tls: { certFile, keyFile } });
  expect(host.server.address).toMatch(/^https:/);
  const url = `wss://localhost:${host.server.port}/ws`;
  const origin = `https://localhost:${host.server.port}`;
  const { readFileSync } = await import('node:fs');
  const socket = new WebSocket(url, { ca: readFileSync(certFile), headers: { Origin: origin } });
  const hello = await new Promise<string>((resolve, reject) => {
    socket.on('message', (data) => resolve(String(data)));
    socket.on('error', reject);
  });
  expect(JSON.parse(hello)).toMatchObject({ type: 'hello' });
  await host.server.close();
  await expect(testServer({ tls: { certFile: '/none', keyFile } })).rejects.toMatchObject({
    code: 'EEG_CONFIG_UNREADABLE',
  });
});
