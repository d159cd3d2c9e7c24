/**
 * A file read by position: nothing is held but what was asked for. Every failure is an `EegError`
 * that names the file, the field that was being read, what was expected and what came.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { basename } from 'node:path';
import { EegError } from '../core/errors.js';

/** No single read may ask for more: a header that claims such a block is refused. */
export const readBytesMax = 512 * 1024 * 1024;

export class ByteFile {
  readonly path: string;
  readonly name: string;
  readonly bytes: number;
  #fd: number;

  private constructor(path: string, fd: number, bytes: number) {
    this.path = path;
    this.name = basename(path);
    this.#fd = fd;
    this.bytes = bytes;
  }

  /** @throws EegError EEG_FILE_NOT_FOUND, EEG_FILE_FORMAT (no plain file), EEG_FILE_EMPTY. */
  static open(path: string): ByteFile {
    let fd: number;
    try {
      fd = openSync(path, 'r');
    } catch (cause) {
      throw openFailure(path, cause);
    }
    const stat = fstatSync(fd);
    const fault = !stat.isFile()
      ? new EegError('EEG_FILE_FORMAT', `${path}: expected a file, came a folder or device`)
      : stat.size === 0
        ? new EegError('EEG_FILE_EMPTY', `${path}: expected a recording, came a file of 0 bytes`)
        : undefined;
    if (fault !== undefined) {
      closeSync(fd);
      throw fault;
    }
    return new ByteFile(path, fd, stat.size);
  }

  /** Exactly `length` bytes at `offset`; `field` names what they are, for the error. */
  read(offset: number, length: number, field: string): Buffer {
    if (!(length >= 0 && length <= readBytesMax)) {
      throw this.fault(field, `at most ${readBytesMax} bytes`, `${length} bytes`);
    }
    if (offset < 0 || offset + length > this.bytes) {
      const left = Math.max(0, this.bytes - offset);
      throw this.fault(field, `${length} bytes at ${offset}`, `${left} bytes until the end`);
    }
    const buffer = Buffer.allocUnsafe(length);
    for (let done = 0; done < length; ) {
      const got = readSync(this.#fd, buffer, done, length - done, offset + done);
      if (got === 0) throw this.fault(field, `${length} bytes at ${offset}`, `${done} bytes`);
      done += got;
    }
    return buffer;
  }

  /** `EEG_FILE_FORMAT: name: field: expected ..., came ...`. */
  fault(field: string, expected: string, came: string, hint?: string): EegError {
    const message = `${this.name}: ${field}: expected ${expected}, came ${came}`;
    return new EegError('EEG_FILE_FORMAT', message, {
      ...(hint === undefined ? {} : { hint }),
      context: { file: this.name, field, expected, came },
    });
  }

  empty(came: string): EegError {
    return new EegError('EEG_FILE_EMPTY', `${this.name}: expected samples, came ${came}`);
  }

  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }
}

function openFailure(path: string, cause: unknown): EegError {
  const reason = (cause as NodeJS.ErrnoException).code ?? 'unknown';
  if (reason === 'ENOENT' || reason === 'ENOTDIR') {
    return new EegError('EEG_FILE_NOT_FOUND', `${path}: expected a recording, came no such file`);
  }
  return new EegError('EEG_FILE_NOT_FOUND', `${path}: cannot be opened (${reason})`, {
    hint: 'check the path and its permissions',
    cause,
  });
}

/** What may stand in a user's message: printable, short, in quotes. */
export function quoted(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what goes
  const clean = text.replace(/[\u0000-\u001f\u007f-\u009f]/g, '?').trim();
  return `"${clean.length > 40 ? `${clean.slice(0, 40)}...` : clean}"`;
}
