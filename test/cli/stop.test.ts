/** F16: SIGTERM while clients listen and a stream is recorded; and a second SIGTERM. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ByteFile } from '../../src/formats/byte-file.js';
import { openRecording } from '../../src/formats/recording.js';
import { readXdf } from '../../src/formats/xdf.js';
import { RawWebSocket } from '../support/raw-websocket.js';
import { serveProcess } from '../support/serve-process.js';
import { TestClient } from '../support/test-client.js';

const clientsCount = 20;

async function call(client: TestClient, id: number, type: string, fields = {}) {
  client.socket.send(JSON.stringify({ id, type, ...fields }));
  const answer = await client.next((m) => m.type === 'result' && m.id === id);
  expect(answer).toMatchObject({ success: true });
  return answer.result as Record<string, unknown>;
}

// Each starts a process from the source, which a busy machine may take long for.
test('SIGTERM: clients told 1001, the recording whole, exit 0', { timeout: 180_000 }, async () => {
  const { child, ended, address, said, recordings } = await serveProcess();
  const clients = Array.from({ length: clientsCount }, () => new TestClient(address));
  await Promise.all(clients.map(({ opened }) => opened));
  const [first] = clients as [TestClient];
  await call(first, 1, 'subscribe', { topics: ['status', 'predictions'] });
  await first.next((m) => (m.event as { state?: string } | undefined)?.state === 'streaming');
  const { id } = await call(first, 2, 'recordings.start', { stream: 'amp', format: 'xdf' });
  for (let i = 0; i < 4; i++)
    await first.next((m) => (m.event as { kind?: string } | undefined)?.kind === 'status');
  const closes = Promise.all(clients.map(({ closed }) => closed));
  child.kill('SIGTERM');
  // The process ends with 1 where it needs more than 5 s.
  expect(await ended, said.log).toEqual([0, null]);
  expect((await closes).map(({ code }) => code)).toEqual(Array(clientsCount).fill(1001));
  const path = join(recordings, String(id));
  const recording = await openRecording(path);
  expect(recording.frames).toBeGreaterThan(250);
  recording.close();
  const file = ByteFile.open(path);
  const [eeg] = readXdf(file).streams.filter(({ type }) => type === 'EEG');
  // Only a stream that was ended in order has its footer.
  expect(eeg?.footer).toBeDefined();
  file.close();
});

test('a second SIGTERM ends at once', { timeout: 180_000 }, async () => {
  const { child, ended, address, said } = await serveProcess();
  // It never answers the close, which is waited for.
  await RawWebSocket.open(Number(new URL(address).port));
  const stopping = new Promise<void>((resolve) => {
    child.stderr?.on('data', () => {
      if (said.log.includes('stopping')) resolve();
    });
  });
  child.kill('SIGTERM');
  await stopping;
  child.kill('SIGTERM');
  expect(await ended).toEqual([1, null]);
  expect(said.log).not.toContain('took too long');
});
