/**
 * Addresses of LSL streams: `lsl:WHAT?option=value&...`. WHAT is a source_id or a name; options:
 * `name`, `type`, `source_id`, `host`, `predicate` (XPath) narrow it, `dejitter=1` smooths stamps as
 * liblsl does, `id` names the stream in eegd.
 */
import { EegError } from '../../src/core/errors.js';
import type { StreamSelector } from './resolver.js';
import type { LslStreamInfo } from './stream-info.js';
import { compileQuery, quote } from './xpath.js';

export interface LslAddress {
  readonly selector: StreamSelector;
  readonly dejitter: boolean;
  readonly id?: string;
}

const optionNames = ['name', 'type', 'source_id', 'host', 'predicate', 'dejitter', 'id'];

/** With or without its `lsl:`. Throws EEG_CONFIG_INVALID. */
export function parseLslAddress(address: string): LslAddress {
  const rest = address.startsWith('lsl:') ? address.slice(4) : address;
  const mark = rest.indexOf('?');
  const what = mark < 0 ? rest : rest.slice(0, mark);
  const options = new URLSearchParams(mark < 0 ? '' : rest.slice(mark + 1));
  for (const name of options.keys()) {
    if (optionNames.includes(name)) continue;
    throw new EegError('EEG_CONFIG_INVALID', `lsl has no option "${name}"`, {
      hint: `it knows ${optionNames.join(', ')}`,
    });
  }
  const given = (option: string, key: keyof StreamSelector) => {
    const value = options.get(option);
    return value === null || value === '' ? {} : { [key]: value };
  };
  const selector: StreamSelector = {
    ...given('name', 'name'),
    ...given('type', 'type'),
    ...given('source_id', 'sourceId'),
    ...given('host', 'hostname'),
    ...predicateOf(what, options.get('predicate') ?? ''),
  };
  const id = options.get('id');
  return {
    selector,
    dejitter: options.get('dejitter') === '1',
    ...(id !== null && id !== '' && { id }),
  };
}

/** One word may be a source_id or a name: ask for either. */
function predicateOf(what: string, predicate: string): { predicate?: string } {
  try {
    const terms = [
      ...(what === '' ? [] : [`source_id=${quote(what)} or name=${quote(what)}`]),
      ...(predicate === '' ? [] : [predicate]),
    ];
    if (terms.length === 0) return {};
    const text = terms.map((one) => `(${one})`).join(' and ');
    compileQuery(text);
    return { predicate: text };
  } catch (error) {
    throw new EegError('EEG_CONFIG_INVALID', (error as Error).message, {
      hint: "a predicate looks like type='EEG' and channel_count>4",
      cause: error,
    });
  }
}

/** The shortest address that finds `info` and none of the `others`. */
export function addressOf(info: LslStreamInfo, others: readonly LslStreamInfo[]): string {
  const isAlone = (word: string) =>
    word !== '' &&
    !word.includes('?') &&
    !others.some((one) => one.uid !== info.uid && (one.sourceId === word || one.name === word));
  if (isAlone(info.sourceId)) return `lsl:${info.sourceId}`;
  if (isAlone(info.name)) return `lsl:${info.name}`;
  const parts = new URLSearchParams({ name: info.name });
  if (info.type !== '') parts.set('type', info.type);
  if (info.sourceId !== '') parts.set('source_id', info.sourceId);
  if (info.hostname !== '') parts.set('host', info.hostname);
  return `lsl:?${parts}`;
}

/** `[a-z0-9][a-z0-9._-]{0,63}`: what a stream is called in eegd. */
export function streamIdOf(info: LslStreamInfo): string {
  const slug = (info.sourceId || info.name)
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^[^a-z0-9]+|-+$/g, '')
    .slice(0, 64);
  return slug === '' ? 'lsl' : slug;
}
