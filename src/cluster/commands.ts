/** What a gateway may ask of an edge, by request and reply in JSON. */
import type { Subscription } from '@nats-io/transport-node';
import { z } from 'zod';
import type { DeviceListing, RecordingListing } from '../core/daemon-api.js';
import { EegError } from '../core/errors.js';
import type { Link } from './connection.js';
import type { Counters } from './counters.js';
import type { Edge } from './edge.js';
import { subjects } from './names.js';
import { ask, parseJson, replyOf } from './replies.js';

const command = z.discriminatedUnion('name', [
  z.object({ name: z.literal('devices') }),
  z.object({ name: z.literal('connect'), address: z.string().min(1).max(512) }),
  z.object({ name: z.literal('disconnect'), stream: z.string().max(64) }),
  z.object({
    name: z.literal('startRecording'),
    stream: z.string().max(64),
    format: z.enum(['xdf', 'edf']),
  }),
  z.object({ name: z.literal('stopRecording'), id: z.string().max(128) }),
  z.object({ name: z.literal('recordings') }),
]);
export type EdgeCommand = z.infer<typeof command>;

export interface EdgeReplies {
  devices: DeviceListing[];
  connect: { stream: string };
  disconnect: null;
  startRecording: RecordingListing;
  stopRecording: RecordingListing;
  recordings: RecordingListing[];
}

export function serveCommands(
  edge: Edge,
  { link, site, name, counters }: { link: Link; site: string; name: string; counters: Counters },
): Subscription {
  return link.nats.subscribe(subjects.command(site, name), {
    callback: (error, message) => {
      if (error !== null) return;
      void answer(edge, message.data, counters, message.subject).then((reply) =>
        message.respond(reply),
      );
    },
  });
}

function answer(edge: Edge, data: Uint8Array, counters: Counters, subject: string) {
  return replyOf(async () => {
    const asked = command.safeParse(parseJson(data));
    if (asked.success) return perform(edge, asked.data);
    counters.refuse('invalid', { subject }, 'expected a command of this version');
    throw new EegError('EEG_WS_INVALID_MESSAGE', 'expected a command of this version');
  });
}

async function perform(edge: Edge, asked: EdgeCommand): Promise<unknown> {
  switch (asked.name) {
    case 'devices':
      return edge.devices();
    case 'connect':
      return edge.connect(asked.address);
    case 'disconnect':
      edge.streams.disconnect(asked.stream);
      return null;
    case 'startRecording':
      return recorderOf(edge).start(asked.stream, asked.format);
    case 'stopRecording':
      return recorderOf(edge).stop(asked.id);
    case 'recordings':
      return edge.recorder?.list() ?? [];
  }
}

function recorderOf({ recorder }: Edge) {
  if (recorder !== undefined) return recorder;
  throw new EegError('EEG_USAGE', 'expected recording to be switched on, it is off');
}

/** Rejects with the edge's own error, or `EEG_CLUSTER_UNREACHABLE`. */
export function askEdge<N extends EdgeCommand['name']>(
  link: Link,
  { site, edge }: { site: string; edge: string },
  asked: Extract<EdgeCommand, { name: N }>,
): Promise<EdgeReplies[N]> {
  const to = { who: `the edge ${edge}`, subject: subjects.command(site, edge) };
  return ask<EdgeReplies[N]>(link, to, asked);
}
