/** Our resolver, inlets and outlets with each other over 127.0.0.1. */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { parseLslConfig } from '../../../drivers/lsl/config.js';
import { discover } from '../../../drivers/lsl/discover.js';
import { fetchFullInfo, InletConnection } from '../../../drivers/lsl/inlet-connection.js';
import { Outlet, type OutletDescription } from '../../../drivers/lsl/outlet.js';
import { Resolver, resolveStreams } from '../../../drivers/lsl/resolver.js';
import type { LslStreamInfo } from '../../../drivers/lsl/stream-info.js';
import { loopbackSettings, until } from '../../support/liblsl-process.js';
import { plainInfo } from './plain-info.js';

const { config } = loopbackSettings();
const closing: { close(): unknown }[] = [];
afterEach(() => {
  for (const one of closing.splice(0)) one.close();
});

async function open(some: Partial<OutletDescription> = {}): Promise<Outlet> {
  const shape = { channelCount: 2, format: 'float32', rateHz: 100 } as const;
  const names = { name: 'loop', type: 'EEG', sourceId: 'loop-1' };
  const outlet = await Outlet.open({ ...names, ...shape, ...some }, { config });
  closing.push(outlet);
  return outlet;
}

const here = (info: LslStreamInfo): LslStreamInfo => ({ ...info, v4Address: '127.0.0.1' });

async function read(info: LslStreamInfo, bufferSamples = 1000, chunkSamples = 0) {
  const values: number[] = [];
  const reads: number[] = [];
  let closed: Error | undefined;
  const connection = new InletConnection(here(info), {
    ...{ bufferSamples, chunkSamples },
    onSamples: ({ data, frames }) => {
      reads.push(frames);
      values.push(...(data as Float32Array));
    },
    onClosed: (error) => {
      closed = error;
    },
  });
  closing.push(connection);
  await connection.opened;
  return { connection, values, reads, closed: () => closed };
}

describe('discovery', () => {
  test('streams appear and vanish while one looks', async () => {
    const seen: string[] = [];
    const resolver = new Resolver(
      { type: 'EEG' },
      {
        ...{ config, intervalS: 0.05, forgetAfterS: 0.3 },
        onAppeared: (info) => seen.push(`+${info.sourceId}`),
        onVanished: (info) => seen.push(`-${info.sourceId}`),
      },
    );
    closing.push(resolver);
    await resolver.start();
    const first = await open({ sourceId: 'a' });
    await until(() => seen.includes('+a'), 'the first appears');
    await open({ sourceId: 'b' });
    await until(() => seen.includes('+b'), 'the second appears');
    first.close();
    await until(() => seen.includes('-a'), 'the first vanishes');
    expect(resolver.streams.map((one) => one.sourceId)).toEqual(['b']);
    expect(seen).toEqual(['+a', '+b', '-a']);
  });

  test('IPv6 alone will do', async () => {
    const forced = loopbackSettings().text.replace('IPv6=disable', 'IPv6=force');
    const six = parseLslConfig(forced.replaceAll('{127.0.0.1}', '{::1}'));
    const shape = { channelCount: 1, format: 'int32', rateHz: 0, type: 'EEG' } as const;
    const outlet = await Outlet.open({ ...shape, name: 'six', sourceId: '6' }, { config: six });
    closing.push(outlet);
    const found = await resolveStreams({}, { config: six, minimum: 1, timeoutMs: 5000 });
    expect(found).toMatchObject([{ name: 'six', v4Address: '', v6Address: '::1' }]);
    const [info] = found;
    expect(info && (await fetchFullInfo(info)).uid).toBe(outlet.info.uid);
  });

  test('another session is another lab', async () => {
    await open();
    const other = { ...config, sessionId: 'other' };
    expect(await resolveStreams({}, { config: other, timeoutMs: 200 })).toEqual([]);
    expect(await resolveStreams({}, { config, timeoutMs: 2000, minimum: 1 })).toHaveLength(1);
  });

  test('devices are listed by the shortest address that finds one only', async () => {
    await open({ sourceId: 'one', name: 'same' });
    await open({ sourceId: 'two', name: 'same' });
    await open({ sourceId: '', name: 'marks', channelCount: 1, format: 'string', rateHz: 0 });
    const all = { channelCount: 1, format: 'int8', rateHz: 10 } as const;
    await open({ ...all, sourceId: 'both', name: 'twin', type: 'A' });
    await open({ ...all, sourceId: 'both', name: 'twin', type: 'B' });
    const listed = await discover({ config, timeoutMs: 500 });
    const addresses = listed.map((one) => one.address.replace(/&host=.*/, ''));
    expect(addresses).toEqual([
      'lsl:marks',
      'lsl:one',
      'lsl:two',
      'lsl:?name=twin&type=A&source_id=both',
      'lsl:?name=twin&type=B&source_id=both',
    ]);
    expect(listed[0]).toMatchObject({ driver: 'lsl', name: 'marks', connected: false });
    expect(listed[0]?.detail).toMatch(/^EEG, 1 channel string, irregular, on /);
  });
});

