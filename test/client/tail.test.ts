/** `eegd tail` against a real server. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { eventLine, tail } from '../../src/cli/tail.js';
import { fakePrediction } from '../support/fake-daemon.js';
import { type TestServer, testServer, tokenFile } from '../support/test-client.js';

let host: TestServer;
beforeEach(async () => {
  host = await testServer();
});
afterEach(() => host.server.close());

function sink() {
  const lines: string[] = [];
  const waiting: (() => void)[] = [];
  const write = (text: string) => {
    lines.push(text);
    for (const wake of waiting.splice(0)) wake();
  };
  const next = () => new Promise<void>((resolve) => waiting.push(resolve));
  return { lines, write, next };
}

const url = () => `${host.server.address.replace('http', 'ws')}/ws`;

/** Emits once the client has subscribed: the server counts what it sent. */
async function emitUntil(done: Promise<void>): Promise<void> {
  const timer = setInterval(() => host.daemon.emit(fakePrediction({ seq: 5 })), 10);
  await done.finally(() => clearInterval(timer));
}

test('JSON lines carry the events as they are', async () => {
  const out = sink();
  const err = sink();
  const options = { url: url(), json: true, count: 1, task: ['motor_imagery'] };
  await emitUntil(tail(options, new AbortController().signal, out, err));
  expect(out.lines.map((line) => JSON.parse(line))).toEqual([fakePrediction({ seq: 5 })]);
  expect(err.lines.join('')).toContain('eegd/0.0.0-test');
});

test('an abort ends it; a lost daemon is told', async () => {
  const abort = new AbortController();
  const err = sink();
  const done = tail({ url: url() }, abort.signal, sink(), err);
  await err.next();
  const told = err.next();
  await host.server.close();
  await told;
  expect(err.lines.at(-1)).toContain('connection lost (1001)');
  abort.abort();
  await done;
});

test('no daemon, or no token: one typed error', async () => {
  const nobody = tail({ url: 'ws://127.0.0.1:9/ws' }, new AbortController().signal, sink(), sink());
  await expect(nobody).rejects.toMatchObject({ code: 'EEG_DEVICE_UNAVAILABLE', exitCode: 69 });
  await host.server.close();
  host = await testServer({ tokenFile: tokenFile('0123456789abcdef\n') });
  const noToken = tail({ url: url() }, new AbortController().signal, sink(), sink());
  await expect(noToken).rejects.toMatchObject({ code: 'EEG_WS_UNAUTHENTICATED', exitCode: 77 });
});

test('untrained weights and missing predictions are seen in the line', () => {
  expect(eventLine(fakePrediction({ trained: false }))).toMatch(
    /left +60 % {2}7\.0 ms {2}UNTRAINED/,
  );
  const { probabilities, smoothed, label, checkpoint, trained, latency, ...window } =
    fakePrediction();
  const none = { ...window, kind: 'no_prediction', reason: 'gap', detail: '1.2 s lost' } as const;
  expect(eventLine(none)).toContain('- (gap: 1.2 s lost)');
});
