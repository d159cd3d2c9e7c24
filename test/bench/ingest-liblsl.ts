/**
 * The base line: liblsl through koffi, one worker that polls all inlets every 2 ms and feeds the
 * same signal path. This is the best pattern that was found for FFI: blocking pulls starve libuv's
 * thread pool, and a thread for each inlet costs far more.
 */
import { once } from 'node:events';
import { parentPort, workerData } from 'node:worker_threads';
import type { StreamInfo } from '../../src/core/stream.js';
import { bindLiblsl, findLiblsl, type Handle } from '../support/liblsl-binding.js';
import { Meter, StreamTally } from './ingest-tally.js';

const { streams, channels, rateHz } = workerData as Record<string, string>;
const count = Number(streams);
const width = Number(channels);
const port = parentPort;
if (port === null) throw new Error('this runs as a worker');
port.postMessage('up');
// By now the process is in the folder with the settings.
await once(port, 'message');
const lib = bindLiblsl(findLiblsl() ?? '');

const info: StreamInfo = {
  ...{ id: 'bench', name: 'bench', driver: 'lsl', rateHz: Number(rateHz) },
  channels: Array.from({ length: width }, (_, k) => ({ label: `ch${k}`, kind: 'eeg', unit: 'uV' })),
};
const delaysMs: number[] = [];
const inlets: { handle: Handle; tally: StreamTally; index: number }[] = [];
for (let k = 0; k < count; k++) {
  const found = new BigUint64Array(1);
  if (lib.resolveByProperty(found, 1, 'source_id', `bench-${k}`, 1, 10) < 1)
    throw new Error(`bench-${k} was not found`);
  const handle = lib.createInlet(found[0], 60, 0, 1);
  lib.openStream(handle, 10, new Int32Array(1));
  inlets.push({ handle, tally: new StreamTally(info, delaysMs), index: 0 });
}

const framesMax = 512;
const data = new Float32Array(framesMax * width);
const stamps = new Float64Array(framesMax);
const ec = new Int32Array(1);
let meter: Meter | undefined;

function poll(): void {
  for (const one of inlets) {
    const got = Number(
      lib.pull.f?.(one.handle, data, stamps, data.length, stamps.length, 0, ec) ?? 0,
    );
    const frames = got / width;
    if (frames === 0) continue;
    const chunk = {
      ...{ index: one.index, frames, arrivalS: lib.localClock() },
      data: data.slice(0, got),
      stamps: stamps.slice(0, frames),
    };
    one.index += frames;
    one.tally.take(chunk, meter !== undefined);
  }
}

let pushed: number | undefined;
port.on('message', (order: 'measure' | number) => {
  if (order === 'measure') {
    delaysMs.length = 0;
    meter = new Meter();
  } else pushed = order;
});

const pause = new Int32Array(new SharedArrayBuffer(4));
const tallies = inlets.map((one) => one.tally);

function turn(): void {
  for (let i = 0; i < 50; i++) {
    poll();
    Atomics.wait(pause, 0, 0, 2);
  }
  if (pushed === undefined) setImmediate(turn);
  else finish(pushed);
}

function finish(total: number): void {
  const report = meter?.report(tallies, delaysMs);
  for (let i = 0; i < 1000 && tallies.some((one) => one.next < total); i++) {
    poll();
    Atomics.wait(pause, 0, 0, 2);
  }
  const missing = tallies.reduce((sum, one) => sum + Math.max(0, total - one.next), 0);
  port?.postMessage({ ...report, lost: tallies.reduce((sum, one) => sum + one.lost, missing) });
}

port.postMessage('ready');
turn();
