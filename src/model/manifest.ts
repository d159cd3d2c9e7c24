/** The manifest of a checkpoint: what is in it, checked field by field before anything is built. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { EegError } from '../core/errors.js';
import type { Architecture } from './architecture.js';

export const manifestBytesMax = 1 << 20;
/** Raised when the signal path changes what the model sees. */
export const preprocessingVersion = 'eegd-200hz/1';

const name = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'expected letters, digits, . _ -');
const count = (low: number, high: number) => z.number().int().min(low).max(high);
const share = z.number().min(0).max(1);

/** Shares of the classes; none is 0, so that nothing is ever ruled out. */
const distribution = z
  .array(z.number().positive().max(1))
  .min(2)
  .max(64)
  .refine((p) => Math.abs(p.reduce((a, b) => a + b, 0) - 1) < 1e-3, 'does not sum to 1');
const transitionsSchema = z
  .strictObject({
    matrix: z.array(distribution).min(2).max(64),
    prior: distribution,
    learnedPrior: distribution,
    evidence: z.number().positive().max(1),
  })
  .refine(
    ({ matrix, prior, learnedPrior }) =>
      [...matrix, prior, learnedPrior].every((row) => row.length === matrix.length),
    'expected a square matrix, and priors of its size',
  );

const taskSchema = z.strictObject({
  name,
  classes: z.array(z.string().min(1).max(64)).min(2).max(64),
  windowS: count(1, 60),
  hopS: z.number().positive().max(60),
  contextWindows: count(0, 20),
  history: z.boolean().exactOptional(),
  apart: z.boolean().exactOptional(),
  minValid: share,
  temperature: z.number().positive().max(100),
  smoothing: z.number().positive().max(1),
  transitions: transitionsSchema.optional(),
  event: z
    .strictObject({ label: z.string().min(1), on: share, off: share, hold: count(1, 1000) })
    .optional(),
});

const moeSchema = z.strictObject({
  blocks: z.array(count(0, 31)).min(1).max(32),
  experts: count(2, 64),
  topK: count(1, 8),
  taskAware: z.boolean(),
});

export const architectureSchema = z
  .strictObject({
    version: z.literal(1, 'unknown architecture version; expected 1'),
    width: count(8, 1024),
    heads: count(1, 32),
    ffn: count(8, 8192),
    trunkBlocks: count(1, 32),
    latents: count(1, 32),
    local: z.boolean().exactOptional(),
    taskBlocks: count(1, 32),
    taskSlots: count(1, 256),
    moe: moeSchema.nullable(),
    tasks: z.array(taskSchema).min(1).max(256),
  })
  .superRefine((arch, context) => {
    const fault = (path: (string | number)[], message: string) =>
      context.addIssue({ code: 'custom', path, message });
    if (arch.width % arch.heads !== 0) fault(['heads'], `does not divide the width ${arch.width}`);
    if (arch.tasks.length > arch.taskSlots) fault(['tasks'], 'more tasks than taskSlots');
    const names = arch.tasks.map((task) => task.name);
    if (new Set(names).size < names.length) fault(['tasks'], 'two tasks of one name');
    for (const [i, task] of arch.tasks.entries())
      if (task.transitions !== undefined && task.transitions.prior.length !== task.classes.length)
        fault(['tasks', i, 'transitions'], 'expected a row for every class');
    for (const [i, { history, hopS, windowS }] of arch.tasks.entries())
      if (history === true && hopS < windowS)
        fault(['tasks', i, 'history'], 'expected windows that do not overlap');
    for (const [i, task] of arch.tasks.entries())
      if (task.event !== undefined && !task.classes.includes(task.event.label))
        fault(['tasks', i, 'event', 'label'], 'is not one of the classes');
    const { moe } = arch;
    if (moe === null) return;
    if (moe.topK > moe.experts) fault(['moe', 'topK'], 'more than the experts');
    if (
      moe.blocks.some((block) => block >= arch.taskBlocks) ||
      new Set(moe.blocks).size < moe.blocks.length
    )
      fault(['moe', 'blocks'], `expected different blocks below ${arch.taskBlocks}`);
  });

const free = z.record(z.string(), z.json());
const values = z.array(z.number()).max(100_000);

const weightsSchema = z.strictObject({
  bytes: z.number().int().positive(),
  type: z.enum(['F32', 'F16']),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});

