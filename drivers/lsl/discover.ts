/** LSL streams on the network now, for `eegd devices`. */
import type { DeviceListing } from '../../src/core/daemon-api.js';
import { addressOf } from './address.js';
import type { LslConfig } from './config.js';
import { resolveStreams } from './resolver.js';
import type { LslStreamInfo } from './stream-info.js';

export interface DiscoverOptions {
  readonly config?: LslConfig;
  /** How long to listen, ms. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export async function discover(options: DiscoverOptions = {}): Promise<DeviceListing[]> {
  const streams = await resolveStreams({}, options);
  return streams
    .map((info) => ({
      address: addressOf(info, streams),
      driver: 'lsl',
      name: info.name,
      detail: detailOf(info),
      connected: false,
    }))
    .sort((a, b) => a.name.localeCompare(b.name) || a.address.localeCompare(b.address));
}

function detailOf(info: LslStreamInfo): string {
  const rate = info.rateHz > 0 ? `${info.rateHz} Hz` : 'irregular';
  const channels = `${info.channelCount} channel${info.channelCount === 1 ? '' : 's'}`;
  const host = info.hostname || info.v4Address || info.v6Address;
  return `${info.type || 'no type'}, ${channels} ${info.format}, ${rate}, on ${host}`;
}
