/** From what an outlet says and sends to what the daemon knows: channels in microvolts, markers. */

import type { ChannelInfo, ChannelKind, Marker, StreamInfo } from '../../src/core/stream.js';
import {
  describeChannel,
  guessKind,
  kindOfType,
  microvoltsPer,
} from '../../src/formats/channel-kind.js';
import { streamIdOf } from './address.js';
import { type LslChannel, readChannels, readManufacturer } from './channels.js';
import type { InletSamples } from './inlet-transport.js';
import type { LslStreamInfo } from './stream-info.js';

export interface Conversion {
  readonly info: StreamInfo;
  /** Factor of each channel; undefined where all are 1. */
  readonly factors?: Float64Array;
}

export function describeStream(lsl: LslStreamInfo, id?: string): Conversion {
  const described = readChannels(lsl).map((one) => channelOf(one, lsl.type));
  const manufacturer = readManufacturer(lsl);
  const info: StreamInfo = {
    id: id ?? streamIdOf(lsl),
    name: lsl.name,
    driver: 'lsl',
    rateHz: lsl.rateHz,
    channels: lsl.format === 'string' ? [] : described.map((one) => one.channel),
    ...(lsl.sourceId !== '' && { sourceId: lsl.sourceId }),
    ...(manufacturer !== '' && { manufacturer }),
  };
  if (described.every((one) => one.factor === 1)) return { info };
  return { info, factors: Float64Array.from(described, (one) => one.factor) };
}

function channelOf(one: LslChannel, streamType: string): { channel: ChannelInfo; factor: number } {
  const { channel, factor } = describeChannel(one.label, one.unit, kindOf(one, streamType));
  const position = unitPosition(one);
  return { channel: { ...channel, ...(position && { position }) }, factor };
}

/** The channel's own type, else what its label says, else the stream's type. */
function kindOf(one: LslChannel, streamType: string): ChannelKind {
  const own = kindOfType[one.type.toLowerCase()];
  if (own !== undefined) return own;
  const byLabel = guessKind(one.label, microvoltsPer(one.unit) === undefined ? '' : one.unit);
  return byLabel === 'eeg' ? (kindOfType[streamType.toLowerCase()] ?? 'misc') : byLabel;
}

function unitPosition(one: LslChannel): [number, number, number] | undefined {
  if (one.location === undefined) return undefined;
  const [x, y, z] = one.location;
  const length = Math.hypot(x, y, z);
  return length > 0 ? [x / length, y / length, z / length] : undefined;
}

/** Numeric samples as float32 in the channel's unit; the array itself where nothing is to do. */
export function toFloat32(samples: InletSamples, factors?: Float64Array): Float32Array {
  const { data } = samples;
  if (data instanceof Float32Array && factors === undefined) return data;
  const out = new Float32Array(data.length);
  const channels = factors?.length ?? 1;
  for (let i = 0; i < out.length; i++) {
    const factor = factors === undefined ? 1 : (factors[i % channels] ?? 1);
    out[i] = Number(data[i]) * factor;
  }
  return out;
}

/** Longest marker text that is passed on, characters. */
const markerTextMax = 1024;

/** Irregular streams carry markers: one for each channel of each sample that says something. */
export function toMarkers(samples: InletSamples): Marker[] {
  const channels = samples.frames > 0 ? samples.data.length / samples.frames : 0;
  return Array.from(samples.data as ArrayLike<unknown>, (value, i) => ({
    stampS: samples.stamps[Math.floor(i / channels)] ?? samples.arrivalS,
    text: String(value).slice(0, markerTextMax),
  })).filter((one) => one.text !== '');
}
