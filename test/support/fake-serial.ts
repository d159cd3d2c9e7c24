/** A world without hardware: ports are names, boards hang on them, time stands still. */
import type { Subscription } from 'rxjs';
import type { Driver } from '../../drivers/driver.js';
import type { OpenPort, PortHandlers } from '../../drivers/serial/port.js';
import type { SerialWorld } from '../../drivers/serial/session.js';
import { EegError, toEegError } from '../../src/core/errors.js';
import { Rng } from '../../src/core/rng.js';
import type { Chunk, DriverEvent } from '../../src/core/stream.js';
import type { FakeBoard } from './fake-board.js';
import { FakeClock } from './fake-clock.js';

export class FakeWorld implements SerialWorld {
  readonly clock = new FakeClock();
  readonly rng = new Rng(7);
  /** Thrown by the next openings. */
  refusal: EegError | undefined;
  opened = 0;
  /** Port is open now. */
  held = new Map<string, PortHandlers>();
  readonly #boards = new Map<string, FakeBoard>();

  plug(path: string, board: FakeBoard): void {
    this.#boards.set(path, board);
  }

  /** Pull the cable. */
  unplug(path: string): void {
    this.#boards.get(path)?.unplug();
    this.#boards.delete(path);
    const handlers = this.held.get(path);
    this.held.delete(path);
    handlers?.closed(new EegError('EEG_DEVICE_UNAVAILABLE', `${path} was disconnected`));
  }

  readonly exists = async (path: string): Promise<boolean> => this.#boards.has(path);

  readonly random = (): number => this.rng.uniform();

  readonly open: OpenPort = async (path, _baudRate, handlers) => {
    this.opened++;
    if (this.refusal !== undefined) throw this.refusal;
    const board = this.#boards.get(path);
    if (board === undefined) {
      throw new EegError('EEG_DEVICE_UNAVAILABLE', `there is no port ${path}`);
    }
    this.held.set(path, handlers);
    board.plug((bytes) => handlers.bytes(bytes));
    return {
      path,
      write: async (bytes) => {
        if (this.held.get(path) === handlers) board.receive(bytes);
      },
      setBaudRate: async () => undefined,
      close: async () => {
        if (this.held.get(path) !== handlers) return;
        this.held.delete(path);
        board.unplug();
      },
    };
  };
}

/** Subscribes and keeps what came; holds the rules that every stream must obey. */
export class Listener {
  readonly events: DriverEvent[] = [];
  error: EegError | undefined;
  complete = false;
  readonly stop = new AbortController();
  readonly #subscription: Subscription;

  constructor(driver: Driver) {
    let next = -1;
    this.#subscription = driver.open(this.stop.signal).subscribe({
      next: (event) => {
        this.events.push(event);
        if (event.kind === 'gap') next += event.missing;
        if (event.kind !== 'chunk') return;
        if (next >= 0 && event.chunk.index !== next) {
          this.error ??= toEegError(new Error(`chunk ${event.chunk.index}, expected ${next}`));
        }
        next = event.chunk.index + event.chunk.frames;
      },
      error: (error) => {
        this.error = toEegError(error);
      },
      complete: () => {
        this.complete = true;
      },
    });
  }

  get chunks(): Chunk[] {
    return this.events.flatMap((event) => (event.kind === 'chunk' ? [event.chunk] : []));
  }

  get rows(): number {
    return this.chunks.reduce((sum, chunk) => sum + chunk.frames, 0);
  }

  get missing(): number {
    return this.gaps.reduce((sum, gap) => sum + gap.missing, 0);
  }

  get gaps(): Extract<DriverEvent, { kind: 'gap' }>[] {
    return this.events.flatMap((event) => (event.kind === 'gap' ? [event] : []));
  }

  get discarded(): number {
    let bytes = 0;
    for (const event of this.events) if (event.kind === 'discarded') bytes += event.bytes;
    return bytes;
  }

  get states(): string[] {
    return this.events.flatMap((event) => (event.kind === 'status' ? [event.state] : []));
  }

  get details(): string[] {
    return this.events.flatMap((event) =>
      event.kind === 'status' && event.detail !== undefined ? [event.detail] : [],
    );
  }

  /** Column of a channel over all chunks, NaN for lost rows. */
  column(channel: number): number[] {
    const values: number[] = [];
    for (const chunk of this.chunks) {
      const width = chunk.data.length / chunk.frames;
      for (let i = 0; i < chunk.frames; i++) {
        values[chunk.index + i] = chunk.data[i * width + channel] as number;
      }
    }
    return Array.from(values, (value) => value ?? Number.NaN);
  }

  close(): void {
    this.#subscription.unsubscribe();
  }
}
