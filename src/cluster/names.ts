/**
 * What things are called on NATS: sites, edges, partitions, subjects, streams and buckets. A site's
 * subjects and streams all carry its name, so that permissions can tell sites apart.
 */
import { EegError } from '../core/errors.js';

/** A site, an edge or a worker. */
export const namePattern = /^[a-z0-9][a-z0-9-]{0,15}$/;
const personPattern = /^[a-z0-9][a-z0-9-]{0,31}$/;
const streamPattern = /^[a-z0-9][a-z0-9._-]{0,63}$/;

export interface StreamAddress {
  readonly site: string;
  readonly edge: string;
  readonly stream: string;
}

export function requireName(kind: 'site' | 'edge' | 'worker', name: string): string {
  if (namePattern.test(name)) return name;
  const expected = 'at most 16 of a-z, 0-9 and -';
  throw new EegError('EEG_USAGE', `expected a ${kind} name of ${expected}, got "${name}"`);
}

export function isPerson(name: string): boolean {
  return personPattern.test(name);
}

export function isAddress({ site, edge, stream }: StreamAddress): boolean {
  return namePattern.test(site) && namePattern.test(edge) && streamPattern.test(stream);
}

/** One key for maps and message ids. */
export function keyOf({ site, edge, stream }: StreamAddress): string {
  return `${site}/${edge}/${stream}`;
}

/** A `.` would begin another token of the subject; ids never hold `=`. */
const token = (stream: string) => stream.replaceAll('.', '=');

/** The id of a stream for clients of a gateway: EDGE.STREAM, or SITE.EDGE.STREAM of many sites. */
export function shownId(address: StreamAddress, isManySites: boolean): string {
  const { site, edge, stream } = address;
  const id = isManySites ? `${site}.${edge}.${stream}` : `${edge}.${stream}`;
  if (id.length <= 64) return id;
  return `${id.slice(0, 55)}-${fnv(keyOf(address)).toString(16).padStart(8, '0')}`;
}

/** Whose a subject of steps or results is; undefined where it is neither. */
export function addressOf(subject: string): StreamAddress | undefined {
  const match = /^eegd\.([^.]+)\.(?:steps\.\d+|results)\.([^.]+)\.([^.]+)$/.exec(subject);
  if (match === null) return undefined;
  const [, site = '', edge = '', stream = ''] = match;
  return { site, edge, stream: stream.replaceAll('=', '.') };
}

/** The same partition on every machine. */
export function partitionOf(address: StreamAddress, partitions: number): number {
  return fnv(keyOf(address)) % partitions;
}

/** FNV-1a (Fowler, Noll and Vo), 32 bits. */
export function fnv(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

export const subjects = {
  steps: (address: StreamAddress, partition: number) =>
    `eegd.${address.site}.steps.${partition}.${address.edge}.${token(address.stream)}`,
  /** Whatever its partition. */
  stepsOf: (address: StreamAddress) =>
    `eegd.${address.site}.steps.*.${address.edge}.${token(address.stream)}`,
  partition: (site: string, partition: number) => `eegd.${site}.steps.${partition}.>`,
  allSteps: (site: string) => `eegd.${site}.steps.>`,
  result: (address: StreamAddress) =>
    `eegd.${address.site}.results.${address.edge}.${token(address.stream)}`,
  allResults: (site: string) => `eegd.${site}.results.>`,
  event: (site: string, edge: string) => `eegd.${site}.events.${edge}`,
  allEvents: (site: string) => `eegd.${site}.events.*`,
  command: (site: string, edge: string) => `eegd.${site}.command.${edge}`,
  beat: (worker: string) => `eegd.workers.${worker}`,
  allBeats: 'eegd.workers.*',
  adapt: (site: string, worker: string) => `eegd.${site}.adapt.${worker}`,
} as const;

const upper = (site: string) => site.toUpperCase().replaceAll('-', '_');

export const streams = {
  steps: (site: string) => `EEGD_${upper(site)}_STEPS`,
  results: (site: string) => `EEGD_${upper(site)}_RESULTS`,
  consumer: (partition: number) => `work-${partition}`,
} as const;

export const buckets = {
  /** Key-value: what is active, who is ready. */
  models: 'eegd-models',
  /** Objects: checkpoints and expert packs. */
  checkpoints: 'eegd-checkpoints',
  /** Objects: recordings of one site. */
  recordings: (site: string) => `eegd-recordings-${site}`,
} as const;
