/** An amplifier on virtual time with faults: loss, bursts, cable pulled, power off, nonsense. */
import { type Observable, Subject } from 'rxjs';
import { EegError } from '../../src/core/errors.js';
import type { Rng } from '../../src/core/rng.js';
import type { DriverEvent, StreamInfo } from '../../src/core/stream.js';
import type { Clock } from '../../src/core/time.js';

const rates = [100, 200, 250];

export class SimulatedAmplifier {
  readonly info: StreamInfo;
  #events = new Subject<DriverEvent>();
  readonly #rng: Rng;
  readonly #clock: Clock;
  #index = 0;
  #sentS = 0;
  #away = false;
  /** Electrodes are off. */
  flat = false;
  /** Share of chunks that are lost. */
  loss = 0;
  #stop = () => {};

  constructor(id: string, rng: Rng, clock: Clock) {
    this.#rng = rng;
    this.#clock = clock;
    const channels = Array.from({ length: 1 + rng.below(2) }, (_, c) => ({
      ...{ label: `C${c + 3}`, kind: 'eeg' as const, unit: 'uV' },
    }));
    const rateHz = rates[rng.below(rates.length)] as number;
    this.info = { id, name: id, driver: 'simulated', rateHz, channels };
  }

  /** Powered on again: a driver is opened once. */
  open(signal: AbortSignal): Observable<DriverEvent> {
    this.#stop();
    const events = new Subject<DriverEvent>();
    this.#events = events;
    this.#index = 0;
    this.#away = false;
    const later = this.#clock.setTimeout(() => this.#begin(), 50 + this.#rng.below(500));
    signal.addEventListener('abort', () => {
      later();
      this.#stop();
      events.complete();
    });
    return events;
  }

  /** Gone for some seconds, then back by itself. */
  pull(seconds: number): void {
    if (this.#away) return;
    this.#away = true;
    this.#events.next({ kind: 'status', state: 'lost', detail: 'the cable was pulled' });
    const events = this.#events;
    this.#clock.setTimeout(() => {
      if (this.#events !== events || !this.#away) return;
      this.#away = false;
      this.#events.next({ kind: 'info', info: this.info });
      this.#skip('disconnect');
      this.#events.next({ kind: 'status', state: 'streaming' });
    }, seconds * 1000);
  }

  /** Nothing more comes of this connection. */
  end(): void {
    this.#stop();
    this.#events.next({ kind: 'status', state: 'ended' });
    this.#events.complete();
  }

  fail(): void {
    this.#stop();
    this.#events.error(new EegError('EEG_DEVICE_PROTOCOL', 'expected frames, got nonsense'));
  }

  #begin(): void {
    this.#sentS = this.#clock.now();
    this.#events.next({ kind: 'info', info: this.info });
    this.#events.next({ kind: 'status', state: 'streaming' });
    this.#next();
  }

  #next(): void {
    // Mostly regular; now and then the operating system holds chunks back and they come at once.
    const ms = this.#rng.below(40) === 0 ? 300 + this.#rng.below(1500) : 150 + this.#rng.below(100);
    this.#stop = this.#clock.setTimeout(() => {
      this.#next();
      if (!this.#away) this.#send();
    }, ms);
  }

  #due(): number {
    const frames = Math.floor((this.#clock.now() - this.#sentS) * this.info.rateHz);
    this.#sentS += frames / this.info.rateHz;
    return frames;
  }

  #skip(reason: 'lost' | 'disconnect'): void {
    const missing = this.#due();
    if (missing === 0) return;
    this.#index += missing;
    this.#events.next({ kind: 'gap', missing, reason });
  }

  #send(): void {
    if (this.#rng.uniform() < this.loss) {
      this.#skip('lost');
      return;
    }
    const frames = this.#due();
    if (frames === 0) return;
    const channels = this.info.channels.length;
    const data = new Float32Array(frames * channels);
    if (!this.flat)
      for (let i = 0; i < data.length; i++)
        data[i] = 20 * Math.sin((this.#index + Math.floor(i / channels)) / 3 + (i % channels));
    const chunk = { index: this.#index, frames, data, arrivalS: this.#clock.now() };
    this.#index += frames;
    this.#events.next({ kind: 'chunk', chunk });
  }
}
