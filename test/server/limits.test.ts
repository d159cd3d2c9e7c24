/** Slow, dead and flooding clients: bounded, told, and cut. */
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { limits } from '../../src/server/limits.js';
import { Outbox } from '../../src/server/outbox.js';
import { TokenBucket } from '../../src/server/rate.js';
import { fakePrediction } from '../support/fake-daemon.js';
import { TestClient, type TestServer, testServer } from '../support/test-client.js';
import { VirtualClock } from '../support/virtual-clock.js';

describe('the outbox of a client that reads slowly', () => {
  let clock: VirtualClock;
  let sent: string[];
  let wire: { bufferedAmount: number; send(data: string | Uint8Array): void };
  let slow: number;
  let dropped: number;
  let outbox: Outbox;

  beforeEach(() => {
    clock = new VirtualClock();
    sent = [];
    slow = 0;
    dropped = 0;
    wire = { bufferedAmount: 0, send: (data) => sent.push(String(data)) };
    outbox = new Outbox(wire, clock, {
      onSlow: () => {
        slow += 1;
      },
      onDropped: (count) => {
        dropped += count;
      },
      lagged: (count) => `lagged ${count}`,
    });
  });

  test('up to the mark everything is sent in order', () => {
    wire.bufferedAmount = limits.queueBytesMax - 3;
    outbox.send('abc', 'drop');
    expect(sent).toEqual(['abc']);
    outbox.send('d', 'keep');
    outbox.send('e', { latest: 'x' });
    expect(sent).toEqual(['abc', 'd', 'e']);
    wire.bufferedAmount = limits.queueBytesMax;
    outbox.send('f', 'keep');
    expect(sent).toHaveLength(3);
  });

  test('above it the latest of each kind is kept, signal is not, and what was lost is told', () => {
    wire.bufferedAmount = limits.queueBytesMax + 1;
    for (let i = 0; i < 1000; i++) {
      outbox.send(`p${i}`, { latest: 'predictions s1 sleep' });
      outbox.send(`q${i}`, { latest: 'quality s1' });
      outbox.send('signal', 'drop');
    }
    outbox.send('seizure begins', 'keep');
    expect(sent).toEqual([]);
    expect(dropped).toBe(999 + 999 + 1000);
    wire.bufferedAmount = limits.queueBytesMax / 2;
    clock.advance(0.1);
    expect(sent).toEqual(['lagged 2998', 'seizure begins', 'p999', 'q999']);
    outbox.send('next', 'keep');
    expect(sent.at(-1)).toBe('next');
    clock.advance(60);
    expect(slow).toBe(0);
  });

  test('messages to be kept wait in a bounded line, oldest out first', () => {
    wire.bufferedAmount = limits.queueBytesMax + 1;
    for (let i = 0; i < limits.backlogMax + 5; i++) outbox.send(`e${i}`, 'keep');
    wire.bufferedAmount = 0;
    clock.advance(0.1);
    expect(sent[0]).toBe('lagged 5');
    expect(sent[1]).toBe('e5');
    expect(sent).toHaveLength(1 + limits.backlogMax);
  });

  test('who does not catch up within 3 s is given up, once', () => {
    wire.bufferedAmount = limits.queueBytesMax + 1;
    outbox.send('p', { latest: 'x' });
    clock.advance(2.9);
    expect(slow).toBe(0);
    wire.bufferedAmount = limits.queueBytesMax / 2 + 1;
    clock.advance(0.2);
    expect(slow).toBe(1);
    clock.advance(60);
    expect(slow).toBe(1);
  });
});

test('the token bucket gives its burst, then its rate', () => {
  const clock = new VirtualClock();
  const bucket = new TokenBucket(50, 100, clock);
  const takes = (count: number) => Array.from({ length: count }, () => bucket.take());
  expect(takes(100).every(Boolean)).toBe(true);
  expect(bucket.take()).toBe(false);
  clock.advance(0.1);
  expect(takes(6)).toEqual([true, true, true, true, true, false]);
  clock.advance(1000);
  expect(takes(101).filter(Boolean)).toHaveLength(100);
});

