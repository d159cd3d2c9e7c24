/**
 * An append-only file of JSON lines, each with its CRC-32 in front, synced before `append` returns.
 * What a crash left half written is cut off when the file is opened; a line that is damaged
 * elsewhere is skipped and counted.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { EegError } from '../core/errors.js';

export class CrcLines {
  /** Lines that were damaged, other than a torn last one. */
  readonly damaged: number;
  readonly #path: string;
  readonly #file: FileHandle;
  #bytes: number;

  private constructor(path: string, file: FileHandle, state: { bytes: number; damaged: number }) {
    this.#path = path;
    this.#file = file;
    this.#bytes = state.bytes;
    this.damaged = state.damaged;
  }

  /** `take` gets every good record, in order. */
  static async open(path: string, take: (record: unknown) => void): Promise<CrcLines> {
    const file = await open(path, 'a+').catch((cause: unknown) => {
      throw storeError(`cannot open ${path}`, cause);
    });
    const content = await file.readFile();
    const whole = content.lastIndexOf(0x0a) + 1;
    let damaged = 0;
    for (let at = 0; at < whole; ) {
      const end = content.indexOf(0x0a, at);
      const record = decode(content.subarray(at, end));
      if (record === undefined) damaged++;
      else take(record);
      at = end + 1;
    }
    if (whole < content.length) await file.truncate(whole);
    return new CrcLines(path, file, { bytes: whole, damaged });
  }

  async append(record: unknown): Promise<void> {
    const text = JSON.stringify(record);
    const line = Buffer.from(`${crcOf(text)} ${text}\n`);
    await appendSynced(this.#file, line, { path: this.#path, at: this.#bytes });
    this.#bytes += line.length;
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

function crcOf(text: string): string {
  return crc32(text).toString(16).padStart(8, '0');
}

function decode(line: Buffer): unknown {
  const text = line.subarray(9).toString('utf8');
  if (line[8] !== 0x20 || line.subarray(0, 8).toString('latin1') !== crcOf(text)) return undefined;
  return JSON.parse(text);
}

/** Append bytes and sync; what could be written of them only in part is taken back. */
export async function appendSynced(
  file: FileHandle,
  bytes: Uint8Array,
  where: { path: string; at: number },
): Promise<void> {
  try {
    await file.appendFile(bytes);
    await file.datasync();
  } catch (cause) {
    await file.truncate(where.at).catch(() => undefined);
    throw storeError(`cannot write ${where.path}`, cause);
  }
}

export function storeError(what: string, cause: unknown): EegError {
  const full = (cause as NodeJS.ErrnoException)?.code === 'ENOSPC';
  const reason = cause instanceof Error ? cause.message : String(cause);
  const code = full ? 'EEG_STORE_NO_SPACE' : 'EEG_STORE_FAILED';
  return new EegError(code, `${what}: ${reason}`, { cause });
}
