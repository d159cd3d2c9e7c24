/** Addresses of serial devices: `family:/dev/path?option=value&...`. */
import { closest } from 'fastest-levenshtein';
import { EegError } from '../../src/core/errors.js';
import { parseAddress } from '../address.js';

export interface SerialAddress {
  /** As given; '' = look for the device. */
  readonly path: string;
  readonly options: ReadonlyMap<string, string>;
}

/** Options outside `known` are refused. */
export function parseSerialAddress(address: string, known: readonly string[]): SerialAddress {
  const parsed = parseAddress(address);
  const names = ['id', ...known];
  for (const name of parsed.options.keys()) {
    if (names.includes(name)) continue;
    throw new EegError('EEG_USAGE', `${parsed.family} has no option "${name}"`, {
      hint: `did you mean ${closest(name, names)}? It knows ${names.join(', ')}`,
    });
  }
  return { path: parsed.where, options: parsed.options };
}

/** One of a few words. */
export function choice<T extends string>(
  options: ReadonlyMap<string, string>,
  name: string,
  allowed: readonly T[],
  otherwise: T,
): T {
  const value = options.get(name);
  if (value === undefined) return otherwise;
  const found = allowed.find((word) => word === value);
  if (found === undefined) throw refuse(name, allowed.join(', '), value);
  return found;
}

/** A number of a list, or in a range. */
export function numeric(
  options: ReadonlyMap<string, string>,
  name: string,
  allowed: readonly number[] | { readonly min: number; readonly max: number },
  otherwise: number,
): number {
  const text = options.get(name);
  if (text === undefined) return otherwise;
  const value = text === '' ? Number.NaN : Number(text);
  if ('min' in allowed) {
    if (value >= allowed.min && value <= allowed.max) return value;
    throw refuse(name, `${allowed.min} to ${allowed.max}`, text);
  }
  if (allowed.includes(value)) return value;
  throw refuse(name, allowed.join(', '), text);
}

/** One value for all channels, or one for each, comma-separated. */
export function perChannel(
  options: ReadonlyMap<string, string>,
  name: string,
  rule: { channels: number; allowed: readonly number[]; otherwise: number },
): number[] {
  const text = options.get(name);
  if (text === undefined) return new Array<number>(rule.channels).fill(rule.otherwise);
  const parts = text.split(',');
  const values = parts.map((part) =>
    numeric(new Map([[name, part]]), name, rule.allowed, rule.otherwise),
  );
  if (values.length === 1) return new Array<number>(rule.channels).fill(values[0] as number);
  if (values.length === rule.channels) return values;
  throw refuse(name, `1 or ${rule.channels} values`, text);
}

/** Channel names, comma-separated, as many as there are channels. */
export function labelled(
  options: ReadonlyMap<string, string>,
  otherwise: readonly string[],
): readonly string[] {
  const text = options.get('labels');
  if (text === undefined) return otherwise;
  const labels = text.split(',').map((label) => label.trim());
  if (labels.length !== otherwise.length || labels.some((label) => label === '')) {
    throw refuse('labels', `${otherwise.length} names`, text);
  }
  if (new Set(labels).size < labels.length) throw refuse('labels', 'different names', text);
  return labels;
}

/** Stream id: stable over reconnects, made of the family and the port's own name. */
export function streamId(family: string, address: SerialAddress): string {
  const given = address.options.get('id');
  if (given !== undefined) {
    if (/^[a-z0-9][a-z0-9._-]{0,63}$/.test(given)) return given;
    throw refuse('id', 'up to 64 of a-z 0-9 . _ -', given);
  }
  if (address.path === '') return family;
  const name = address.path.split('/').pop() ?? '';
  const plain = name.toLowerCase().replace(/[^a-z0-9._-]+/g, '-');
  return `${family}-${plain.slice(-40).replace(/^[^a-z0-9]+/, '')}`;
}

function refuse(name: string, expected: string, got: string): EegError {
  return new EegError('EEG_USAGE', `${name} must be ${expected}, not "${got}"`);
}