describe('an outlet', () => {
  test('serves several readers, each with all samples', async () => {
    const outlet = await open();
    const readers = await Promise.all([read(outlet.info), read(outlet.info), read(outlet.info)]);
    await until(() => outlet.consumers.length === 3, 'all three read');
    for (let i = 0; i < 100; i++) outlet.push([i, -i]);
    for (const one of readers) await until(() => one.values.length === 200, 'all samples');
    expect(readers[2]?.values.slice(-2)).toEqual([99, -99]);
    outlet.close();
    for (const one of readers) await until(() => one.closed() !== undefined, 'the end is seen');
  });

  test('a reader that stops reading loses the oldest, counted; the others lose nothing', async () => {
    const outlet = await open({ channelCount: 256 });
    const slow = await read(outlet.info, 500);
    const good = await read(outlet.info, 100_000);
    await until(() => outlet.consumers.length === 2, 'both read');
    slow.connection.pause();
    const values = new Float32Array(256);
    let pushed = 0;
    // The system's socket buffers take some megabytes before the ring fills.
    while (outlet.dropped === 0 && pushed < 100_000) {
      for (let i = 0; i < 500; i++) outlet.push(values.fill(pushed++));
      await until(() => good.values.length === pushed * 256, 'the good reader has all');
    }
    expect(outlet.dropped).toBeGreaterThan(0);
    const [stats] = outlet.consumers;
    expect(stats?.waiting).toBeLessThanOrEqual(500);
    slow.connection.resume();
    outlet.push(values.fill(pushed++));
    await until(() => slow.values.at(-1) === pushed - 1, 'the newest arrives');
    const counts = slow.values.filter((_, i) => i % 256 === 0);
    expect(counts.every((one, i) => i === 0 || one > (counts[i - 1] ?? 0))).toBe(true);
    expect(counts.length + outlet.dropped).toBe(pushed);
    expect(good.values.length).toBe((pushed - 1) * 256 + 256);
  });

  test('samples wait for a flush, or for the chunk length a reader asks for', async () => {
    const outlet = await open();
    const plain = await read(outlet.info);
    const chunked = await read(outlet.info, 1000, 4);
    await until(() => outlet.consumers.length === 2, 'both read');
    for (let i = 0; i < 3; i++) outlet.push([i, i], 1, false);
    outlet.push([3, 3], 1, true);
    await until(() => plain.values.length === 8 && chunked.values.length === 8, 'four samples');
    outlet.push([4, 4], 1, true);
    await until(() => plain.values.length === 10, 'the fifth');
    expect(chunked.values.length).toBe(8);
  });

  test('what is no outlet of LSL 1.10 is refused with a reason', async () => {
    const outlet = await open();
    const stale = read({ ...outlet.info, uid: 'another' });
    await expect(stale).rejects.toMatchObject({ code: 'lost', message: /404 Not found/ });
    const wrong = read({ ...outlet.info, format: 'double64' });
    await expect(wrong).rejects.toMatchObject({ code: 'protocol', message: /Value-Size 4/ });
    await expect(read({ ...outlet.info, v4DataPort: 1 })).rejects.toMatchObject({ code: 'lost' });
  });

  test('hostile and half requests cost nothing and hurt nobody', async () => {
    const outlet = await open();
    const requests = [
      'GET / HTTP/1.1\r\n\r\n',
      'LSL:streamfeed\r\n10 0\r\n',
      'LSL:streamfeed/999 x\r\n\r\n',
      'LSL:shortinfo\r\n((((\r\n',
      'LSL:streamfeed/110\r\n'.padEnd(40_000, 'x'),
      '\0'.repeat(100),
    ];
    const sockets = requests.map((text) => {
      const socket = connect(outlet.info.v4DataPort, '127.0.0.1');
      socket.on('error', () => undefined);
      socket.resume();
      socket.write(text);
      return socket;
    });
    const isOver = (socket: Socket) => socket.destroyed || socket.readableEnded;
    await until(() => sockets.slice(0, 5).every(isOver), 'they are shown the door');
    for (const one of sockets) one.destroy();
    const good = await read(outlet.info);
    await until(() => outlet.consumers.length === 1, 'a good one reads');
    outlet.push([1, 2]);
    await until(() => good.values.length === 2, 'the good one gets its sample');
  });

  test.each([
    [{ name: ' ' }, /a name/],
    [{ channelCount: 1025 }, /up to 1024 channels/],
    [{ channelCount: 1.5 }, /up to 1024 channels/],
    [{ rateHz: Number.NaN }, /a rate of 0 Hz or more/],
  ])('%j is no description', async (some, expected) => {
    await expect(open(some)).rejects.toThrow(expected);
  });

  test('samples of another size are refused', async () => {
    const outlet = await open();
    expect(() => outlet.push([1])).toThrow(/expected 1 x 2 values for "loop", got 1/);
    expect(() => outlet.pushChunk([1, 2, 3])).toThrow(/values for "loop", got 3/);
  });
});

