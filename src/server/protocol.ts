/**
 * The WebSocket protocol, version 1: what a client may send and what it gets, as zod schemas.
 * API.md and docs/asyncapi.json are made from these; the session answers by them.
 */
import { z } from 'zod';
import { type ErrorCode, errorTable } from '../core/errors.js';
import { topics } from './topics.js';
import {
  checkpointChange,
  marker,
  noPrediction,
  prediction,
  qualityReport,
  routing,
  streamId,
  streamStatus,
  taskEvent,
  topicEvents,
} from './wire-events.js';

export const protocolVersion = 1;
export const subprotocol = 'eegd.v1';

export const scopes = ['read', 'operate', 'train'] as const;
export type Scope = (typeof scopes)[number];

const name = /^[a-z0-9][a-z0-9._-]{0,63}$/;
const taskName = z.string().regex(name);
const packNames = /(\+[A-Za-z0-9][\w-]{0,63}@[\w.-]{1,64})*$/;
const checkpointName = z
  .string()
  .max(1024)
  .regex(new RegExp(`^[a-z0-9][a-z0-9._-]{0,63}(@[a-z0-9][a-z0-9._-]{0,63})?${packNames.source}`))
  .refine((text) => !text.includes('..'), 'no ".."')
  .describe('name@version, or name for the newest; with expert packs base@1+pack@2+...');
const recordingId = z.string().min(1).max(128);
const format = z.enum(['xdf', 'edf']);
const adaptArguments = z
  .record(z.string().max(64), z.unknown())
  .default({})
  .describe('documented in API.md, Adaptation');

const device = z.object({
  address: z.string(),
  driver: z.string(),
  name: z.string(),
  detail: z.string(),
  connected: z.boolean(),
});
const checkpoint = z.object({
  checkpoint: z.string(),
  trained: z.boolean(),
  active: z.boolean(),
  previous: z.boolean(),
  tasks: z.array(z.string()),
  parameters: z.number(),
});
const recording = z.object({
  id: z.string(),
  stream: streamId,
  format,
  samples: z.number(),
  running: z.boolean(),
});
const task = z.object({
  name: z.string(),
  classes: z.array(z.string()),
  windowS: z.number(),
  hopS: z.number(),
  contextWindows: z.number(),
  minValid: z.number(),
  temperature: z.number(),
  smoothing: z.number(),
  transitions: z
    .object({
      matrix: z.array(z.array(z.number())),
      prior: z.array(z.number()),
      learnedPrior: z.array(z.number()),
      evidence: z.number(),
    })
    .optional()
    .describe('decisions by a Markov chain over the windows, in the place of smoothing'),
  event: z
    .object({ label: z.string(), on: z.number(), off: z.number(), hold: z.number() })
    .optional(),
});
export const snapshot = z.object({
  version: z.string(),
  checkpoint: z.string(),
  trained: z.boolean(),
  engine: z.string(),
  degraded: z.string().optional().describe('why the engine is not on its device any more'),
  tasks: z.array(task),
  streams: z.array(streamStatus),
  routing,
  latencyMsP50: z.record(z.string(), z.number().nullable()),
  lastCheckpointChange: checkpointChange.optional(),
  latest: z
    .array(z.discriminatedUnion('kind', [prediction, noPrediction, qualityReport]))
    .describe('the last of each stream and task, and the last quality report of each stream'),
});
export type Snapshot = z.infer<typeof snapshot>;

export const historyPoint = z.tuple([
  z.number().describe('windowEndS'),
  z.string().nullable().describe('label; null where there was no prediction'),
  z.array(z.number()).describe('smoothed probabilities in the order of the classes'),
]);
export type HistoryPoint = z.infer<typeof historyPoint>;

interface Command {
  readonly scope: Scope;
  readonly summary: string;
  readonly input: z.ZodRawShape;
  readonly result: z.ZodType;
}
const command = <I extends z.ZodRawShape, R extends z.ZodType>(
  scope: Scope,
  summary: string,
  input: I,
  result: R,
) => ({ scope, summary, input, result }) satisfies Command;

const empty = z.object({});
const adapt = (scope: Scope, summary: string) =>
  command(scope, summary, { args: adaptArguments }, z.record(z.string(), z.unknown()));

