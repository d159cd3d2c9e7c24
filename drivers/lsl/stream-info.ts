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

/** Throws `LslError` (`metadata`) saying which field was expected and what came. */
export function parseStreamInfo(source: string | Uint8Array): LslStreamInfo {
  const root = parseXml(source);
  if (root.name !== 'info')
    throw new LslError('metadata', `expected <info>, got <${root.name.slice(0, 40)}>`);
  const format = childText(root, 'channel_format').trim();
  if (!isSampleFormat(format))
    throw new LslError(
      'metadata',
      `expected a channel format of LSL, got "${format.slice(0, 40)}"`,
    );
  const port = (name: string) => numberOf(root, name, { max: 65_535, integer: true });
  return {
    name: textOf(root, 'name', true),
    type: textOf(root, 'type'),
    channelCount: numberOf(root, 'channel_count', { max: streamLimits.channels, integer: true }),
    format,
    rateHz: numberOf(root, 'nominal_srate', { max: 1e7 }),
    sourceId: textOf(root, 'source_id'),
    version: Math.round(numberOf(root, 'version', { max: 1000, above: 0 }) * 100),
    createdAtS: numberOf(root, 'created_at', { max: Number.MAX_VALUE }),
    uid: textOf(root, 'uid', true),
    sessionId: textOf(root, 'session_id'),
    hostname: textOf(root, 'hostname'),
    v4Address: textOf(root, 'v4address').trim(),
    v4DataPort: port('v4data_port'),
    v4ServicePort: port('v4service_port'),
    v6Address: textOf(root, 'v6address').trim(),
    v6DataPort: port('v6data_port'),
    v6ServicePort: port('v6service_port'),
    desc: child(root, 'desc') ?? emptyDesc,
  };
}

function textOf(root: XmlElement, name: string, needed = false): string {
  const text = childText(root, name);
  if (needed && text.trim() === '')
    throw new LslError('metadata', `expected a <${name}>, got none`);
  const max = streamLimits.textCharacters;
  if (text.length > max)
    throw new LslError('metadata', `expected <${name}> of at most ${max} characters`);
  return text;
}

function numberOf(
  root: XmlElement,
  name: string,
  limit: { max: number; above?: number; integer?: boolean },
): number {
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
  return element('info', [
    element('name', info.name),
    element('type', info.type),
    element('channel_count', info.channelCount),
    element('channel_format', info.format),
    element('source_id', info.sourceId),
    element('nominal_srate', info.rateHz),
    element('version', decimal(info.version / 100)),
    element('created_at', info.createdAtS),
    element('uid', info.uid),
    element('session_id', info.sessionId),
    element('hostname', info.hostname),
    element('v4address', info.v4Address),
    element('v4data_port', info.v4DataPort),
    element('v4service_port', info.v4ServicePort),
    element('v6address', info.v6Address),
    element('v6data_port', info.v6DataPort),
    element('v6service_port', info.v6ServicePort),
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
