/** Whatever a client sends, the answer is typed and nobody else notices. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { errorTable } from '../../src/core/errors.js';
import { serverMessage } from '../../src/server/protocol.js';
import { decodeSignal, encodeSignal } from '../../src/server/signal-frame.js';
import { fakeSignal } from '../support/fake-daemon.js';
import { frame, RawWebSocket } from '../support/raw-websocket.js';
import { type TestServer, testServer } from '../support/test-client.js';
import { VirtualClock } from '../support/virtual-clock.js';

const runs = Number(process.env.EEGD_FUZZ_RUNS ?? 300);

describe('messages', () => {
  let host: TestServer;
  beforeAll(async () => {
    host = await testServer();
  });
  afterAll(() => host.server.close());

  const type = fc.constantFrom('ping', 'subscribe', 'history', 'adapt.label', 'checkpoints.load');
  const message = fc.oneof(
    fc.json(),
    fc.string(),
    fc.constantFrom('', '{', '[[[[', '{"__proto__":{"x":1}}', '{"id":1e999,"type":"ping"}'),
    fc.constant(`${'['.repeat(30_000)}`),
    fc.record({ id: fc.anything(), type: fc.anything() }).map((value) => JSON.stringify(value)),
    fc
      .tuple(fc.nat(), type, fc.dictionary(fc.string(), fc.jsonValue()))
      .map(([id, name, fields]) => JSON.stringify({ ...fields, id, type: name })),
    fc
      .record({ id: fc.nat(), type, topics: fc.jsonValue(), args: fc.jsonValue() })
      .map((value) => JSON.stringify(value)),
  );

  test('three that are not understood end the connection; every answer fits the schema', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(message, { minLength: 1, maxLength: 6 }), async (texts) => {
        const client = await host.connect();
        await client.hello();
        for (const text of texts) client.send(text);
        const last = await Promise.race([client.call('ping').catch(() => 'closed'), client.closed]);
        for (const answer of client.messages) {
          expect(serverMessage.safeParse(answer).success, JSON.stringify(answer)).toBe(true);
          const { error } = answer as { error?: { code: string } };
          if (error !== undefined) expect(Object.keys(errorTable)).toContain(error.code);
        }
        if (typeof last === 'object' && 'code' in last) expect(last.code).toBe(1008);
        client.socket.terminate();
      }),
      { numRuns: runs },
    );
    const after = await host.connect();
    expect(await after.call('ping')).toMatchObject({ success: true });
    expect(({} as Record<string, unknown>).x).toBeUndefined();
  }, 120_000);

  test('the 3rd strike is 1008; a good command takes one back', async () => {
    const client = await host.connect();
    const strike = () => {
      client.send('no JSON');
      return client.next(({ type: kind }) => kind === 'error');
    };
    await strike();
    await strike();
    await client.call('ping');
    await strike();
    client.send('no JSON');
    expect((await client.closed).code).toBe(1008);
  });

  test('an error names the request where its number can be read', async () => {
    const client = await host.connect();
    const answer = await client.call('history', { stream: '../../etc', task: 'sleep' });
    expect(answer).toMatchObject({
      id: 1,
      success: false,
      error: { code: 'EEG_WS_INVALID_MESSAGE', message: expect.stringContaining('stream') },
    });
    const extra = await client.call('ping', { surprise: 1 });
    expect(extra).toMatchObject({ error: { message: expect.stringContaining('surprise') } });
    await client.close();
  });

  const names = ['../../etc', '%2e%2e', 'a\0b', '/abs', 'CON ', `${'x'.repeat(300)}`, '․․', 'a..b'];
  test.each(names)('%j is no checkpoint', async (checkpoint) => {
    const client = await host.connect();
    expect(await client.call('checkpoints.load', { checkpoint })).toMatchObject({
      error: { code: 'EEG_WS_INVALID_MESSAGE' },
    });
    expect(host.daemon.calls.flatMap(({ args }) => args)).not.toContain(checkpoint);
    await client.close();
  });
});

test('any bytes after the handshake end in a close code or silence, never a crash', async () => {
  const clock = new VirtualClock();
  const host = await testServer({ clock });
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: 2, maxLength: 200 }), async (bytes) => {
      const { raw } = await RawWebSocket.open(host.server.port);
      raw.write(Buffer.from(bytes));
      raw.write(frame(9, 'still there?'));
      const seen = await Promise.race([
        raw.closeCode(),
        host.connect().then(async (other) => {
          const answer = await other.call('ping');
          await other.close();
          return answer.success;
        }),
      ]);
      expect([true, 1002, 1006, 1007, 1008, 1009, 1005, 'dropped', 1000]).toContain(seen);
      raw.destroy();
    }),
    { numRuns: Math.min(runs, 200) },
  );
  const closed = host.server.close();
  clock.advance(10);
  await closed;
}, 120_000);

test('signal frames survive any values, and no wrong length is read past', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 40 }),
      fc.integer({ min: 0, max: 40 }),
      fc.maxSafeNat(),
      fc.nat(0xffffffff),
      (channels, samples, index, handle) => {
        const block = fakeSignal({ channels, samples, index, stampS: index / 7 });
        const bytes = encodeSignal(handle, block);
        const read = decodeSignal(bytes.slice().buffer);
        expect(read).toEqual({
          handle,
          index,
          stampS: index / 7,
          channels,
          samples,
          data: block.data.slice(0, channels * samples),
        });
        expect(() => decodeSignal(bytes.slice(0, -1).buffer)).toThrow(RangeError);
      },
    ),
    { numRuns: 200 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      expect(() => decodeSignal(bytes.slice().buffer)).toThrow(RangeError);
    }),
    { numRuns: 500 },
  );
});
