/**
 * Who changed what the daemon serves, when and why: JSON lines, each with the SHA-256 of the one
 * before, synced before the change is made. A head file beside it names the last line, so that a
 * log cut short is noticed too. Where no line can be written, the change must not be made.
 */
import { createHash } from 'node:crypto';
import { type FileHandle, mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { EegError } from '../core/errors.js';
import { appendSynced, storeError } from './crc-lines.js';

export interface AuditEntry {
  readonly actor: string;
  /** e.g. `adapt.promote`. */
  readonly action: string;
  readonly from: string | null;
  readonly to: string | null;
  readonly why: string;
}

export interface AuditLine extends AuditEntry {
  readonly seq: number;
  /** ISO 8601, by the wall clock. */
  readonly wall: string;
  /** LSL seconds. */
  readonly stampS: number;
  /** SHA-256 of the line before; of nothing for the first. */
  readonly prev: string;
}

export interface AuditVerdict {
  readonly ok: boolean;
  readonly lines: number;
  /** First line that is wrong. */
  readonly seq?: number;
  readonly reason?: string;
}

const headPath = (path: string) => `${path}.head`;
const hash = (text: string) => createHash('sha256').update(text).digest('hex');

export class AuditLog {
  readonly #path: string;
  readonly #file: FileHandle;
  #seq: number;
  #prev: string;
  #bytes: number;
  #queue: Promise<unknown> = Promise.resolve();

  private constructor(
    path: string,
    file: FileHandle,
    last: { seq: number; text: string },
    bytes: number,
  ) {
    this.#path = path;
    this.#file = file;
    this.#seq = last.seq;
    this.#prev = hash(last.text);
    this.#bytes = bytes;
  }

  /** Goes on after the last whole line. A broken chain is not mended: `verifyAudit` names it. */
  static async open(path: string): Promise<AuditLog> {
    try {
      await mkdir(dirname(path), { recursive: true });
      const file = await open(path, 'a+');
      const content = await file.readFile('utf8');
      const whole = content.slice(0, content.lastIndexOf('\n') + 1);
      const bytes = Buffer.byteLength(whole);
      if (bytes < Buffer.byteLength(content)) await file.truncate(bytes);
      const lines = whole.split('\n').slice(0, -1);
      const last = { seq: lines.length, text: lines.at(-1) ?? '' };
      return new AuditLog(path, file, last, bytes);
    } catch (cause) {
      throw storeError(`cannot open the audit log ${path}`, cause);
    }
  }

  /** Resolves when the line is on the disk. */
  append(entry: AuditEntry, now: { wallMs: number; stampS: number }): Promise<AuditLine> {
    const done = this.#queue.then(() => this.#append(entry, now));
    this.#queue = done.catch(() => undefined);
    return done;
  }

  async #append(entry: AuditEntry, now: { wallMs: number; stampS: number }): Promise<AuditLine> {
    const wall = new Date(now.wallMs).toISOString();
    const line = { seq: this.#seq, wall, stampS: now.stampS, ...entry, prev: this.#prev };
    const text = JSON.stringify(line);
    const bytes = Buffer.from(`${text}\n`);
    await appendSynced(this.#file, bytes, { path: this.#path, at: this.#bytes });
    this.#bytes += bytes.length;
    this.#seq++;
    this.#prev = hash(text);
    await writeHead(this.#path, line.seq, this.#prev);
    return line;
  }

  async close(): Promise<void> {
    await this.#queue;
    await this.#file.close();
  }
}

async function writeHead(path: string, seq: number, sha256: string): Promise<void> {
  const part = `${headPath(path)}.part`;
  try {
    const file = await open(part, 'w');
    await file.writeFile(JSON.stringify({ seq, sha256 }));
    await file.sync();
    await file.close();
    await rename(part, headPath(path));
  } catch (cause) {
    throw storeError(`cannot write ${headPath(path)}`, cause);
  }
}

/** Reads the whole chain. A line that was changed, moved, added or taken out breaks it. */
export async function verifyAudit(path: string): Promise<AuditVerdict> {
  const content = await readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT')
      throw new EegError('EEG_FILE_NOT_FOUND', `expected an audit log at ${path}, found none`, {
        hint: 'it begins with the first thing that is learned; one that was there was taken away',
      });
    throw storeError(`cannot read the audit log ${path}`, cause);
  });
  const lines = content.split('\n');
  const torn = lines.pop() ?? '';
  let prev = hash('');
  const hashes: string[] = [];
  for (const [seq, text] of lines.entries()) {
    const reason = faultOf(text, seq, prev);
    if (reason !== undefined) return { ok: false, lines: lines.length, seq, reason };
    prev = hash(text);
    hashes.push(prev);
  }
  const bad = (seq: number, reason: string) => ({ ok: false, lines: lines.length, seq, reason });
  if (torn !== '') return bad(lines.length, 'the last line is not whole');
  const head = await readHead(path);
  // A crash between line and head leaves the head one behind; ahead it never is.
  if (head === undefined) {
    return lines.length <= 1 ? { ok: true, lines: lines.length } : bad(0, 'the head file is gone');
  }
  if (head.seq >= lines.length)
    return bad(lines.length, `line ${head.seq} was the last, and is gone`);
  if (hashes[head.seq] !== head.sha256) return bad(head.seq, 'is not the line the head names');
  if (head.seq < lines.length - 2) return bad(head.seq + 1, 'comes after the line the head names');
  return { ok: true, lines: lines.length };
}

function faultOf(text: string, seq: number, prev: string): string | undefined {
  let line: Partial<AuditLine>;
  try {
    line = JSON.parse(text) as Partial<AuditLine>;
  } catch {
    return 'is not JSON';
  }
  if (line.seq !== seq) return `has the number ${line.seq}`;
  if (line.prev !== prev) return 'does not follow from the line before: one of the two was changed';
  return undefined;
}

async function readHead(path: string): Promise<{ seq: number; sha256: string } | undefined> {
  const text = await readFile(headPath(path), 'utf8').catch(() => undefined);
  return text === undefined ? undefined : (JSON.parse(text) as { seq: number; sha256: string });
}
