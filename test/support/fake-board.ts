/**
 * What every fake board has: power, a cable, a stream of frames paced by a clock, and faults on
 * request. A family says how a frame is encoded and what it answers.
 */
import type { Rng } from '../../src/core/rng.js';
import type { Clock } from '../../src/core/time.js';

export interface Faults {
  /** Share of frames that never arrive. */
  loss: number;
  /** Share of frames of which one byte is changed. */
  corrupt: number;
  /** Between making a frame and its arrival. */
  latencyMs: number;
  /** After a pause of the process: send all that was made meanwhile, or drop it as a radio does. */
  catchUp: boolean;
}

export abstract class FakeBoard {
  readonly faults: Faults = { loss: 0, corrupt: 0, latencyMs: 0, catchUp: false };
  /** Frames made since the stream began, lost ones too. */
  made = 0;
  /** Frames that were lost on request. */
  dropped = 0;
  streaming = false;
  protected powered = true;
  protected readonly clock: Clock;
  protected readonly rng: Rng;
  #out: ((bytes: Uint8Array) => void) | undefined;
  #startS = 0;
  #cancel: () => void = () => undefined;
  #burst = 0;

  constructor(clock: Clock, rng: Rng) {
    this.clock = clock;
    this.rng = rng;
  }

  abstract readonly framesHz: number;
  /** The frame of sample `n`. */
  protected abstract encode(n: number): Uint8Array;
  /** Bytes from the host. */
  protected abstract hear(bytes: Uint8Array): void;
  /** What a board does when it gets power. */
  protected boot(): void {}

  plug(out: (bytes: Uint8Array) => void): void {
    this.#out = out;
    if (this.powered) this.boot();
  }

  unplug(): void {
    this.#out = undefined;
  }

  power(on: boolean): void {
    this.powered = on;
    this.stop();
    if (on) this.boot();
  }

  receive(bytes: Uint8Array): void {
    this.hear(bytes);
  }

  /** The next `frames` frames are lost. */
  burst(frames: number): void {
    this.#burst = frames;
  }

  protected say(text: string | Uint8Array): void {
    this.#send(typeof text === 'string' ? Buffer.from(text, 'latin1') : text);
  }

  protected start(): void {
    if (this.streaming) return;
    this.streaming = true;
    this.made = 0;
    this.#startS = this.clock.now();
    this.#tick();
  }

  protected stop(): void {
    this.streaming = false;
    this.#cancel();
  }

  #tick(): void {
    const due = Math.floor((this.clock.now() - this.#startS) * this.framesHz);
    const late = due - this.made > this.framesHz / 4;
    if (late && !this.faults.catchUp) {
      this.dropped += due - this.made;
      this.made = due;
    }
    while (this.made < due) this.#frame(this.made++);
    this.#cancel = this.clock.setTimeout(() => this.#tick(), 4);
  }

  #frame(n: number): void {
    const lost = this.#burst > 0 || (this.faults.loss > 0 && this.rng.uniform() < this.faults.loss);
    if (this.#burst > 0) this.#burst--;
    if (lost) {
      this.dropped++;
      return;
    }
    const bytes = this.encode(n);
    if (this.faults.corrupt > 0 && this.rng.uniform() < this.faults.corrupt) {
      const at = this.rng.below(bytes.length);
      bytes[at] = (bytes[at] as number) ^ (1 + this.rng.below(255));
    }
    this.#send(bytes);
  }

  #send(bytes: Uint8Array): void {
    const { latencyMs } = this.faults;
    if (latencyMs === 0) this.#out?.(bytes);
    else this.clock.setTimeout(() => this.#out?.(bytes), latencyMs);
  }
}

/** 24-bit big-endian. */
export function putInt24(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = (value >> 16) & 255;
  bytes[at + 1] = (value >> 8) & 255;
  bytes[at + 2] = value & 255;
}

export function putInt16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = (value >> 8) & 255;
  bytes[at + 1] = value & 255;
}