describe('a server', () => {
  let host: TestServer;
  let clock: VirtualClock;
  beforeEach(async () => {
    clock = new VirtualClock();
    host = await testServer({ clock });
  });
  afterEach(async () => {
    const closed = host.server.close();
    clock.advance(10);
    await closed;
  });

  test('a reader that stops is cut with its queue bounded; another loses nothing', async () => {
    const good = await host.connect();
    const dead = await host.connect();
    for (const client of [good, dead]) await client.call('subscribe', { topics: ['predictions'] });
    dead.socket.pause();
    const label = 'x'.repeat(10_000);
    const before = process.memoryUsage().rss;
    let sent = 0;
    const gone = async () => (await host.server.metrics.clients.get()).values[0]?.value === 1;
    // The kernel takes some MB before the server's own queue grows; time then passes in steps.
    while (!(await gone()) && sent < 20_000) {
      for (let i = 0; i < 25; i++) host.daemon.emit(fakePrediction({ seq: sent++, label }));
      clock.advance(0.05);
      await good.call('ping');
    }
    expect(sent).toBeLessThan(20_000);
    const text = await host.server.metrics.text();
    expect(text).toContain('eegd_ws_rejected_total{reason="slow"} 1');
    expect(text).toMatch(/eegd_ws_dropped_total\{reason="slow"\} \d+/);
    const seqs = good.messages.flatMap(({ event }) => (event as { seq?: number })?.seq ?? []);
    expect(seqs.every((seq, i) => seq === i)).toBe(true);
    expect(seqs).toHaveLength(sent);
    expect((process.memoryUsage().rss - before) / 2 ** 20).toBeLessThan(300);
    dead.socket.terminate();
  });

  test('a client that answers no ping for two rounds is cut', async () => {
    const client = new TestClient(host.server.address);
    await client.opened;
    client.socket.pause();
    clock.advance(15);
    expect(await host.server.metrics.text()).toContain('eegd_ws_clients 1');
    clock.advance(15);
    while (!(await host.server.metrics.text()).includes('eegd_ws_clients 0'))
      await new Promise(setImmediate);
    expect(await host.server.metrics.text()).toContain('reason="silent"} 1');
    client.socket.terminate();
  });

  test('pings that are answered keep a client', async () => {
    const client = await host.connect();
    for (let i = 0; i < 5; i++) {
      const pinged = new Promise((resolve) => client.socket.once('ping', resolve));
      clock.advance(15);
      await pinged;
      await client.call('ping');
    }
  });

  test('more than 100 messages at once: told, then 4429; others are served', async () => {
    const other = await host.connect();
    const flood = await host.connect();
    for (let id = 0; id < 300; id++) flood.send({ id, type: 'unsubscribe', subscription: id });
    expect(await flood.next(({ type }) => type === 'error')).toMatchObject({
      error: { code: 'EEG_WS_RATE_LIMITED', retryable: true },
    });
    expect((await flood.closed).code).toBe(4429);
    expect(await other.call('ping')).toMatchObject({ success: true });
  });

  test('at most 32 clients of one address', async () => {
    const clients = await Promise.all(Array.from({ length: 32 }, () => host.connect()));
    await expect(host.connect()).rejects.toThrow('429');
    await clients[0]?.close();
    await host.connect();
  });

  test('at most 16 commands of a client at once', async () => {
    const client = await host.connect();
    let release: () => void = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    host.daemon.devices = async () => held.then(() => []);
    for (let id = 100; id < 117; id++) client.send({ id, type: 'devices.list' });
    expect(await client.next(({ id }) => id === 116)).toMatchObject({
      error: { code: 'EEG_WS_LIMIT' },
    });
    release();
    expect(await client.next(({ id }) => id === 115)).toMatchObject({ success: true });
  });

  test('a request that never ends its headers is closed (slowloris)', async () => {
    await host.server.close();
    host = await testServer();
    const socket = connect(host.server.port, '127.0.0.1');
    socket.write('GET / HTTP/1.1\r\nHost: localhost\r\nX-A: ');
    const answer = await new Promise<string>((resolve) => {
      let text = '';
      socket.on('data', (data) => {
        text += data;
      });
      socket.on('close', () => resolve(text));
    });
    expect(answer).toContain('408 Request Timeout');
  }, 20_000);

  test('headers over 8 KiB are refused', async () => {
    const huge = { 'X-Big': 'x'.repeat(10_000) };
    const response = await fetch(host.server.address, { headers: huge });
    expect(response.status).toBe(431);
  });
});
