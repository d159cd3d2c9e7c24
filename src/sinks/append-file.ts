/**
 * A file that grows at its end. Writes are queued and done in order by one writer, never blocking
 * the caller; one that fails leaves the file at its last whole append and ends all writing.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { EegError } from '../core/errors.js';
import type { Write } from './encoder.js';

/** What is written through: a file, or a faulty disk in a test. */
export interface WritableHandle {
  write(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ bytesWritten: number }>;
  truncate(length: number): Promise<void>;
  datasync(): Promise<void>;
  close(): Promise<void>;
}

export class AppendFile {
  readonly #handle: WritableHandle;
  readonly #path: string;
  readonly #onFailure: (failure: EegError) => void;
  #queue: Write[] = [];
  #queuedBytes = 0;
  /** Bytes of the file that are whole appends. */
  #length = 0;
  #writing: Promise<void> | undefined;
  #failure: EegError | undefined;

  constructor(handle: WritableHandle, path: string, onFailure: (failure: EegError) => void) {
    this.#handle = handle;
    this.#path = path;
    this.#onFailure = onFailure;
  }

  /**
   * Creates `path`; never writes over a file that is there.
   * @throws EegError EEG_STORE_FAILED, EEG_STORE_NO_SPACE.
   */
  static async create(path: string, onFailure: (failure: EegError) => void): Promise<AppendFile> {
    let handle: FileHandle;
    try {
      handle = await open(path, 'wx', 0o640);
    } catch (cause) {
      throw storeError(path, cause);
    }
    return new AppendFile(handle, path, onFailure);
  }

  get length(): number {
    return this.#length;
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  get failure(): EegError | undefined {
    return this.#failure;
  }

  /** Queues writes; `queuedBytes` is the caller's to watch. */
  write(writes: readonly Write[]): void {
    if (this.#failure !== undefined || writes.length === 0) return;
    for (const write of writes) {
      this.#queue.push(write);
      this.#queuedBytes += write.bytes.length;
    }
    this.#writing ??= this.#drain();
  }

  /** Until everything queued is written, or the file has failed. */
  async flush(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
  }

  async sync(): Promise<void> {
    await this.flush();
    if (this.#failure !== undefined) return;
    try {
      await this.#handle.datasync();
    } catch (cause) {
      this.#fail(cause);
    }
  }

  async close(): Promise<void> {
    await this.flush();
    await this.#handle.close().catch((cause: unknown) => this.#fail(cause));
  }

  async #drain(): Promise<void> {
    // What the caller queues in this turn is written in the same round.
    await Promise.resolve();
    while (this.#queue.length > 0 && this.#failure === undefined) {
      const { bytes, at } = this.#nextWrite();
      try {
        await this.#writeAll(bytes, at ?? this.#length);
        if (at === undefined) this.#length += bytes.length;
      } catch (cause) {
        await this.#handle.truncate(this.#length).catch(() => {});
        this.#fail(cause);
      }
      this.#queuedBytes = Math.max(0, this.#queuedBytes - bytes.length);
    }
    this.#writing = undefined;
  }

  /** Appends that follow each other, as one. */
  #nextWrite(): Write {
    const [first] = this.#queue as [Write];
    if (first.at !== undefined) {
      this.#queue.shift();
      return first;
    }
    const end = this.#queue.findIndex(({ at }) => at !== undefined);
    const batch = this.#queue.splice(0, end < 0 ? this.#queue.length : end);
    return { bytes: Buffer.concat(batch.map(({ bytes }) => bytes)) };
  }

  async #writeAll(bytes: Uint8Array, position: number): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const left = bytes.length - done;
      const { bytesWritten } = await this.#handle.write(bytes, done, left, position + done);
      done += bytesWritten;
    }
  }

  #fail(cause: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = storeError(this.#path, cause);
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#onFailure(this.#failure);
  }
}

export function storeError(path: string, cause: unknown): EegError {
  const reason = (cause as NodeJS.ErrnoException).code ?? 'unknown';
  if (reason === 'ENOSPC' || reason === 'EDQUOT') {
    const message = `${path}: the disk is full; the recording ends here`;
    return new EegError('EEG_STORE_NO_SPACE', message, { cause });
  }
  const what = reason === 'EEXIST' ? 'a file of that name is there already' : `failed (${reason})`;
  const hint = reason === 'EEXIST' ? { hint: 'choose another name' } : {};
  return new EegError('EEG_STORE_FAILED', `${path}: ${what}`, { ...hint, cause });
}