describe('an inlet on a server that is no good', () => {
  async function serve(reply: (socket: Socket) => void): Promise<LslStreamInfo> {
    const server: Server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => reply(socket));
    });
    closing.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    return here({ ...plainInfo, v4DataPort: port });
  }

  const ok = 'LSL/110 200 OK\r\nUID: u-1\r\nByte-Order: 1234\r\nData-Protocol-Version: 110\r\n\r\n';
  test.each<[string, string | Buffer, RegExp]>([
    ['an old protocol', ok.replace('n: 110', 'n: 100'), /protocol 1\.10, got 1\.00: .*too old/],
    ['another uid', ok.replace('u-1', 'u-2'), /expected the outlet u-1, got u-2/],
    ['a strange byte order', ok.replace('1234', '2134'), /byte order 1234 or 4321, got 2134/],
    ['another language', 'HTTP/1.1 200 OK\r\n\r\n', /expected LSL\/110 200 OK, got "HTTP/],
    ['a header without end', 'x'.repeat(20_000), /a header of at most 16384 bytes/],
    ['a wrong pattern', Buffer.concat([Buffer.from(ok), Buffer.alloc(40, 1)]), /test pattern|tag/],
    ['an end', '', /the connection was closed/],
  ])('%s is refused with the reason', async (_, answer, expected) => {
    const info = await serve((socket) => socket.end(answer));
    await expect(read(info)).rejects.toThrow(expected);
  });

  test('10 MB of metadata is cut off', async () => {
    const info = await serve((socket) => socket.end(Buffer.alloc(10_000_000, 0x20)));
    await expect(fetchFullInfo(info)).rejects.toThrow(/at most 262144 bytes/);
  });

  test('one that never answers is left', async () => {
    const info = await serve(() => undefined);
    await expect(fetchFullInfo(info, { timeoutMs: 50 })).rejects.toMatchObject({ code: 'timeout' });
    const connection = new InletConnection(info, {
      ...{ bufferSamples: 1, chunkSamples: 0, timeoutMs: 50 },
      onSamples: () => undefined,
      onClosed: () => undefined,
    });
    await expect(connection.opened).rejects.toMatchObject({ code: 'timeout' });
  });
});
