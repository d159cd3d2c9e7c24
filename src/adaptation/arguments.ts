/** Arguments of the adaptation commands, as clients send them. */
import { z } from 'zod';
import { EegError } from '../core/errors.js';

const name = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,31}$/, 'expected up to 32 of a-z 0-9 _ -');
const label = z.string().trim().min(1).max(64);
export const startSchema = z.strictObject({
  task: name,
  classes: z.array(label).min(2).max(16),
  stream: z.string().optional(),
  /** Seconds of signal in a window. */
  windowS: z.int().min(1).max(10).default(4),
  /** Seconds that a mark stands for, the window's where absent; longer, windows are shifted. */
  trialS: z.number().min(1).max(50).optional(),
  hopS: z.number().min(0.25).max(10).default(0.5),
  /** New experts a block. */
  experts: z.int().min(1).max(2).default(1),
  /** Task of the base to start from. */
  like: z.string().optional(),
  /** Of the amplifier: what is marked at t is in the signal of t + latency. */
  latencyS: z.number().min(-1).max(5).default(0),
  /** Marker texts of the stream or of LSL that stand for classes. */
  markers: z.record(z.string(), label).default({}),
  /** Serve what passes the gate without being asked. */
  auto: z.boolean().default(true),
  seed: z
    .int()
    .min(0)
    .max(2 ** 31)
    .default(1),
  actor: z.string().max(64).optional(),
});
export const labelSchema = z.strictObject({
  label,
  stream: z.string().optional(),
  /** LSL seconds; now where absent. */
  startS: z.number().optional(),
  durationS: z.number().min(1).max(50).optional(),
  /** Number of a stored label that is to be called so. */
  id: z.int().nonnegative().optional(),
});
export const undoSchema = z.strictObject({
  id: z.int().nonnegative().optional(),
  stream: z.string().optional(),
});
export const plainSchema = z.strictObject({
  stream: z.string().optional(),
  actor: z.string().max(64).optional(),
});
export const exportSchema = z.strictObject({
  subject: z
    .string()
    .regex(/^[A-Za-z0-9]{1,32}$/)
    .default('01'),
});

export type StartArguments = z.infer<typeof startSchema>;

export type LabelArguments = z.infer<typeof labelSchema>;

/** Throws `EEG_USAGE` naming the field at fault. */
export function parse<T>(schema: z.ZodType<T>, args: Readonly<Record<string, unknown>>): T {
  const result = schema.safeParse(args);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const where = issue?.path.join('.') ?? '';
  throw new EegError('EEG_USAGE', `${where === '' ? 'arguments' : where}: ${issue?.message}`);
}
