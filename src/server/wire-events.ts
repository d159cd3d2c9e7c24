/**
 * What the server sends about streams, predictions and checkpoints, as zod schemas. They describe
 * the types of src/core/events.ts; test/server/wire-events.test.ts does not compile where the two
 * differ.
 */
import { z } from 'zod';
import type { Topic } from './topics.js';

export const streamId = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]{0,63}$/)
  .describe('id of a stream, stable over reconnects');
const seconds = z.number().describe('LSL seconds: the monotonic clock of the machine');
/** JSON has no NaN: a measure that is not known is `null`. */
const measure = z.number().nullable();
const probabilities = z.record(z.string(), z.number().min(0).max(1));

const windowOf = {
  stream: streamId,
  task: z.string(),
  seq: z.int().min(0).describe("counts this task's windows on this stream from 0, without holes"),
  windowStartS: seconds,
  windowEndS: seconds,
  startSample: z.int().describe('200 Hz index'),
  endSample: z.int().describe('200 Hz index, exclusive'),
  validity: z
    .number()
    .min(0)
    .max(1)
    .describe("share of the window's channel-seconds that are real"),
};

export const prediction = z.object({
  kind: z.literal('prediction'),
  ...windowOf,
  probabilities: probabilities.describe('calibrated, sums to 1'),
  smoothed: probabilities.describe("after the task's smoothing"),
  label: z.string(),
  checkpoint: z.string().describe('name@version'),
  trained: z.boolean().describe('false: seeded weights that were never trained; not for use'),
  latency: z.object({
    queueMs: z.number().describe("last sample's arrival to the start of the run"),
    runMs: z.number(),
    totalMs: z.number().describe("last sample's arrival to the prediction"),
  }),
});

export const noPrediction = z.object({
  kind: z.literal('no_prediction'),
  ...windowOf,
  reason: z.enum([
    'gap',
    'bad_channels',
    'no_usable_channel',
    'warming_up',
    'stale',
    'overload',
    'engine_failed',
  ]),
  detail: z.string().optional(),
});

export const taskEvent = z.object({
  kind: z.literal('event'),
  stream: streamId,
  task: z.string(),
  id: z.int(),
  phase: z.enum(['begin', 'end']),
  label: z.string(),
  stampS: seconds,
  peak: z.number(),
});

export const streamStatus = z.object({
  kind: z.literal('status'),
  stream: streamId,
  name: z.string(),
  driver: z.string(),
  state: z.enum(['connecting', 'streaming', 'silent', 'lost', 'ended', 'failed']),
  detail: z.string().optional(),
  nominalRateHz: z.number(),
  rateHz: measure.describe('estimated from the stamps; 0 until known'),
  channels: z.array(z.string()),
  samples: z.number(),
  lostSamples: z.number(),
  discardedBytes: z.number(),
  lastSampleS: measure,
  clockOffsetS: z
    .number()
    .optional()
    .describe("this machine's clock minus the source's, s, where it has one (LSL)"),
});

export const qualityReport = z.object({
  kind: z.literal('quality'),
  stream: streamId,
  stampS: seconds,
  channels: z.array(
    z.object({
      label: z.string(),
      state: z.enum(['good', 'flat', 'railed', 'mains', 'gap', 'nan', 'noisy']),
      rmsUv: measure,
      mainsRatio: measure.describe('power at 50/60 Hz over power of 1-45 Hz'),
    }),
  ),
});

export const marker = z.object({
  kind: z.literal('marker'),
  stream: streamId,
  stampS: seconds,
  text: z.string(),
});

export const checkpointChange = z.object({
  kind: z.literal('checkpoint'),
  phase: z.enum(['loading', 'verified', 'shadow', 'active', 'failed', 'rolled_back']),
  checkpoint: z.string(),
  previous: z.string().optional(),
  detail: z.string().optional(),
  tasks: z.array(z.string()).optional().describe('with active: the tasks served from now on'),
});

export const recordingUpdate = z.object({
  kind: z.literal('recording'),
  stream: streamId,
  id: z.string().describe('file name in the folder of recordings'),
  phase: z.enum(['started', 'stopped', 'failed']),
  samples: z.number().int().nonnegative(),
  code: z.string().optional().describe('with failed: an error code'),
  detail: z.string().optional(),
});

export const adaptationUpdate = z.object({
  kind: z.literal('adaptation'),
  stream: streamId,
  body: z.record(z.string(), z.unknown()),
});

export const routing = z
  .array(z.array(z.array(z.number())))
  .describe('[MoE blocks][tasks][experts]: running share of tokens');

/** Once a second: what the engine is doing. Made by the server from the daemon's snapshot. */
export const engineStatus = z.object({
  kind: z.literal('engine'),
  checkpoint: z.string(),
  trained: z.boolean(),
  engine: z.string(),
  degraded: z.string().optional().describe('why the engine is not on its device any more'),
  tasks: z.array(z.string()),
  routing,
  latencyMsP50: z.record(z.string(), measure),
});

export type EngineStatus = z.infer<typeof engineStatus>;

/** JSON events of each topic; `signal` is binary and has its own header (signal-frame.ts). */
export const topicEvents = {
  predictions: z.discriminatedUnion('kind', [prediction, noPrediction]),
  events: taskEvent,
  status: streamStatus,
  quality: qualityReport,
  adaptation: adaptationUpdate,
  markers: marker,
  checkpoints: checkpointChange,
  recordings: recordingUpdate,
  engine: engineStatus,
} as const satisfies Record<Exclude<Topic, 'signal'>, z.ZodType>;

/** Any JSON event, as a client reads it. */
export type WireEvent = z.infer<(typeof topicEvents)[keyof typeof topicEvents]>;
