/**
 * Many amplifiers of 8 channels at 250 Hz in real time, cheap enough not to be what is measured:
 * noise made beforehand, one timer for all, each stream at a phase of its own.
 */
import { Observable } from 'rxjs';
import type { Driver } from '../../drivers/driver.js';
import { Rng } from '../../src/core/rng.js';
import type { DriverEvent, StreamInfo } from '../../src/core/stream.js';
import { localClock } from '../../src/core/time.js';

const rateHz = 250;
const chunkFrames = 10;
const labels = ['Fp1', 'Fp2', 'C3', 'C4', 'P7', 'P8', 'O1', 'O2'];
const noiseFrames = 1000;
const chunkS = chunkFrames / rateHz;

const rng = new Rng(1);
const noise = Float32Array.from({ length: noiseFrames * labels.length }, () => 20 * rng.normal());

export class NoiseDriver implements Driver {
  readonly #id: string;
  readonly #phaseS: number;

  /** `phase` 0..1 of a chunk. */
  constructor(id: string, phase: number) {
    this.#id = id;
    this.#phaseS = phase * chunkS;
  }

  open(signal: AbortSignal): Observable<DriverEvent> {
    return new Observable((subscriber) => {
      subscriber.next({ kind: 'info', info: infoOf(this.#id) });
      subscriber.next({ kind: 'status', state: 'streaming' });
      let sent = 0;
      const startS = localClock() + this.#phaseS;
      const stop = every(() => {
        const now = localClock();
        for (; startS + (sent + 1) * chunkS <= now; sent++) {
          const index = sent * chunkFrames;
          const at = (index % noiseFrames) * labels.length;
          const data = noise.subarray(at, at + chunkFrames * labels.length);
          const chunk = { index, frames: chunkFrames, data, arrivalS: localClock() };
          subscriber.next({ kind: 'chunk', chunk });
        }
      });
      const end = () => {
        stop();
        subscriber.complete();
      };
      signal.addEventListener('abort', end, { once: true });
      return stop;
    });
  }
}

const polls = new Set<() => void>();
let timer: NodeJS.Timeout | undefined;

function every(poll: () => void): () => void {
  polls.add(poll);
  timer ??= setInterval(() => {
    for (const each of polls) each();
  }, 4);
  return () => {
    polls.delete(poll);
    if (polls.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}

function infoOf(id: string): StreamInfo {
  const channels = labels.map((label) => ({ label, kind: 'eeg' as const, unit: 'uV' }));
  return { id, name: id, driver: 'noise', rateHz, channels };
}
