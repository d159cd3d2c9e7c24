/**
 * Bytes to rows while a board streams. After a silence it cannot be known at once whether samples
 * were lost or are only late: the bytes are held for a moment, until a backlog would be in, and
 * what is then still missing by the host's monotonic clock is lost. The wall clock is never asked.
 */
import { EegError } from '../../src/core/errors.js';
import type { DriverEvent } from '../../src/core/stream.js';
import type { Clock } from '../../src/core/time.js';
import { type Frame, FrameReader } from './frame-reader.js';
import type { Rows } from './rows.js';
import type { Decoder } from './session.js';

/** A backlog of seconds reaches us within this, at any baud rate. */
const settleMs = 100;
/** Without a counter, a silence longer than this is looked at. */
const silenceS = 0.25;
const heldBytesMax = 1 << 18;

export interface IntakeOptions {
  readonly decoder: Decoder;
  readonly rows: Rows;
  readonly clock: Clock;
  readonly emit: (event: DriverEvent) => void;
  readonly signal: AbortSignal;
  readonly path: string;
  readonly silenceMsMax: number;
  /** The first rows are in. */
  streaming(): void;
  failed(error: EegError): void;
}

export class Intake {
  readonly #options: IntakeOptions;
  readonly #reader: FrameReader;
  readonly #ambiguousS: number;
  readonly #beganS: number;
  #held: Uint8Array[] | undefined;
  #heldLength = 0;
  #lastBytesS: number;
  #lastFrameS: number;
  #discarded = 0;
  #first = true;
  #ended = false;
  #cancelHold: () => void = () => undefined;
  #cancelWatch: () => void = () => undefined;

  constructor(options: IntakeOptions) {
    this.#options = options;
    const { modulo } = options.decoder.format;
    const { framesHz } = options.decoder;
    this.#ambiguousS = modulo === 0 ? silenceS : modulo / framesHz / 2;
    this.#beganS = options.clock.now();
    this.#lastBytesS = this.#beganS;
    this.#lastFrameS = this.#beganS;
    this.#reader = new FrameReader(options.decoder.format, (frame) => this.#frame(frame));
    this.#watch();
  }

  receive(bytes: Uint8Array): void {
    if (this.#ended || bytes.length === 0) return;
    const now = this.#options.clock.now();
    this.#lastBytesS = now;
    if (this.#held !== undefined) this.#hold(bytes);
    else if (!this.#first && now - this.#lastFrameS > this.#ambiguousS) {
      this.#held = [];
      this.#hold(bytes);
      this.#cancelHold = this.#options.clock.setTimeout(() => this.#release(), settleMs);
    } else this.#read(bytes, now);
  }

  end(): void {
    if (this.#ended) return;
    this.#release();
    this.#ended = true;
    this.#cancelHold();
    this.#cancelWatch();
  }

  #hold(bytes: Uint8Array): void {
    this.#held?.push(new Uint8Array(bytes));
    this.#heldLength += bytes.length;
    if (this.#heldLength > heldBytesMax) this.#release();
  }

  #release(): void {
    const held = this.#held;
    if (held === undefined) return;
    this.#cancelHold();
    this.#held = undefined;
    const now = this.#options.clock.now();
    const { framesHz, format } = this.#options.decoder;
    const received = (this.#heldLength + this.#reader.pending) / this.#frameBytes;
    this.#heldLength = 0;
    // Up to the last bytes read, not to now: a late timer comes before what waits in the kernel.
    const missing = Math.round((this.#lastBytesS - this.#lastFrameS) * framesHz - received);
    // Without a counter a few frames are within the jitter of arrival.
    if (format.modulo > 0 || missing > silenceS * framesHz) this.#reader.expectMissing(missing);
    for (const bytes of held) this.#read(bytes, now);
  }

  #read(bytes: Uint8Array, now: number): void {
    const { rows, emit } = this.#options;
    rows.arrive(now);
    const frames = this.#reader.frames;
    this.#reader.push(bytes);
    rows.flush();
    if (this.#reader.frames > frames) this.#lastFrameS = now;
    const discarded = this.#reader.discarded - this.#discarded;
    if (discarded > 0) emit({ kind: 'discarded', bytes: discarded });
    this.#discarded = this.#reader.discarded;
  }

  #frameBytes = 1;

  #frame(frame: Frame): void {
    const { rows, decoder } = this.#options;
    this.#frameBytes = frame.length;
    if (this.#first) {
      this.#first = false;
      this.#options.streaming();
      this.#resume(rows);
    }
    decoder.decode(frame, rows);
  }

  /** First frame after a reconnect: the rows of the time between were lost. */
  #resume(rows: Rows): void {
    if (rows.index === 0) return;
    const missing = Math.round((rows.arrivalS - rows.lastRowS) * this.#options.decoder.rateHz);
    rows.skip(Math.max(1, missing - 1), 'disconnect');
  }

  #watch(): void {
    const { clock, signal, silenceMsMax } = this.#options;
    this.#cancelWatch = clock.setTimeout(() => {
      if (this.#ended || signal.aborted) return;
      const now = clock.now();
      if ((now - this.#lastFrameS) * 1000 < silenceMsMax || this.#held !== undefined) {
        this.#watch();
        return;
      }
      const bytes =
        now - this.#lastBytesS < silenceMsMax / 1000 ? 'bytes but no frames' : 'nothing';
      this.#options.failed(
        new EegError(
          'EEG_DEVICE_UNAVAILABLE',
          `${this.#options.path} is open but sent ${bytes} for ${silenceMsMax / 1000} s`,
          {
            hint: 'check that the board is on and near; eegd asks it again',
            context: { silent: true },
          },
        ),
      );
    }, silenceMsMax / 8);
  }
}
