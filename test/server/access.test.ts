/** Who gets in and what they may do: bind, host, origin, token, scope. */
import { request } from 'node:http';
import { afterEach, describe, expect, test } from 'vitest';
import { silentLogger } from '../../src/core/log.js';
import { hostAllowed, hostRefusal, originAllowed, originRefusal } from '../../src/server/origin.js';
import { startServer } from '../../src/server/server.js';
import { FakeDaemon } from '../support/fake-daemon.js';
import { type TestServer, testServer, tokenFile } from '../support/test-client.js';
import { VirtualClock } from '../support/virtual-clock.js';

let host: TestServer | undefined;
afterEach(async () => {
  await host?.server.close();
  host = undefined;
});

const token = 'correct-horse-battery-staple';

/** The HTTP status an upgrade is refused with; 101 where it is not. */
function upgradeStatus(address: string, headers: Record<string, string>, path = '/ws') {
  return new Promise<number>((resolve, reject) => {
    const asked = request(`${address}${path}`, {
      headers: {
        Connection: 'Upgrade',
        Upgrade: 'websocket',
        'Sec-WebSocket-Version': '13',
        'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
        ...headers,
      },
    });
    asked.on('response', (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    asked.on('upgrade', (_, socket) => {
      socket.destroy();
      resolve(101);
    });
    asked.on('error', reject);
    asked.end();
  });
}

describe('listening', () => {
  const start = (options: Partial<Parameters<typeof startServer>[1]>) =>
    startServer(new FakeDaemon(), { port: 0, ...options }, silentLogger);

  test('is on loopback unless told otherwise', async () => {
    host = await testServer();
    expect(host.server.address).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  });

  test('elsewhere is refused without a token, and without TLS', async () => {
    const bare = start({ host: '0.0.0.0' });
    await expect(bare).rejects.toMatchObject({ code: 'EEG_WS_BIND_REFUSED', exitCode: 78 });
    const clear = start({ host: '0.0.0.0', tokenFile: tokenFile(`${token}\n`) });
    await expect(clear).rejects.toMatchObject({ code: 'EEG_WS_BIND_REFUSED' });
    await expect(start({ host: '::' })).rejects.toMatchObject({ code: 'EEG_WS_BIND_REFUSED' });
    const proxied = await start({
      host: '0.0.0.0',
      tokenFile: tokenFile(`${token}\n`),
      behindProxy: true,
    });
    await proxied.close();
  });

  test('on a port that is taken is one clear error', async () => {
    host = await testServer();
    await expect(start({ port: host.server.port })).rejects.toMatchObject({
      code: 'EEG_CONFIG_INVALID',
      hint: 'stop the other program or choose another port',
    });
  });
});

describe('the host header (DNS rebinding)', () => {
  test.each([
    ['127.0.0.1:80', true],
    ['[::1]:80', true],
    ['localhost', true],
    ['LOCALHOST:1', true],
    ['eeg.lab', true],
    ['evil.example', false],
    ['localhost.evil.example', false],
    ['127.0.0.1.evil.example', false],
    ['evil.example:80@localhost', false],
    ['', false],
    [undefined, false],
  ])('%s -> %s', (header, allowed) => {
    expect(hostAllowed(header, ['eeg.lab'])).toBe(allowed);
  });

  test('guards pages and upgrades alike', async () => {
    host = await testServer();
    const { address } = host.server;
    expect(await upgradeStatus(address, { Host: 'evil.example' })).toBe(403);
    expect(await upgradeStatus(address, { Host: 'evil.example', Upgrade: 'h2c' })).toBe(403);
  });
});

describe('the origin header', () => {
  const own = 'localhost:8765';
  test.each([
    ['http://localhost:8765', true],
    ['https://lab.example', true],
    ['http://localhost:9999', false],
    ['http://localhost', false],
    ['https://localhost:8765', false],
    ['http://localhost:8765.evil.example', false],
    ['https://lab.example.evil', false],
    ['http://lab.example', false],
    ['null', false],
    ['', false],
  ])('%s -> %s', (origin, allowed) => {
    expect(originAllowed(origin, own, false, ['https://lab.example'])).toBe(allowed);
  });

  test('that is refused is told what to do, on one short line whatever it holds', () => {
    expect(originRefusal('http://127.0.0.1:9100')).toBe(
      'expected the dashboard\'s origin or one in server.origins, got "http://127.0.0.1:9100": ' +
        'add it if you trust that page',
    );
    expect(originRefusal(`a\nb${'c'.repeat(1000)}`)).toMatch(/^[^\n]{0,250}$/);
    expect(hostRefusal(undefined)).toContain('got none');
  });

  test('of another site is refused before the upgrade; programs send none', async () => {
    host = await testServer();
    const { address, port } = host.server;
    const status = (origin: string) => upgradeStatus(address, { Origin: origin });
    expect(await status('https://evil.example')).toBe(403);
    expect(await status('null')).toBe(403);
    expect(await status(`http://127.0.0.1:${port + 1}`)).toBe(403);
    expect(await status(address)).toBe(101);
    expect(await upgradeStatus(address, {})).toBe(101);
  });
});

test('the path is /ws and nothing else: no token can be put in it', async () => {
  host = await testServer();
  for (const path of ['/', '/ws/', `/ws?token=${token}`, '/other'])
    expect(await upgradeStatus(host.server.address, {}, path), path).toBe(404);
});

describe('tokens', () => {
  test('nothing but auth is answered before it, and hello tells so', async () => {
    host = await testServer({ tokenFile: tokenFile(`${token}\n`) });
    const client = await host.connect();
    expect(await client.hello()).toMatchObject({ authRequired: true, scopes: [] });
    expect(await client.call('snapshot')).toMatchObject({
      error: { code: 'EEG_WS_UNAUTHENTICATED' },
    });
    expect(await client.call('auth', { token })).toMatchObject({
      success: true,
      result: { scopes: ['read', 'operate', 'train'] },
    });
    expect(await client.call('snapshot')).toMatchObject({ success: true });
  });

  test.each([
    ['wrong', 'another-token-of-length'],
    ['a prefix', token.slice(0, -1)],
    ['longer', `${token}x`],
    ['expired', 'this-one-is-long-expired'],
  ])('%s: refused and closed with 4401', async (_, sent) => {
    const text = `${token}\nread this-one-is-long-expired until=2020-01-01\n`;
    host = await testServer({ tokenFile: tokenFile(text) });
    const client = await host.connect();
    expect(await client.call('auth', { token: sent })).toMatchObject({
      success: false,
      error: { code: 'EEG_WS_UNAUTHENTICATED' },
    });
    expect((await client.closed).code).toBe(4401);
  });

  test('who sends none within 5 s is closed with 4401', async () => {
    const clock = new VirtualClock();
    host = await testServer({ tokenFile: tokenFile(`${token}\n`), clock });
    const client = await host.connect();
    await client.hello();
    clock.advance(4.9);
    expect(await client.call('ping')).toMatchObject({ success: false });
    clock.advance(0.2);
    expect((await client.closed).code).toBe(4401);
  });

  test('after 10 failures an address waits a minute: 429', async () => {
    const clock = new VirtualClock();
    host = await testServer({ tokenFile: tokenFile(`${token}\n`), clock });
    for (let i = 0; i < 10; i++) {
      const client = await host.connect();
      await client.call('auth', { token: `wrong-token-number-${i}` });
      await client.closed;
    }
    expect(await upgradeStatus(host.server.address, {})).toBe(429);
    clock.advance(61);
    expect(await upgradeStatus(host.server.address, {})).toBe(101);
  });

  test('may be kept as a digest only', async () => {
    const { createHash } = await import('node:crypto');
    const digest = createHash('sha256').update(token).digest('hex');
    host = await testServer({ tokenFile: tokenFile(`read sha256:${digest}\n`) });
    const client = await host.connect();
    expect(await client.call('auth', { token })).toMatchObject({ result: { scopes: ['read'] } });
  });

  test.each([
    ['readable by everybody', `${token}\n`, 0o644, 'EEG_CONFIG_INVALID'],
    ['empty', '# nothing\n\n', 0o600, 'EEG_CONFIG_INVALID'],
    ['too short', 'hunter2\n', 0o600, 'EEG_CONFIG_INVALID'],
    ['of an unknown scope', `admin ${token}\n`, 0o600, 'EEG_CONFIG_INVALID'],
    ['with a bad date', `${token} until=soon\n`, 0o600, 'EEG_CONFIG_INVALID'],
  ])('a token file that is %s is refused, without quoting it', async (_, text, mode, code) => {
    const failure = await testServer({ tokenFile: tokenFile(text, mode) }).catch((error) => error);
    expect(failure).toMatchObject({ code, exitCode: 78 });
    expect(`${failure.line}`).not.toContain(token);
    expect(`${failure.line}`).not.toContain('hunter2');
  });

  test('a missing token file is refused', async () => {
    await expect(testServer({ tokenFile: '/nonexistent/token' })).rejects.toMatchObject({
      code: 'EEG_CONFIG_UNREADABLE',
    });
  });

  test('never reach a log line', async () => {
    const lines: string[] = [];
    const { pino } = await import('pino');
    const log = pino({ level: 'trace' }, { write: (line: string) => lines.push(line) });
    const daemon = new FakeDaemon();
    const server = await startServer(daemon, { port: 0, tokenFile: tokenFile(`${token}\n`) }, log);
    host = { daemon, server, connect: (await testClient(server.address)).connect };
    const wrong = 'some-wrong-secret-token';
    const bad = await host.connect();
    await bad.call('auth', { token: wrong });
    const good = await host.connect();
    await good.call('auth', { token });
    await good.call('checkpoints.activate', { checkpoint: 'base@2' });
    await upgradeStatus(server.address, { Origin: 'https://evil.example' });
    expect(lines.length).toBeGreaterThan(3);
    expect(lines.join('')).not.toContain(token);
    expect(lines.join('')).not.toContain(wrong);
  });
});

async function testClient(address: string) {
  const { TestClient } = await import('../support/test-client.js');
  return {
    connect: async () => {
      const client = new TestClient(address);
      await client.opened;
      return client;
    },
  };
}

describe('scopes', () => {
  const tokens =
    'read reader-token-0123456\nread,operate operator-token-012\ntrain trainer-token-01234\n';
  test.each([
    ['reader-token-0123456', ['read']],
    ['operator-token-012', ['read', 'operate']],
    ['trainer-token-01234', ['train']],
  ])('%s may do what its scopes say', async (secret, allowed) => {
    host = await testServer({ tokenFile: tokenFile(tokens) });
    const client = await host.connect();
    await client.call('auth', { token: secret });
    const asked: [string, string, Record<string, unknown>][] = [
      ['read', 'snapshot', {}],
      ['operate', 'checkpoints.activate', { checkpoint: 'base@2' }],
      ['operate', 'devices.connect', { address: 'lsl:x' }],
      ['train', 'adapt.start', { args: {} }],
    ];
    for (const [scope, type, fields] of asked) {
      const answer = await client.call(type, fields);
      if (allowed.includes(scope)) expect(answer, type).toMatchObject({ success: true });
      else expect(answer, type).toMatchObject({ error: { code: 'EEG_WS_FORBIDDEN' } });
    }
    const touched = host.daemon.calls.map(({ name }) => name);
    expect(touched.includes('activate')).toBe(allowed.includes('operate'));
    expect(touched.includes('adapt')).toBe(allowed.includes('train'));
  });
});
