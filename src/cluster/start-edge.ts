/** An edge from its configuration: the parts that need a link are added once there is one. */
import { join } from 'node:path';
import { discoverDevices, driverFor } from '../../drivers/registry.js';
import type { Config } from '../config/schema.js';
import { toEegError } from '../core/errors.js';
import type { Logger } from '../core/log.js';
import { foldersOf } from '../daemon/start.js';
import { Recordings } from '../sinks/recordings.js';
import { serveCommands } from './commands.js';
import { type Link, openLink } from './connection.js';
import { Edge } from './edge.js';
import { relayEvents } from './event-relay.js';
import { LateBoard } from './late-board.js';
import { buckets } from './names.js';
import { openObjects } from './resources.js';
import { linkConfig, localEngine, nameOf } from './roles.js';
import { Spool } from './spool.js';

export interface RunningEdge {
  readonly edge: Edge;
  close(): Promise<void>;
}

const publishTimeoutMs = 800;

/** Starts without a link too: then it predicts by itself where it may. */
export async function startEdge(config: Config, log: Logger): Promise<RunningEdge> {
  const { site, partitions, people, predictLocally, staleS } = config.cluster;
  const name = nameOf(config, 'edge');
  const folders = foldersOf(config);
  let link: Link | undefined;
  const linking = openLink(linkConfig(config), { role: 'edge', site, name, log, wait: true });
  const linked = () => {
    if (link === undefined) throw new Error('no link to NATS yet');
    return link;
  };
  const engine = predictLocally ? await localEngine(config, log) : undefined;
  const board = new LateBoard(join(folders.state, 'cluster-active.json'), log);
  const spool = config.cluster.spool
    ? new Spool({
        ...{ folder: join(folders.state, 'outages', name), log },
        send: async (file, bytes) => {
          await sendRecording(linked(), site, `${name}/${file}`, bytes);
          edge.counters.add('recordings_sent');
        },
      })
    : undefined;
  const edge: Edge = new Edge({
    ...{ site, name, partitions, board, log, engine, staleS },
    publish: async (subject, bytes, msgID) => {
      await linked().js.publish(subject, bytes, { msgID, timeout: publishTimeoutMs, retries: 0 });
    },
    driverFor: (address) => driverFor(address),
    discover: async () => (await discoverDevices()).devices,
    personOf: (stream) => people[stream] ?? '',
    ...(spool === undefined ? {} : { spool }),
  });
  edge.recorder = new Recordings({
    folder: folders.recordings,
    onUpdate: (update) => edge.events$.next(update),
  });
  let stopRelay = () => {};
  const adding = linking.then((opened) => {
    link = opened;
    const where = { link, site, counters: edge.counters };
    stopRelay = relayEvents(edge.events$, { ...where, edge: name });
    serveCommands(edge, { ...where, name });
    board.follow(link);
  });
  adding.catch((error: unknown) => log.error(toEegError(error).line));
  connectStreams(edge, config, log);
  const close = async () => {
    await edge.close();
    stopRelay();
    board.close();
    await link?.close();
  };
  return { edge, close };
}

async function sendRecording(link: Link, site: string, name: string, bytes: Uint8Array) {
  const objects = await openObjects(link, buckets.recordings(site));
  await objects.putBlob({ name }, bytes);
}

function connectStreams(edge: Edge, { streams }: Config, log: Logger): void {
  for (const { address, mainsHz, tasks } of streams)
    edge.connect(address, { mainsHz, tasks, waitS: Number.POSITIVE_INFINITY }).then(
      ({ stream }) => log.info({ stream, address }, 'stream connected'),
      (error: unknown) => log.error({ address }, toEegError(error).line),
    );
}
