/**
 * WebSocket clients in a thread of their own, so that reading does not stand in the daemon's way.
 * Client c reads the predictions of the streams it is given; notes when each window came.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { WebSocket } from 'ws';
import { localClock } from '../../src/core/time.js';

export interface ClientsStart {
  readonly url: string;
  /** Streams of each client. */
  readonly streams: readonly (readonly string[])[];
}

export interface Received {
  readonly key: string;
  readonly receivedS: number;
}

const { url, streams } = workerData as ClientsStart;
let received: Received[] = [];
let open = 0;

for (const [i, own] of streams.entries()) {
  // So many clients of one address the server takes.
  const localAddress = `127.0.0.${1 + Math.floor(i / 32)}`;
  const socket = new WebSocket(url, ['eegd.v1'], { localAddress });
  socket.on('open', () => {
    socket.send(
      JSON.stringify({ id: 1, type: 'subscribe', topics: ['predictions'], streams: own }),
    );
  });
  socket.on('message', (text: Buffer) => {
    const receivedS = localClock();
    const message = JSON.parse(text.toString());
    if (message.type === 'result' && ++open === streams.length) parentPort?.postMessage('ready');
    if (message.type !== 'event' || message.event.kind === undefined) return;
    const { stream, task, seq } = message.event;
    received.push({ key: `${stream} ${task} ${seq}`, receivedS });
  });
}

parentPort?.on('message', (order: 'take' | 'stop') => {
  if (order === 'stop') process.exit(0);
  parentPort?.postMessage(received);
  received = [];
});
