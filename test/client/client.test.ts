/** The typed client against a real server: answers, events, signal, reconnects, tokens. */
import { afterEach, expect, test } from 'vitest';
import { Client, CommandError, type ConnectionState } from '../../src/client/client.js';
import { silentLogger } from '../../src/core/log.js';
import { startServer } from '../../src/server/server.js';
import { fakePrediction, fakeSignal } from '../support/fake-daemon.js';
import { type TestServer, testServer, tokenFile } from '../support/test-client.js';

let host: TestServer;
const clients: Client[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await host.server.close();
});

function connect(options: ConstructorParameters<typeof Client>[1] = {}): Client {
  const client = new Client(`${host.server.address.replace('http', 'ws')}/ws`, options);
  clients.push(client);
  return client;
}

/** A callback and the promise of what it will be called with. */
function awaited<T>(fits: (value: T) => boolean = () => true) {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((done) => {
    resolve = done;
  });
  return { promise, take: (value: T) => fits(value) && resolve(value) };
}

test('answers are typed results; a refusal rejects with its code and hint', async () => {
  host = await testServer();
  const client = connect();
  expect((await client.open()).server).toBe('eegd/0.0.0-test');
  const { devices } = await client.call('devices.list');
  expect(devices[0]?.address).toBe('lsl:openbci_1');
  const refused = client.call('checkpoints.load', { checkpoint: 'none@1' });
  await expect(refused).rejects.toBeInstanceOf(CommandError);
  await expect(refused).rejects.toMatchObject({
    code: 'EEG_MODEL_NOT_FOUND',
    hint: 'list checkpoints with eegd checkpoints list',
  });
});

test('a recording is started, and stopped by its id', async () => {
  host = await testServer();
  const client = connect();
  await client.open();
  const { id } = await client.call('recordings.start', { stream: 's1', format: 'xdf' });
  expect(await client.call('recordings.stop', { recording: id })).toMatchObject({ id });
  await expect(client.call('recordings.stop', { recording: 'none' })).rejects.toMatchObject({
    code: 'EEG_STREAM_UNKNOWN',
  });
});

test('subscribing gives a snapshot, events, and signal with its stream', async () => {
  host = await testServer();
  const snapshot = awaited<unknown>();
  const signal = awaited<{ kind: string }>(({ kind }) => kind === 'signal');
  const prediction = awaited<{ kind: string }>(({ kind }) => kind === 'prediction');
  const client = connect({
    onSnapshot: snapshot.take,
    onEvent: (event) => {
      signal.take(event);
      prediction.take(event);
    },
  });
  await client.open();
  const end = await client.subscribe({ topics: ['predictions', 'signal'] });
  expect(await snapshot.promise).toMatchObject({ checkpoint: 'base@1' });
  host.daemon.emit(fakePrediction({ seq: 3 }));
  host.daemon.emit(fakeSignal({ index: 77 }));
  expect(await prediction.promise).toEqual(fakePrediction({ seq: 3 }));
  expect(await signal.promise).toMatchObject({ stream: 's1', index: 77, channels: 3 });
  await end();
});

test('it reconnects, says so, and subscribes again; what was under way rejects', async () => {
  host = await testServer();
  const states: ConnectionState[] = [];
  const lost = awaited<ConnectionState>(({ state }) => state === 'closed');
  let snapshots = 0;
  const back = awaited<number>((count) => count === 2);
  const event = awaited<unknown>();
  const client = connect({
    onState: (state) => {
      states.push(state);
      lost.take(state);
    },
    onSnapshot: () => back.take(++snapshots),
    onEvent: event.take,
  });
  await client.open();
  await client.subscribe({ topics: ['predictions'] });
  const { daemon } = host;
  const { port } = host.server;
  daemon.activate = () => new Promise(() => {});
  const underWay = client.call('checkpoints.activate', { checkpoint: 'base@2' });
  const broken = expect(underWay).rejects.toThrow('closed: 1001');
  await host.server.close();
  expect(await lost.promise).toMatchObject({ code: 1001, retryMs: expect.any(Number) });
  await broken;
  await expect(client.call('ping')).rejects.toThrow('not connected');
  host = { ...host, server: await startServer(daemon, { port }, silentLogger) };
  await back.promise;
  daemon.emit(fakePrediction({ seq: 9 }));
  expect(await event.promise).toMatchObject({ seq: 9 });
  expect(states.map(({ state }) => state).slice(0, 4)).toEqual([
    'connecting',
    'open',
    'closed',
    'connecting',
  ]);
});

test('a token is sent first; a wrong one is final', async () => {
  host = await testServer({ tokenFile: tokenFile('read 0123456789abcdef\n') });
  const good = connect({ token: '0123456789abcdef' });
  await good.open();
  expect((await good.call('snapshot')).checkpoint).toBe('base@1');
  await expect(good.call('checkpoints.rollback')).rejects.toMatchObject({
    code: 'EEG_WS_FORBIDDEN',
  });
  const closed = awaited<ConnectionState>(({ state }) => state === 'closed');
  const wrong = connect({ token: 'wrong-wrong-wrong', onState: closed.take });
  await expect(wrong.open()).rejects.toMatchObject({ code: 'EEG_WS_UNAUTHENTICATED' });
  expect(await closed.promise).toMatchObject({ code: 4401, retryMs: undefined });
  await expect(connect().open()).rejects.toThrow('asks for a token');
});

test('where nobody listens, open rejects', async () => {
  host = await testServer();
  const client = new Client('ws://127.0.0.1:9/ws');
  await expect(client.open()).rejects.toThrow('ws://127.0.0.1:9/ws');
});
