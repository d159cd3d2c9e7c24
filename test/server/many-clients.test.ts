/** L4, its bound: as many clients as there may be, from as many addresses as that takes. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { limits } from '../../src/server/limits.js';
import { fakePrediction } from '../support/fake-daemon.js';
import { type TestServer, testServer } from '../support/test-client.js';

let host: TestServer;
beforeEach(async () => {
  host = await testServer();
});
afterEach(() => host.server.close());

/** Resolves with the socket, or with the status it was refused with. */
function connect(i: number): Promise<WebSocket | number> {
  const localAddress = `127.0.0.${2 + Math.floor(i / limits.clientsPerIpMax)}`;
  const socket = new WebSocket(`${host.server.address.replace('http', 'ws')}/ws`, { localAddress });
  return new Promise((resolve, reject) => {
    socket.once('open', () => resolve(socket));
    socket.once('unexpected-response', (_, { statusCode }) => resolve(statusCode ?? 0));
    socket.once('error', reject);
  });
}

test('500 clients are served alike, and the next one is refused with 503', async () => {
  const clients: WebSocket[] = [];
  for (let i = 0; i < limits.clientsMax; i++) {
    const client = await connect(i);
    if (typeof client === 'number') throw new Error(`client ${i} was refused with ${client}`);
    clients.push(client);
  }
  expect(await connect(limits.clientsMax)).toBe(503);
  const count = 20;
  const got = clients.map((client) => {
    const seqs: number[] = [];
    return new Promise<number[]>((resolve) => {
      client.on('message', (text: Buffer) => {
        const { type, event } = JSON.parse(text.toString());
        if (type !== 'event') return;
        if (seqs.push(event.seq) === count) resolve(seqs);
      });
    });
  });
  const subscribed = clients.map(
    (client) =>
      new Promise((resolve) => {
        client.on('message', (text: Buffer) => JSON.parse(text.toString()).id === 1 && resolve(1));
        client.send('{"id": 1, "type": "subscribe", "topics": ["predictions"]}');
      }),
  );
  await Promise.all(subscribed);
  for (let seq = 0; seq < count; seq++) host.daemon.emit(fakePrediction({ seq }));
  const expected = Array.from({ length: count }, (_, seq) => seq);
  for (const seqs of await Promise.all(got)) expect(seqs).toEqual(expected);
  for (const client of clients) client.terminate();
});
