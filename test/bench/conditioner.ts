/**
 * How many times faster than real time the whole signal path runs on one core: clock, resampling,
 * filters, quality, scale and ring, fed chunks of 20 ms. Alone: `node --import tsx
 * test/bench/conditioner.ts [--json]`.
 */
import { pathToFileURL } from 'node:url';
import { Rng } from '../../src/core/rng.js';
import type { Chunk, StreamInfo } from '../../src/core/stream.js';
import { SignalPath } from '../../src/signal/path.js';

const chunkS = 0.02;
/** Seconds of noise, fed over and over. */
const loopS = 4;

/** Times real time, by channels and rate; the best of three runs each. */
export function benchConditioner() {
  return {
    realtime8x250: best(8, 250, 600),
    realtime32x500: best(32, 500, 120),
    realtime256x2000: best(256, 2000, 12),
  };
}

function best(channels: number, rateHz: number, signalS: number): number {
  const chunks = noiseChunks(channels, rateHz);
  run(channels, rateHz, chunks, signalS / 4);
  const runs = [1, 2, 3].map(() => run(channels, rateHz, chunks, signalS));
  return Math.round(signalS / Math.min(...runs));
}

/** Seconds the path takes for `signalS` seconds of signal. */
function run(channels: number, rateHz: number, chunks: Float32Array[], signalS: number): number {
  const info: StreamInfo = {
    id: 'bench',
    name: 'bench',
    driver: 'bench',
    rateHz,
    channels: Array.from({ length: channels }, (_, c) => {
      return { label: `E${c}`, kind: 'eeg', unit: 'uV', fullScale: 187_500 } as const;
    }),
  };
  const path = new SignalPath(info);
  const frames = chunks[0].length / channels;
  const count = Math.floor((signalS * rateHz) / frames);
  const startNs = process.hrtime.bigint();
  for (let i = 0; i < count; i++) {
    const arrivalS = ((i + 1) * frames) / rateHz;
    const chunk: Chunk = { index: i * frames, frames, data: chunks[i % chunks.length], arrivalS };
    path.push({ kind: 'chunk', chunk });
  }
  return Number(process.hrtime.bigint() - startNs) / 1e9;
}

function noiseChunks(channels: number, rateHz: number): Float32Array[] {
  const rng = new Rng(1);
  const frames = Math.round(chunkS * rateHz);
  return Array.from({ length: loopS / chunkS }, () => {
    return Float32Array.from({ length: frames * channels }, () => 30 * rng.normal());
  });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const figures = benchConditioner();
  if (process.argv.includes('--json')) process.stdout.write(`${JSON.stringify(figures)}\n`);
  else {
    for (const [name, times] of Object.entries(figures)) {
      process.stdout.write(`${name.padEnd(18)} ${times} times real time\n`);
    }
  }
}