/** Every command but `auth`, with the scope it needs, its fields and its result. */
export const commands = {
  ping: command('read', 'Answered at once; keeps proxies awake.', {}, empty),
  snapshot: command('read', 'The whole state now.', {}, snapshot),
  subscribe: command(
    'read',
    'Answers a snapshot, then sends what matches. Absent streams or tasks mean all.',
    {
      topics: z.array(z.enum(topics)).min(1).max(topics.length),
      streams: z.array(streamId).max(64).optional(),
      tasks: z.array(taskName).max(64).optional(),
    },
    z.object({ subscription: z.int(), snapshot }),
  ),
  unsubscribe: command('read', 'Ends one subscription.', { subscription: z.int() }, empty),
  history: command(
    'read',
    'Earlier predictions of one stream and task with its events and markers, oldest first.',
    { stream: streamId, task: taskName, limit: z.int().min(1).max(2048).default(2048) },
    z.object({
      classes: z.array(z.string()),
      points: z.array(historyPoint),
      events: z.array(z.discriminatedUnion('kind', [taskEvent, marker])),
    }),
  ),
  'devices.list': command(
    'read',
    'What can be connected.',
    {},
    z.object({ devices: z.array(device) }),
  ),
  'devices.connect': command(
    'operate',
    'Connects a device of the list.',
    { address: z.string().min(1).max(512) },
    z.object({ stream: streamId }),
  ),
  'devices.disconnect': command('operate', 'Ends a stream.', { stream: streamId }, empty),
  'checkpoints.list': command(
    'read',
    'What is installed, what serves.',
    {},
    z.object({ checkpoints: z.array(checkpoint) }),
  ),
  'checkpoints.load': command(
    'operate',
    'Verifies and warms a checkpoint beside the one that serves; shadowS runs both.',
    { checkpoint: checkpointName, shadowS: z.number().min(0).max(86_400).optional() },
    checkpointChange,
  ),
  'checkpoints.activate': command(
    'operate',
    'Swaps at a window boundary; no window is lost or answered twice.',
    { checkpoint: checkpointName },
    checkpointChange,
  ),
  'checkpoints.rollback': command('operate', 'Back to the previous one.', {}, checkpointChange),
  'recordings.list': command(
    'read',
    'Recordings that are running or have ended.',
    {},
    z.object({ recordings: z.array(recording) }),
  ),
  'recordings.start': command(
    'operate',
    'Records a stream with its predictions.',
    { stream: streamId, format: format.default('xdf') },
    recording,
  ),
  'recordings.stop': command('operate', 'Ends a recording.', { recording: recordingId }, recording),
  'adapt.start': adapt('train', 'Begins to learn a task.'),
  'adapt.label': adapt('train', 'Says what happened in a span of signal.'),
  'adapt.undo': adapt('train', 'Takes the last label back.'),
  'adapt.status': adapt('read', 'Labels, progress, accuracy.'),
  'adapt.commit': adapt('train', 'Activates what was learned, if it is good enough.'),
  'adapt.rollback': adapt('train', 'Takes the learned expert out again.'),
  'adapt.export': adapt('train', 'Writes the labelled data as BIDS.'),
} as const satisfies Record<string, Command>;

export type CommandName = keyof typeof commands;
export type CommandInput<N extends CommandName> = z.output<
  z.ZodObject<(typeof commands)[N]['input']>
>;
/** What a client writes: fields with a default may be left out. */
export type CommandFields<N extends CommandName> = z.input<
  z.ZodObject<(typeof commands)[N]['input']>
>;
export type CommandResult<N extends CommandName> = z.output<(typeof commands)[N]['result']>;

const id = z.int().min(0).describe("the client's number for this request, echoed in its result");

export const authMessage = z.strictObject({
  id: id.default(0),
  type: z.literal('auth'),
  token: z.string().min(1).max(1024),
});

/** The message of each command, strict: an unknown field is an error. */
export const commandMessages = Object.fromEntries(
  Object.entries(commands).map(([type, { input }]) => [
    type,
    z.strictObject({ id, type: z.literal(type), ...input }),
  ]),
) as unknown as Record<CommandName, z.ZodType<{ id: number; type: CommandName }>>;

/** What every message has, read first so that an error can name its request. */
export const envelope = z.looseObject({ id, type: z.string().max(64) });

const errorCodes = Object.keys(errorTable) as [ErrorCode, ...ErrorCode[]];
export const wireError = z.object({
  code: z.enum(errorCodes),
  message: z.string().describe('what was expected and what came'),
  hint: z.string().describe('what to do next'),
  retryable: z.boolean(),
});
export type WireError = z.infer<typeof wireError>;

export const hello = z.object({
  type: z.literal('hello'),
  protocol: z.literal(protocolVersion),
  versionMin: z.int(),
  versionMax: z.int(),
  server: z.string().describe('eegd/version'),
  features: z.array(z.string()),
  authRequired: z.boolean(),
  scopes: z.array(z.enum(scopes)).describe('what this connection may do now'),
});

export const result = z.discriminatedUnion('success', [
  z.object({ id, type: z.literal('result'), success: z.literal(true), result: z.unknown() }),
  z.object({ id, type: z.literal('result'), success: z.literal(false), error: wireError }),
]);

const eventTopics = Object.keys(topicEvents) as (keyof typeof topicEvents)[];
export const eventMessage = z.object({
  type: z.literal('event'),
  topic: z.enum(eventTopics as [keyof typeof topicEvents]),
  event: z.union(eventTopics.map((topic) => topicEvents[topic])),
});

/** Sent before the first binary frame of a stream. */
export const streamMessage = z.object({
  type: z.literal('stream'),
  handle: z.int(),
  stream: streamId,
});

/** The client was too slow and these were left out; the latest of each kind followed. */
export const laggedMessage = z.object({ type: z.literal('lagged'), dropped: z.int() });

/** About a message whose id could not be read, or about the connection. */
export const errorMessage = z.object({ type: z.literal('error'), error: wireError });

export const serverMessage = z.union([
  hello,
  result,
  eventMessage,
  streamMessage,
  laggedMessage,
  errorMessage,
]);

export type Hello = z.infer<typeof hello>;
export type ServerMessage = z.infer<typeof serverMessage>;
