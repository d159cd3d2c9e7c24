/** Addresses of streams: `family:where?option=value&...`. */
import { closest } from 'fastest-levenshtein';
import { EegError } from '../src/core/errors.js';

export interface StreamAddress {
  readonly family: string;
  readonly where: string;
  readonly options: ReadonlyMap<string, string>;
}

/** Throws `EEG_USAGE`. */
export function parseAddress(address: string): StreamAddress {
  const match = /^([a-z][a-z0-9-]*):(.*)$/s.exec(address);
  if (match === null)
    throw new EegError('EEG_USAGE', `expected DRIVER:WHERE, e.g. lsl:name, got "${address}"`);
  const [, family = '', rest = ''] = match;
  const mark = rest.lastIndexOf('?');
  const where = mark < 0 ? rest : rest.slice(0, mark);
  const options = new Map(mark < 0 ? [] : new URLSearchParams(rest.slice(mark + 1)));
  return { family, where, options };
}

/** The options by name, each read by its reader; an unknown one is refused. */
export function readOptions<T extends Record<string, (text: string) => unknown>>(
  { family, options }: StreamAddress,
  readers: T,
): { [K in keyof T]?: ReturnType<T[K]> } {
  const out: Record<string, unknown> = {};
  for (const [name, text] of options) {
    const reader = readers[name];
    if (reader === undefined) {
      const near = closest(name, Object.keys(readers));
      throw new EegError('EEG_USAGE', `${family} has no option "${name}" (nearest: ${near})`);
    }
    out[name] = reader(text);
  }
  return out as { [K in keyof T]?: ReturnType<T[K]> };
}

export function positive(text: string): number {
  const value = text === 'max' ? Number.POSITIVE_INFINITY : Number(text);
  if (value > 0) return value;
  throw new EegError('EEG_USAGE', `expected a number above 0 or "max", got "${text}"`);
}

export function whole(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new EegError('EEG_USAGE', `expected a whole number, got "${text}"`);
}

export function flag(text: string): boolean {
  if (text === '' || text === '1' || text === 'true') return true;
  if (text === '0' || text === 'false') return false;
  throw new EegError('EEG_USAGE', `expected 1 or 0, got "${text}"`);
}

export function word(text: string): string {
  return text;
}
