/**
 * Question and answer with a board before it streams. Every wait has a limit, and a wait that ends
 * in vain says what was sent, what came back and what to do.
 */
import { EegError, type ErrorCode } from '../../src/core/errors.js';
import type { Clock } from '../../src/core/time.js';
import { type FrameFormat, FrameReader } from './frame-reader.js';
import type { Port } from './port.js';

/** Text kept of what a board says. */
const keptBytes = 8192;

export interface Question {
  readonly send?: string | Uint8Array;
  /** The answer is complete when this matches. */
  readonly until: RegExp;
  readonly withinMs: number;
  /** Pause between single characters, for firmware that cannot take them at once. */
  readonly paceMs?: number;
}

export class Dialog {
  readonly port: Port;
  readonly clock: Clock;
  readonly #signal: AbortSignal;
  #kept: Uint8Array[] = [];
  #keptLength = 0;
  #wake: (() => void) | undefined;
  #failed: EegError | undefined;
  readonly #tried: string[] = [];

  constructor(port: Port, clock: Clock, signal: AbortSignal) {
    this.port = port;
    this.clock = clock;
    this.#signal = signal;
    signal.addEventListener('abort', () => this.#wake?.(), { once: true });
  }

  /** What the port read. */
  receive(bytes: Uint8Array): void {
    this.#kept.push(new Uint8Array(bytes));
    this.#keptLength += bytes.length;
    while (this.#keptLength > keptBytes && this.#kept.length > 1) {
      this.#keptLength -= (this.#kept.shift() as Uint8Array).length;
    }
    this.#wake?.();
  }

  fail(error: EegError): void {
    this.#failed = error;
    this.#wake?.();
  }

  /** Bytes that came and that no answer has used. */
  take(): Uint8Array {
    const bytes = Buffer.concat(this.#kept);
    this.#kept = [];
    this.#keptLength = 0;
    return bytes;
  }

  async send(command: string | Uint8Array, paceMs = 0): Promise<void> {
    const bytes = typeof command === 'string' ? Buffer.from(command, 'latin1') : command;
    this.#tried.push(printable(bytes));
    if (paceMs === 0) return await this.port.write(bytes);
    for (const byte of bytes) {
      await this.port.write(Uint8Array.of(byte));
      await this.pause(paceMs);
    }
  }

  /** The answer, or undefined when time was up; what came stays for `take`. */
  async ask(question: Question): Promise<string | undefined> {
    if (question.send !== undefined) await this.send(question.send, question.paceMs);
    const limit = this.clock.now() + question.withinMs / 1000;
    for (;;) {
      const text = Buffer.concat(this.#kept).toString('latin1');
      if (question.until.test(text)) {
        this.take();
        return text;
      }
      if (!(await this.#more(limit))) return undefined;
    }
  }

  /** Wait until nothing has come for `quietMs`, `withinMs` at most, and forget what came. */
  async quiet(quietMs: number, withinMs: number): Promise<boolean> {
    const limit = this.clock.now() + withinMs / 1000;
    for (;;) {
      this.take();
      const until = Math.min(limit, this.clock.now() + quietMs / 1000);
      if (!(await this.#more(until))) return this.clock.now() < limit;
    }
  }

  async pause(ms: number): Promise<void> {
    const limit = this.clock.now() + ms / 1000;
    while (await this.#more(limit));
  }

  /** Listen for frames of several formats; the first to bring `count` in a row wins. */
  async hear(formats: readonly FrameFormat[], count: number, withinMs: number): Promise<number> {
    const heard = await this.find((bytes) => {
      const i = formats.findIndex((format) => longestRun(format, bytes) >= count);
      return i < 0 ? undefined : i;
    }, withinMs);
    return heard ?? -1;
  }

  /** Listen until `look` finds something in what came. */
  async find<T>(look: (bytes: Uint8Array) => T | undefined, withinMs: number) {
    const limit = this.clock.now() + withinMs / 1000;
    for (;;) {
      const found = look(Buffer.concat(this.#kept));
      if (found !== undefined) return found;
      if (!(await this.#more(limit))) return undefined;
    }
  }

  /** The error of a dialog that led nowhere: tried what, got what. */
  error(code: ErrorCode, expected: string, hint: string): EegError {
    const bytes = this.take();
    const tried = this.#tried.length === 0 ? '' : `sent ${this.#tried.slice(-3).join(', ')}; `;
    const came = bytes.length === 0 ? 'nothing came' : `${bytes.length} bytes came`;
    const excerpt = bytes.length === 0 ? '' : `, e.g. ${printable(bytes.subarray(0, 48))}`;
    const message = `${this.port.path}: expected ${expected}; ${tried}${came}${excerpt}`;
    // A board that does not answer yet is asked again soon: its return cannot be seen.
    return new EegError(code, message, {
      hint,
      context: { silent: code === 'EEG_DEVICE_UNAVAILABLE' },
    });
  }

  /** Wait for more bytes. False when the limit has passed first. */
  async #more(limitS: number): Promise<boolean> {
    this.#check();
    const ms = (limitS - this.clock.now()) * 1000;
    if (ms <= 0) return false;
    const came = await new Promise<boolean>((resolve) => {
      const cancel = this.clock.setTimeout(() => resolve(false), ms);
      this.#wake = () => {
        cancel();
        resolve(true);
      };
    });
    this.#wake = undefined;
    this.#check();
    return came;
  }

  #check(): void {
    if (this.#failed !== undefined) throw this.#failed;
    this.#signal.throwIfAborted();
  }
}

function longestRun(format: FrameFormat, bytes: Uint8Array): number {
  let run = 0;
  let best = 0;
  const reader = new FrameReader(format, (frame) => {
    run = frame.lost === 0 && frame.discarded === 0 ? run + 1 : 1;
    best = Math.max(best, run);
  });
  reader.push(bytes);
  return best;
}

/** Bytes for a message: text as text, the rest in hexadecimal. */
export function printable(bytes: Uint8Array): string {
  const text = Buffer.from(bytes).toString('latin1');
  if (/^[\x20-\x7e\r\n]*$/.test(text)) return JSON.stringify(text.replace(/\r?\n/g, ' '));
  return `0x${Buffer.from(bytes.subarray(0, 24)).toString('hex')}`;
}
