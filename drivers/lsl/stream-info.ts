/**
 * What an outlet says of itself: the <info> document. A short info has an empty <desc>; the full
 * one, fetched over TCP, has everything.
 */
import { LslError } from './errors.js';
import { isSampleFormat, type SampleFormat } from './formats.js';
import { child, childText, element, formatXml, parseXml, type XmlElement } from './xml.js';

export interface LslStreamInfo {
  readonly name: string;
  /** Content type: `EEG`, `Markers`, ... */
  readonly type: string;
  readonly channelCount: number;
  readonly format: SampleFormat;
  /** Nominal rate in Hz; 0 = irregular. */
  readonly rateHz: number;
  /** Names the source over restarts; '' where the sender set none. */
  readonly sourceId: string;
  /** Protocol version times 100: 110 or 100. */
  readonly version: number;
  /** LSL seconds of the sender's clock; 0 = not said. */
  readonly createdAtS: number;
  /** Fresh for each outlet instance. */
  readonly uid: string;
  readonly sessionId: string;
  readonly hostname: string;
  /** Filled in by the resolver from where the answer came; '' = not reachable that way. */
  readonly v4Address: string;
  readonly v4DataPort: number;
  readonly v4ServicePort: number;
  readonly v6Address: string;
  readonly v6DataPort: number;
  readonly v6ServicePort: number;
  /** The sender's own metadata; see `readChannels`. */
  readonly desc: XmlElement;
}

export const streamLimits = { channels: 1024, textCharacters: 1024 } as const;

export const emptyDesc: XmlElement = element('desc');

/** Element of each field, in the order in which liblsl writes them; <desc> comes last. */
const elements = {
  name: 'name',
  type: 'type',
  channelCount: 'channel_count',
  format: 'channel_format',
  sourceId: 'source_id',
  rateHz: 'nominal_srate',
  version: 'version',
  createdAtS: 'created_at',
  uid: 'uid',
  sessionId: 'session_id',
  hostname: 'hostname',
  v4Address: 'v4address',
  v4DataPort: 'v4data_port',
  v4ServicePort: 'v4service_port',
  v6Address: 'v6address',
  v6DataPort: 'v6data_port',
  v6ServicePort: 'v6service_port',
} as const satisfies Record<Exclude<keyof LslStreamInfo, 'desc'>, string>;

type Field = keyof typeof elements;

/** Throws `LslError` (`metadata`) saying which field was expected and what came. */
export function parseStreamInfo(source: string | Uint8Array): LslStreamInfo {
  const root = parseXml(source);
  if (root.name !== 'info')
    throw new LslError('metadata', `expected <info>, got <${root.name.slice(0, 40)}>`);
  const format = childText(root, elements.format).trim();
  if (!isSampleFormat(format))
    throw new LslError(
      'metadata',
      `expected a channel format of LSL, got "${format.slice(0, 40)}"`,
    );
  const text = (field: Field, needed = false) => textOf(root, elements[field], needed);
  const number = (field: Field, limit: NumberLimit) => numberOf(root, elements[field], limit);
  const port = (field: Field) => number(field, { max: 65_535, integer: true });
  return {
    name: text('name', true),
    type: text('type'),
    channelCount: number('channelCount', { max: streamLimits.channels, integer: true }),
    format,
    rateHz: number('rateHz', { max: 1e7 }),
    sourceId: text('sourceId'),
    version: Math.round(number('version', { max: 1000, above: 0 }) * 100),
    createdAtS: number('createdAtS', { max: Number.MAX_VALUE }),
    uid: text('uid', true),
    sessionId: text('sessionId'),
    hostname: text('hostname'),
    v4Address: text('v4Address').trim(),
    v4DataPort: port('v4DataPort'),
    v4ServicePort: port('v4ServicePort'),
    v6Address: text('v6Address').trim(),
    v6DataPort: port('v6DataPort'),
    v6ServicePort: port('v6ServicePort'),
    desc: child(root, 'desc') ?? emptyDesc,
  };
}

function textOf(root: XmlElement, name: string, needed: boolean): string {
  const text = childText(root, name);
  if (needed && text.trim() === '')
    throw new LslError('metadata', `expected a <${name}>, got none`);
  const max = streamLimits.textCharacters;
  if (text.length > max)
    throw new LslError('metadata', `expected <${name}> of at most ${max} characters`);
  return text;
}

interface NumberLimit {
  readonly max: number;
  readonly above?: number;
  readonly integer?: boolean;
}

function numberOf(root: XmlElement, name: string, limit: NumberLimit): number {
  const text = childText(root, name).trim();
  const value = text === '' ? Number.NaN : Number(text);
  const isLow = limit.above === undefined ? !(value >= 0) : !(value > limit.above);
  if (isLow || value > limit.max || (limit.integer === true && !Number.isInteger(value)))
    throw new LslError(
      'metadata',
      `expected <${name}> from 0 to ${limit.max}, got "${text.slice(0, 40)}"`,
    );
  return value;
}

/** The <info> element, for queries and for writing. */
export function streamInfoXml(info: LslStreamInfo, withDesc: boolean): XmlElement {
  const values = { ...info, version: decimal(info.version / 100) };
  const fields = Object.entries(elements) as [Field, string][];
  return element('info', [
    ...fields.map(([field, name]) => element(name, values[field])),
    withDesc ? info.desc : emptyDesc,
  ]);
}

/** liblsl takes the hundredths by truncation, and 1.1 * 100 is 110.00000000000001: safe. */
function decimal(version: number): string {
  return version.toFixed(15).replace(/0+$/, '').replace(/\.$/, '');
}

export function formatStreamInfo(info: LslStreamInfo, withDesc: boolean): string {
  return formatXml(streamInfoXml(info, withDesc));
}
