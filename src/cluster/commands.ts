/** What a gateway may ask of an edge, by request and reply in JSON. */
import type { Subscription } from '@nats-io/transport-node';
import { z } from 'zod';
import type { DeviceListing, RecordingListing } from '../core/daemon-api.js';
import { EegError, type ErrorCode, errorTable, toEegError } from '../core/errors.js';
import type { Link } from './connection.js';
import type { Counters } from './counters.js';
import type { Edge } from './edge.js';
import { subjects } from './names.js';

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

const replyMsMax = 25_000;

export function serveCommands(
  edge: Edge,
  { link, site, name, counters }: { link: Link; site: string; name: string; counters: Counters },
): Subscription {
  return link.nats.subscribe(subjects.command(site, name), {
    callback: (error, message) => {
      if (error !== null) return;
      void answer(edge, message.data, counters, message.subject).then((reply) =>
        message.respond(JSON.stringify(reply)),
      );
    },
  });
}

async function answer(edge: Edge, data: Uint8Array, counters: Counters, subject: string) {
  try {
    const asked = command.safeParse(parse(data));
    if (!asked.success) {
      counters.refuse('invalid', { subject }, 'expected a command of this version');
      throw new EegError('EEG_WS_INVALID_MESSAGE', 'expected a command of this version');
    }
    return { result: await perform(edge, asked.data) };
  } catch (error) {
    const { code, message, hint } = toEegError(error);
    return { error: { code, message, hint } };
  }
}

function parse(data: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(data).toString('utf8'));
  } catch {
    return undefined;
  }
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
export async function askEdge<N extends EdgeCommand['name']>(
  link: Link,
  { site, edge }: { site: string; edge: string },
  asked: Extract<EdgeCommand, { name: N }>,
): Promise<EdgeReplies[N]> {
  let text: string;
  try {
    const options = { timeout: replyMsMax };
    const reply = await link.nats.request(
      subjects.command(site, edge),
      JSON.stringify(asked),
      options,
    );
    text = reply.string();
  } catch (cause) {
    throw new EegError('EEG_CLUSTER_UNREACHABLE', `the edge ${edge} did not answer`, { cause });
  }
  const reply = JSON.parse(text) as {
    result: EdgeReplies[N];
    error?: { code: string; message: string; hint: string };
  };
  if (reply.error === undefined) return reply.result;
  const { code, message, hint } = reply.error;
  throw new EegError((code in errorTable ? code : 'EEG_INTERNAL') as ErrorCode, message, { hint });
}
