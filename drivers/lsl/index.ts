/**
 * LSL (the lab streaming layer) in TypeScript: discovery, inlets, outlets, clock synchronisation
 * and time stamp post-processing over `node:dgram` and `node:net`, protocol 1.10. A library of its
 * own: it needs nothing of eegd. Package export `eegd/lsl`.
 */
export { describeChannels, type LslChannel, readChannels, readManufacturer } from './channels.js';
export { type LslClock, localClock } from './clock.js';
export {
  configCandidates,
  defaultLslConfig,
  type LslConfig,
  loadLslConfig,
  parseLslConfig,
} from './config.js';
export type { SampleValues } from './encoder.js';
export { isLslError, LslError, type LslErrorCode } from './errors.js';
export type { SampleArray, SampleArrays, SampleFormat } from './formats.js';
export { fetchFullInfo } from './inlet-connection.js';
export { Outlet, type OutletDescription, type OutletOptions } from './outlet.js';
export type { ConsumerStats } from './outlet-consumer.js';
export { type PostprocessOptions, StampPostprocessor } from './postprocess.js';
export { Resolver, type ResolverOptions, resolveStreams, type StreamSelector } from './resolver.js';
export { formatStreamInfo, type LslStreamInfo, parseStreamInfo } from './stream-info.js';
export { type ClockEstimate, TimeSync } from './time-sync.js';
export { element, formatXml, parseXml, type XmlElement } from './xml.js';
export { compileQuery, type Query } from './xpath.js';
