/** The protocol as a client sees it: hello, results, snapshot then deltas, signal, errors. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { EegError } from '../../src/core/errors.js';
import { commands, serverMessage } from '../../src/server/protocol.js';
import { decodeSignal } from '../../src/server/signal-frame.js';
import { fakePrediction, fakeSignal, fakeStatus } from '../support/fake-daemon.js';
import { type TestClient, type TestServer, testServer } from '../support/test-client.js';

let host: TestServer;
let client: TestClient;
const isEvent = (message: Record<string, unknown>) => message.type === 'event';

beforeEach(async () => {
  host = await testServer();
  client = await host.connect();
});
afterEach(() => host.server.close());

describe('hello', () => {
  test('names versions, features and what this client may do', async () => {
    expect(await client.hello()).toEqual({
      type: 'hello',
      protocol: 1,
      versionMin: 1,
      versionMax: 1,
      server: 'eegd/0.0.0-test',
      features: expect.arrayContaining(['predictions', 'signal']),
      authRequired: false,
      scopes: ['read', 'operate', 'train'],
    });
  });
});

describe('subscribe', () => {
  test('answers a snapshot, then what matches topic, stream and task', async () => {
    host.daemon.emit(fakeStatus());
    host.daemon.emit(fakePrediction({ seq: 41 }));
    const answer = await client.call('subscribe', {
      topics: ['predictions', 'status'],
      streams: ['s1'],
      tasks: ['motor_imagery'],
    });
    expect(answer).toMatchObject({
      success: true,
      result: {
        subscription: 1,
        snapshot: {
          checkpoint: 'base@1',
          streams: [{ stream: 's1' }],
          latest: [{ kind: 'prediction', seq: 41 }],
        },
      },
    });
    host.daemon.emit(fakePrediction({ stream: 's2', seq: 1 }));
    host.daemon.emit(fakePrediction({ task: 'sleep', seq: 2 }));
    host.daemon.emit({ kind: 'marker', stream: 's1', stampS: 1, text: 'not asked' });
    host.daemon.emit(fakePrediction({ seq: 42 }));
    host.daemon.emit(fakeStatus({ samples: 2000 }));
    expect(await client.next(isEvent)).toEqual({
      type: 'event',
      topic: 'predictions',
      event: fakePrediction({ seq: 42 }),
    });
    expect(await client.next(isEvent)).toMatchObject({ topic: 'status', event: { samples: 2000 } });
    expect(client.messages.filter(isEvent)).toEqual([]);
  });

  test('two subscriptions that match send an event once; unsubscribe ends one', async () => {
    await client.call('subscribe', { topics: ['predictions'] });
    await client.call('subscribe', { topics: ['predictions'], streams: ['s1'] });
    host.daemon.emit(fakePrediction({ seq: 7 }));
    await client.next(isEvent);
    await client.call('unsubscribe', { subscription: 1 });
    host.daemon.emit(fakePrediction({ stream: 's2' }));
    host.daemon.emit(fakePrediction({ seq: 8 }));
    expect(await client.next(isEvent)).toMatchObject({ event: { stream: 's1', seq: 8 } });
    await client.call('ping');
    expect(client.messages.filter(isEvent)).toEqual([]);
    expect(await client.call('unsubscribe', { subscription: 1 })).toMatchObject({ success: false });
  });

  test('at most 64 subscriptions', async () => {
    for (let i = 0; i < 64; i++)
      expect(await client.call('subscribe', { topics: ['markers'] })).toMatchObject({
        success: true,
      });
    expect(await client.call('subscribe', { topics: ['markers'] })).toMatchObject({
      error: { code: 'EEG_WS_LIMIT', retryable: true },
    });
  });
});

describe('signal', () => {
  test('a stream message tells the handle, then frames of 32 bytes and float32', async () => {
    await client.call('subscribe', { topics: ['signal'] });
    const block = fakeSignal({ index: 2 ** 40, stampS: 12.5 });
    block.data[3] = Number.NaN;
    host.daemon.emit(block);
    host.daemon.emit(fakeSignal({ index: 2 ** 40 + 10 }));
    const { handle } = await client.next(({ type }) => type === 'stream');
    const bytes = await client.frame();
    expect(bytes.length).toBe(32 + 3 * 10 * 4);
    const frame = decodeSignal(new Uint8Array(bytes).buffer);
    expect(frame).toMatchObject({
      handle,
      index: 2 ** 40,
      stampS: 12.5,
      channels: 3,
      samples: 10,
    });
    expect([...frame.data]).toEqual([...block.data]);
    await client.frame();
    expect(client.messages.filter(({ type }) => type === 'stream')).toEqual([]);
  });
});

test('a prediction that is not finite leaves as no_prediction, never as null', async () => {
  await client.call('subscribe', { topics: ['predictions'] });
  const probabilities = { left: Number.NaN, right: 0.5, feet: 0.3, rest: 0.2 };
  host.daemon.emit(fakePrediction({ probabilities }));
  const message = await client.next(isEvent);
  expect(message).toMatchObject({
    event: { kind: 'no_prediction', reason: 'engine_failed', seq: 0, endSample: 800 },
  });
  expect(JSON.stringify(message)).not.toContain('null');
  expect(serverMessage.safeParse(message).success).toBe(true);
});

test('history gives earlier predictions with their events', async () => {
  for (let seq = 0; seq < 5; seq++) host.daemon.emit(fakePrediction({ seq, windowEndS: seq }));
  host.daemon.emit({ kind: 'marker', stream: 's1', stampS: 2, text: 'cue' });
  expect(await client.call('history', { stream: 's1', task: 'motor_imagery', limit: 2 })).toEqual({
    id: 1,
    type: 'result',
    success: true,
    result: {
      classes: ['left', 'right', 'feet', 'rest'],
      points: [
        [3, 'left', [0.6, 0.2, 0.1, 0.1]],
        [4, 'left', [0.6, 0.2, 0.1, 0.1]],
      ],
      events: [{ kind: 'marker', stream: 's1', stampS: 2, text: 'cue' }],
    },
  });
});

describe('commands', () => {
  const cases: [string, Record<string, unknown>, string, unknown[]][] = [
    ['devices.list', {}, 'devices', []],
    ['devices.connect', { address: 'lsl:openbci_1' }, 'connect', ['lsl:openbci_1']],
    ['devices.disconnect', { stream: 'openbci_1' }, 'disconnect', ['openbci_1']],
    ['checkpoints.load', { checkpoint: 'base@2' }, 'load', ['base@2', {}]],
    [
      'checkpoints.load',
      { checkpoint: 'base@2', shadowS: 60 },
      'load',
      ['base@2', { shadowS: 60 }],
    ],
    ['checkpoints.activate', { checkpoint: 'base@2' }, 'activate', ['base@2']],
    [
      'checkpoints.activate',
      { checkpoint: 'base@1+fists@2+Anna@1' },
      'activate',
      ['base@1+fists@2+Anna@1'],
    ],
    ['recordings.start', { stream: 's1' }, 'startRecording', ['s1', 'xdf']],
    ['adapt.label', { args: { label: 'fist' } }, 'adapt', ['label', { label: 'fist' }]],
  ];
  test.each(cases)('%s %o reaches the daemon', async (type, fields, name, args) => {
    const answer = await client.call(type, fields);
    expect(answer).toMatchObject({ success: true });
    expect(host.daemon.calls).toEqual([{ name, args }]);
    const schema = commands[type as keyof typeof commands].result;
    expect(schema.safeParse(answer.result).error).toBeUndefined();
  });

  test('load, activate and roll back, as subscribers see it', async () => {
    await client.call('subscribe', { topics: ['checkpoints'] });
    await client.call('checkpoints.load', { checkpoint: 'base@2' });
    await client.call('checkpoints.activate', { checkpoint: 'base@2' });
    await client.call('checkpoints.rollback');
    const phases = client.messages.filter(isEvent).map(({ event }) => event);
    expect(phases).toMatchObject([
      { phase: 'verified', checkpoint: 'base@2' },
      { phase: 'active', checkpoint: 'base@2', previous: 'base@1' },
      { phase: 'rolled_back', checkpoint: 'base@1' },
    ]);
  });

  test('what the daemon refuses comes back with code, message and hint', async () => {
    expect(await client.call('checkpoints.load', { checkpoint: 'none@1' })).toEqual({
      id: 1,
      type: 'result',
      success: false,
      error: {
        code: 'EEG_MODEL_NOT_FOUND',
        message: 'no checkpoint none@1',
        hint: 'list checkpoints with eegd checkpoints list',
        retryable: false,
      },
    });
    host.daemon.failure = new EegError('EEG_DEVICE_BUSY', 'held by another', { hint: 'close it' });
    expect(await client.call('devices.list')).toMatchObject({
      error: { code: 'EEG_DEVICE_BUSY', hint: 'close it', retryable: true },
    });
  });

  test('a defect is told as one, without its inside', async () => {
    host.daemon.failure = new TypeError('secret /home/name');
    const answer = await client.call('devices.list');
    expect(answer).toMatchObject({ success: false, error: { code: 'EEG_INTERNAL' } });
    expect(JSON.stringify(answer)).not.toContain('secret');
  });
});

test('every message the server sends fits its schema', async () => {
  host.daemon.emit(fakeStatus());
  const topics = ['predictions', 'status', 'signal', 'engine', 'checkpoints', 'quality'];
  const messages = [await client.hello(), await client.call('subscribe', { topics })];
  host.daemon.emit(fakePrediction());
  host.daemon.emit(fakeSignal());
  host.daemon.emit(fakeStatus({ rateHz: Number.NaN }));
  const rmsUv = Number.NaN;
  host.daemon.emit({
    kind: 'quality',
    stream: 's1',
    stampS: 1,
    channels: [{ label: 'Cz', state: 'gap', rmsUv, mainsRatio: 0 }],
  });
  await client.call('checkpoints.activate', { checkpoint: 'base@2' });
  client.send('{');
  await client.next(({ type }) => type === 'error').then((message) => messages.push(message));
  messages.push(...client.messages);
  expect(messages.length).toBeGreaterThan(7);
  for (const message of messages)
    expect(serverMessage.safeParse(message).error, JSON.stringify(message)).toBeUndefined();
});

test.each(['base@1+../fists@1', 'base@1+fists', 'base@1+', 'base@1+a/b@1', '../base@1'])(
  'no checkpoint is named %s',
  (checkpoint) => {
    const schema = commands['checkpoints.activate'].input.checkpoint;
    expect(schema.safeParse('base@1+fists@2').success).toBe(true);
    expect(schema.safeParse(checkpoint).success).toBe(false);
  },
);
