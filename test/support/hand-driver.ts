/** A driver whose events the test makes. */
import { type Observable, Subject } from 'rxjs';
import type { DriverEvent, GapReason, StreamInfo } from '../../src/core/stream.js';

export class HandDriver {
  readonly events = new Subject<DriverEvent>();
  aborted = false;
  /** No electrode is on. */
  flat = false;
  #index = 0;
  readonly info: StreamInfo;

  constructor(id: string, channels = 2) {
    const kind = 'eeg' as const;
    this.info = {
      id,
      name: id,
      driver: 'hand',
      rateHz: 200,
      channels: Array.from({ length: channels }, (_, c) => ({
        label: `C${c + 1}`,
        kind,
        unit: 'uV',
      })),
    };
  }

  open(signal: AbortSignal): Observable<DriverEvent> {
    signal.addEventListener('abort', () => {
      this.aborted = true;
      this.events.complete();
    });
    return this.events;
  }

  begin(): void {
    this.events.next({ kind: 'info', info: this.info });
    this.events.next({ kind: 'status', state: 'streaming' });
  }

  /** So many seconds never arrive. */
  lose(seconds: number, reason: GapReason = 'lost'): void {
    const missing = seconds * 200;
    this.#index += missing;
    this.events.next({ kind: 'gap', missing, reason });
  }

  /** So many seconds of a wave, arriving at `arrivalS`. */
  send(seconds: number, arrivalS: number): void {
    const frames = seconds * 200;
    const channels = this.info.channels.length;
    const data = new Float32Array(frames * channels);
    for (let i = 0; i < data.length; i++)
      data[i] = this.flat
        ? 0
        : 20 * Math.sin((this.#index + Math.floor(i / channels)) / 3 + (i % channels));
    const chunk = { index: this.#index, frames, data, arrivalS };
    this.#index += frames;
    this.events.next({ kind: 'chunk', chunk });
  }
}
