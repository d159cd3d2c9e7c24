/**
 * Who may what on NATS, as a piece of nats-server's configuration with an nkey for each role: an
 * edge and a gateway a site, one worker for all sites, one operator. A role may touch only its own
 * site's subjects, streams and inbox: one site cannot read, write or even find another's.
 * Subjects of JetStream's API: docs.nats.io/reference/reference-protocols/nats_api_reference.
 */
import { nkeys } from '@nats-io/transport-node';
import { inboxOf } from './connection.js';
import { buckets, requireName, streams } from './names.js';

export interface Permissions {
  /** To be included into the servers' configuration. */
  readonly config: string;
  /** The nkey seed of each role, by its name: `edge-SITE`, `gateway-SITE`, `worker`, `operator`. */
  readonly seeds: Readonly<Record<string, string>>;
}

interface User {
  readonly name: string;
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
  /** Answers to what is asked of it. */
  readonly responds?: boolean;
}

const api = '$JS.API';
const board = `KV_${buckets.models}`;
const checkpoints = `OBJ_${buckets.checkpoints}`;
const recordings = (site: string) => `OBJ_${buckets.recordings(site)}`;

export function makePermissions(sites: readonly string[]): Permissions {
  for (const site of sites) requireName('site', site);
  const users = [
    ...sites.flatMap((site) => [edge(site), gateway(site)]),
    worker(sites),
    operator(),
  ];
  const seeds: Record<string, string> = {};
  const blocks = users.map((user) => {
    const pair = nkeys.createUser();
    seeds[user.name] = Buffer.from(pair.getSeed()).toString('utf8');
    return block(user, pair.getPublicKey());
  });
  const config = `# Made by eegd cluster permissions ${sites.join(' ')}.
authorization {
  users: [
${blocks.join('\n')}
  ]
}
`;
  return { config, seeds };
}

/** Steps and events out, commands in; reads what is active; adds to the site's recordings. */
function edge(site: string): User {
  return {
    name: `edge-${site}`,
    publish: [
      `eegd.${site}.steps.>`,
      `eegd.${site}.events.*`,
      ...readBucket(board),
      ...writeObjects(buckets.recordings(site)),
    ],
    subscribe: [`eegd.${site}.command.*`, `${inboxOf('edge', site)}.>`],
    responds: true,
  };
}

/** Reads the site's steps, results and events, commands its edges, changes what is active. */
function gateway(site: string): User {
  const results = streams.results(site);
  return {
    name: `gateway-${site}`,
    publish: [
      `eegd.${site}.command.*`,
      `eegd.${site}.adapt.*`,
      ...look(streams.steps(site)),
      ...look(results),
      ...consume(results),
      ...readBucket(board),
      ...readBucket(checkpoints),
      ...readBucket(recordings(site)),
      `$KV.${buckets.models}.>`,
      ...writeObjects(buckets.checkpoints),
    ],
    subscribe: [
      `eegd.${site}.steps.>`,
      `eegd.${site}.events.*`,
      'eegd.workers.*',
      `${inboxOf('gateway', site)}.>`,
    ],
  };
}

/** Pulls the steps of the sites it is for, and sends their results; teaches their people. */
function worker(sites: readonly string[]): User {
  return {
    name: 'worker',
    publish: [
      'eegd.workers.*',
      ...sites.flatMap((site) => [
        `eegd.${site}.results.>`,
        ...look(streams.steps(site)),
        ...look(streams.results(site)),
        ...look(recordings(site)),
        ...consume(streams.steps(site)),
        `$JS.ACK.${streams.steps(site)}.>`,
      ]),
      ...readBucket(board),
      `$KV.${buckets.models}.>`,
      ...readBucket(checkpoints),
      ...writeObjects(buckets.checkpoints),
    ],
    subscribe: [
      'eegd.workers.*',
      ...sites.flatMap((site) => [
        `eegd.${site}.adapt.*`,
        `eegd.${site}.steps.>`,
        `eegd.${site}.events.*`,
      ]),
      `${inboxOf('worker', '')}.>`,
    ],
    responds: true,
  };
}

/** Makes streams and buckets, and changes what is active. */
function operator(): User {
  return {
    name: 'operator',
    publish: [`${api}.>`, '$KV.>', '$O.>', '$JS.ACK.>'],
    subscribe: ['eegd.workers.*', `${inboxOf('operator', '')}.>`],
  };
}

function look(stream: string): string[] {
  return [`${api}.STREAM.INFO.${stream}`, `${api}.CONSUMER.INFO.${stream}.*`];
}

function consume(stream: string): string[] {
  return [
    `${api}.CONSUMER.CREATE.${stream}.>`,
    `${api}.CONSUMER.DELETE.${stream}.*`,
    `${api}.CONSUMER.MSG.NEXT.${stream}.*`,
  ];
}

/** A bucket is a stream: its values by get, its changes by a consumer. */
function readBucket(stream: string): string[] {
  return [
    `${api}.INFO`,
    ...look(stream),
    ...consume(stream),
    `${api}.CONSUMER.CREATE.${stream}`,
    `${api}.DIRECT.GET.${stream}`,
    `${api}.DIRECT.GET.${stream}.>`,
    `${api}.STREAM.MSG.GET.${stream}`,
    `$JS.FC.${stream}.>`,
  ];
}

function writeObjects(bucket: string): string[] {
  const stream = `OBJ_${bucket}`;
  return [
    `${api}.INFO`,
    `${api}.STREAM.INFO.${stream}`,
    `${api}.STREAM.MSG.GET.${stream}`,
    `${api}.DIRECT.GET.${stream}.>`,
    `${api}.STREAM.PURGE.${stream}`,
    `$O.${bucket}.>`,
  ];
}

function block({ name, publish, subscribe, responds }: User, nkey: string): string {
  const list = (subjects: readonly string[]) =>
    [...new Set(subjects)].map((subject) => `"${subject}"`).join(', ');
  const more = responds ? '\n        allow_responses: { max: 1, expires: "1m" }' : '';
  return `    # ${name}
    { nkey: ${nkey}, permissions: {
        publish: { allow: [${list(publish)}] }
        subscribe: { allow: [${list(subscribe)}] }${more}
    } }`;
}
