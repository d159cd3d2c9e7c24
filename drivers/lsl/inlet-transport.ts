/** What an inlet says, and what it needs of the network. */
import type { LslClock } from './clock.js';
import type { LslConfig } from './config.js';
import type { DecodedSamples } from './decoder.js';
import type { LslError } from './errors.js';
import { type ConnectionOptions, fetchFullInfo, InletConnection } from './inlet-connection.js';
import type { StreamSelector } from './resolver.js';
import { search } from './shared-search.js';
import type { LslStreamInfo } from './stream-info.js';
import { TimeSync } from './time-sync.js';

export interface InletSamples extends DecodedSamples {
  /** LSL seconds here when the read came that ended with the last of them. */
  readonly arrivalS: number;
}

export type InletEvent =
  /** `info` is complete, <desc> included. `resumed`: it had been lost. */
  | { readonly kind: 'opened'; readonly info: LslStreamInfo; readonly resumed: boolean }
  | { readonly kind: 'samples'; readonly samples: InletSamples }
  /** Connected, but nothing for twice the usual time. */
  | { readonly kind: 'silent'; readonly forS: number }
  | { readonly kind: 'flowing' }
  | { readonly kind: 'lost'; readonly error: LslError }
  /** Lost, and several outlets could be its successor: waiting until one is left. */
  | { readonly kind: 'ambiguous'; readonly error: LslError }
  /** The last event. */
  | { readonly kind: 'failed'; readonly error: LslError };

/** What an inlet needs of the network; tests give their own. */
export interface InletTransport {
  /** Report outlets that answer `selector`, again with each answer, until closed. */
  search(selector: StreamSelector, onAnswer: (info: LslStreamInfo) => void): { close(): void };
  fullInfo(info: LslStreamInfo): Promise<LslStreamInfo>;
  connect(
    info: LslStreamInfo,
    options: ConnectionOptions,
  ): Pick<InletConnection, 'opened' | 'close' | 'pause' | 'resume'>;
  timeSync(info: LslStreamInfo): Pick<TimeSync, 'start' | 'close' | 'latest' | 'lastAnswerS'>;
}

export function networkTransport(config: LslConfig, clock: LslClock): InletTransport {
  return {
    search: (selector, onAnswer) => search(selector, { config, clock }, onAnswer),
    fullInfo: (info) => fetchFullInfo(info, { clock }),
    connect: (info, options) => new InletConnection(info, options),
    timeSync: (info) => new TimeSync(info, config, clock),
  };
}
