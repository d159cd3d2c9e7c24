/**
 * Which outlet is the one that was lost: the same source_id, name and type; without a source_id the
 * same name, type and host. Two that fit are never guessed between.
 */
import { readChannels } from './channels.js';
import { LslError } from './errors.js';
import type { StreamSelector } from './resolver.js';
import type { LslStreamInfo } from './stream-info.js';

/** What to ask for when `info` was lost. */
export function successorOf(info: LslStreamInfo): StreamSelector {
  const { name, type, sourceId, hostname } = info;
  return sourceId === '' ? { name, type, hostname } : { name, type, sourceId };
}

export function isSuccessor(info: LslStreamInfo, lost: LslStreamInfo): boolean {
  const isNamed = info.name === lost.name && info.type === lost.type;
  if (lost.sourceId !== '') return isNamed && info.sourceId === lost.sourceId;
  return isNamed && info.sourceId === '' && info.hostname === lost.hostname;
}

/** One line for each, for a message. */
export function listStreams(streams: readonly LslStreamInfo[]): string {
  return streams
    .map((one) => {
      const host = one.v4Address || one.v6Address || one.hostname;
      const source = one.sourceId === '' ? 'no source_id' : `source_id "${one.sourceId}"`;
      return `"${one.name}" (${one.type}, ${shapeOf(one)}, ${source}, ${host}, uid ${one.uid})`;
    })
    .join('; ');
}

function shapeOf(info: LslStreamInfo): string {
  const rate = info.rateHz === 0 ? 'irregular' : `${info.rateHz} Hz`;
  return `${info.channelCount} x ${info.format} at ${rate}`;
}

export function ambiguity(streams: readonly LslStreamInfo[]): LslError {
  return new LslError(
    'ambiguous',
    `expected one outlet, found ${streams.length}: ${listStreams(streams)}`,
    { context: { uids: streams.map((one) => one.uid) } },
  );
}

/** The error where `now` cannot continue what `before` was; labels count where both are full. */
export function formatChange(before: LslStreamInfo, now: LslStreamInfo): LslError | undefined {
  const was = shapeOf(before);
  const is = shapeOf(now);
  if (was !== is)
    return new LslError('format_changed', `expected "${before.name}" as ${was}, it is now ${is}`);
  const labels = (info: LslStreamInfo) =>
    readChannels(info)
      .map((one) => `${one.label} [${one.unit}]`)
      .join(', ');
  if (labels(before) === labels(now)) return undefined;
  return new LslError(
    'format_changed',
    `expected "${before.name}" with channels ${labels(before)}, they are now ${labels(now)}`,
  );
}
