/**
 * Who may do what. A token file has one token a line: `[scopes] token [until=2027-01-01]`, scopes
 * of read,operate,train joined by commas (absent: all); the token itself, or `sha256:` and its hex
 * digest. Only digests are kept, and they are compared in constant time.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { EegError } from '../core/errors.js';
import { type Scope, scopes } from './protocol.js';

const tokenLengthMin = 16;

interface Grant {
  readonly digest: Buffer;
  readonly scopes: ReadonlySet<Scope>;
  readonly untilMs: number;
}

export class Tokens {
  readonly #grants: readonly Grant[];

  constructor(text: string, source: string) {
    this.#grants = text.split('\n').flatMap((line, i) => readLine(line, `${source}:${i + 1}`));
    if (this.#grants.length === 0)
      throw invalid(source, 'expected at least one token, found none', 'openssl rand -hex 32');
  }

  /** What the token may do; undefined where it is wrong or has expired at `wallMs`. */
  check(token: string, wallMs: number): ReadonlySet<Scope> | undefined {
    const digest = sha256(token);
    let found: Grant | undefined;
    for (const grant of this.#grants) if (timingSafeEqual(digest, grant.digest)) found = grant;
    return found !== undefined && wallMs < found.untilMs ? found.scopes : undefined;
  }
}

/** Reads a token file; one that everybody can read or write is refused. */
export function loadTokens(file: string): Tokens {
  try {
    const mode = statSync(file).mode & 0o777;
    if ((mode & 0o007) !== 0) {
      const found = `0${mode.toString(8)}`;
      throw invalid(
        file,
        `expected a file that others cannot read, found mode ${found}`,
        'chmod 600',
      );
    }
    return new Tokens(readFileSync(file, 'utf8'), file);
  } catch (error) {
    if (error instanceof EegError) throw error;
    const cause = error instanceof Error ? error.message : String(error);
    throw new EegError('EEG_CONFIG_UNREADABLE', `token file ${file} cannot be read: ${cause}`);
  }
}

/** systemd's `LoadCredential=ws-token:...`, where the service has one. */
export function credentialFile(env: NodeJS.ProcessEnv = process.env): string | undefined {
  const folder = env.CREDENTIALS_DIRECTORY;
  if (folder === undefined) return undefined;
  const file = join(folder, 'ws-token');
  return existsSync(file) ? file : undefined;
}

function readLine(line: string, where: string): Grant[] {
  const words = line.trim().split(/\s+/);
  if (words[0] === '' || words[0]?.startsWith('#')) return [];
  let untilMs = Number.POSITIVE_INFINITY;
  if (words.at(-1)?.startsWith('until=')) {
    untilMs = Date.parse(words.pop()?.slice('until='.length) ?? '');
    if (Number.isNaN(untilMs))
      throw invalid(where, 'expected until=2027-01-31', 'correct the date');
  }
  const token = words.pop() ?? '';
  const granted = words.length === 0 ? [...scopes] : words.join('').split(',');
  if (words.length > 1 || !granted.every(isScope))
    throw invalid(where, `expected scopes of ${scopes.join(', ')} and one token`, 'see API.md');
  return [{ digest: digestOf(token, where), scopes: new Set(granted.filter(isScope)), untilMs }];
}

function digestOf(token: string, where: string): Buffer {
  if (/^sha256:[0-9a-f]{64}$/.test(token)) return Buffer.from(token.slice(7), 'hex');
  if (token.length >= tokenLengthMin) return sha256(token);
  const found = `expected a token of ${tokenLengthMin} characters or more, got ${token.length}`;
  throw invalid(where, found, 'openssl rand -hex 32');
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function isScope(text: string): text is Scope {
  return (scopes as readonly string[]).includes(text);
}

function invalid(where: string, message: string, hint: string): EegError {
  return new EegError('EEG_CONFIG_INVALID', `${where}: ${message}`, { hint });
}