export const manifestSchema = z.strictObject({
  format: z.literal('eegd-checkpoint'),
  version: z.literal(1, 'unknown manifest version; expected 1'),
  name,
  release: name,
  /** False: seeded random weights; every prediction says so. */
  trained: z.boolean(),
  preprocessing: z.literal(preprocessingVersion),
  architecture: architectureSchema,
  weights: weightsSchema,
  /** Absent: float32. */
  arithmetic: z.literal('int8').optional(),
  golden: z.strictObject({ seed: count(0, 2 ** 32 - 1), latents: values, logits: values }),
  /** Free text and numbers: where the data came from, and how good the model is. */
  data: free,
  metrics: free,
  /** `digestOf` the fields above: damage to the manifest itself shows. */
  digest: z.string().regex(/^[0-9a-f]{64}$/),
});

const linearMap = {
  mean: values,
  sd: z.array(z.number().positive()).max(100_000),
  weights: values,
  bias: z.array(z.number()).min(2).max(64),
};

type Sizes = Record<'mean' | 'sd' | 'weights' | 'bias', readonly number[]>;
const isWhole = ({ mean, sd, weights, bias }: Sizes) =>
  sd.length === mean.length && weights.length === mean.length * bias.length;

const readoutSchema = z
  .strictObject({
    alignment: z.enum(['none', 'zscore', 'euclidean']),
    channels: z.array(z.string().max(64)).min(1).max(256),
    ...linearMap,
    covariance: z.strictObject({ reference: values, ...linearMap }).optional(),
  })
  .refine(
    (readout) =>
      readout.mean.length % readout.channels.length === 0 &&
      isWhole(readout) &&
      (readout.covariance === undefined || isWhole(readout.covariance)),
    'expected mean and sd of each feature, and a weight for each feature and class',
  )
  .refine(({ channels: { length }, covariance, bias }) => {
    if (covariance === undefined) return true;
    const { reference, mean } = covariance;
    // Two bands of pairs of channels.
    return (
      reference.length === length * (length + 1) &&
      mean.length === reference.length &&
      covariance.bias.length === bias.length
    );
  }, 'expected covariances of each pair of channels in two bands');

/** Of an expert pack: only what was grown, and onto which base. */
export const packManifestSchema = z.strictObject({
  format: z.literal('eegd-expert-pack'),
  /** 2 where the read-out looks at covariances too, which no earlier eegd computes. */
  version: z.union([z.literal(1), z.literal(2)], 'unknown manifest version; expected 1 or 2'),
  name,
  release: name,
  trained: z.boolean(),
  preprocessing: z.literal(preprocessingVersion),
  base: z.strictObject({
    id: z.string().min(1).max(200),
    sha256: z.string().regex(/^[0-9a-f]{64}$/),
  }),
  task: taskSchema,
  blocks: z.array(count(0, 31)).max(32),
  experts: count(1, 2),
  readout: readoutSchema.optional(),
  weights: weightsSchema,
  /** Logits of the pack's task for the base's golden input. */
  golden: z.strictObject({ logits: values }),
  data: free,
  metrics: free,
  digest: z.string().regex(/^[0-9a-f]{64}$/),
});

export type PackManifest = z.infer<typeof packManifestSchema>;

export type Manifest = z.infer<typeof manifestSchema>;

/** SHA-256 of a manifest's JSON, without its `digest`. */
export function digestOf(manifest: object): string {
  const rest = { ...manifest, digest: undefined };
  return createHash('sha256').update(JSON.stringify(rest)).digest('hex');
}

/** A manifest's text, with its digest. */
export function manifestText(fields: object): string {
  const plain = JSON.parse(JSON.stringify(fields)) as object;
  return `${JSON.stringify({ ...plain, digest: digestOf(plain) })}\n`;
}

/** Reads a manifest's text. Throws `EEG_MODEL_INVALID` naming every field at fault. */
export function parseManifest<T extends { digest: string }>(
  text: string,
  schema: z.ZodType<T>,
  where: string,
): T {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new EegError('EEG_MODEL_INVALID', `${where} is not valid JSON (truncated?)`, { cause });
  }
  const result = schema.safeParse(json);
  if (result.success) {
    if (result.data.digest !== digestOf(json as object))
      throw new EegError('EEG_MODEL_INVALID', `${where}: digest is not that of the other fields`);
    return result.data;
  }
  const faults = result.error.issues
    .slice(0, 10)
    .map((issue) => `${issue.path.join('.') || 'the top level'}: ${issue.message}`);
  throw new EegError('EEG_MODEL_INVALID', `${where}: ${faults.join('; ')}`);
}

/** The architecture as the rest of the model types it. */
export function architectureOf(manifest: Pick<Manifest, 'architecture'>): Architecture {
  return manifest.architecture as Architecture;
}
