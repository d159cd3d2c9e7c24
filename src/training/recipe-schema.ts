/**
 * The YAML recipe of a training run, field by field. Everything that can be known wrong without
 * looking at the data is found in one pass and named by its path.
 */
import { z } from 'zod';
import { architectureSchema } from '../model/manifest.js';

const text = z.string().min(1).max(200);
const share = z.number().min(0).max(1);
const count = (low: number, high: number) => z.number().int().min(low).max(high);
const positive = z.number().positive();
const range = z.tuple([positive, positive]);

export const layouts = [
  'bids',
  'sleep-edf',
  'chb-mit',
  'eegmmidb',
  'bci-iv',
  'xdf',
  'sleep-powers',
] as const;

/** Patterns are names of people (or, by recording, of recordings) in which `*` stands for any. */
const splitSchema = z.strictObject({
  by: z.enum(['subject', 'recording']).default('subject'),
  /** Default: all that the other sides leave. */
  train: z.array(text).optional(),
  validation: z.array(text).default([]),
  test: z.array(text).default([]),
});

const setSchema = z.strictObject({
  layout: z.enum(layouts),
  /** Below the data folder. */
  path: text,
  split: splitSchema.prefault({}),
  /** Take these recordings only. */
  include: z.array(text).optional(),
  /** Take these electrodes only; a recording that lacks one is an error. */
  channels: z.array(text).optional(),
  /** BIDS: column of events.tsv that holds the label. */
  labelColumn: text.optional(),
  /** Each labelled span is a stream of its own: segments that were never one recording. */
  spansAsStreams: z.boolean().default(false),
  /** Each stream is amplified by a seeded random factor between these. */
  gain: range.optional(),
  /** XDF: seconds a marker lasts. */
  markerS: positive.optional(),
  /** Sleep-EDF: wake kept around the night, s. */
  wakeAroundS: positive.optional(),
  generator: z
    .strictObject({
      excerptsPerNight: count(1, 100),
      minutes: range,
      backgrounds: z.array(text).default([]),
      /** Spectra of electrodes and people lie so much further apart than those measured. */
      spread: positive.optional(),
      /** Amplifiers differ in what they let through below the band. */
      coupling: z.boolean().optional(),
    })
    .optional(),
});

const sourceSchema = z.strictObject({
  set: text,
  /** Label of the data to class of the task; `*` is every moment of every recording. */
  labels: z.record(text, text),
  /** Windows lie on the stream's hops (as live) or begin with the span (trials). */
  align: z.enum(['stream', 'span']).default('stream'),
  /** Least share of a window that must carry its label. */
  share: share.default(0.6),
  /** Use only this much of each recording, s: classes must not differ in their time of day. */
  untilS: positive.optional(),
  /** Part of the task's windows drawn from this source, relative to its other sources. */
  weight: positive.default(1),
  /** At most this many channels of a recording enter a training window, drawn anew each time. */
  channelsMax: count(1, 256).default(16),
  /** False: learned from only; its figures would say nothing (one class). */
  judged: z.boolean().default(true),
});

const augmentationFields = {
  /** Probability that left and right are exchanged; a task's `mirrored` says what becomes of it. */
  mirror: share,
  /** Probability that a channel is dropped; one is always left. */
  channelDropout: share,
  /** Windows begin up to this much off their place, s (on the 0.25 s grid). */
  timeShiftS: z.number().min(0).max(30),
  /** Standard deviation of the log of a channel's gain. */
  amplitudeSd: z.number().min(0).max(2),
  /** Standard deviation, dB, of a smooth random frequency response of each channel. */
  equaliserDb: z.number().min(0).max(20),
  /** Probability that all channels are taken against one of them, or their mean. */
  rereference: share,
  /** Noise in units of the running scale. */
  noiseSd: z.number().min(0).max(1),
};
const changedAugmentation = z.strictObject({
  mirror: augmentationFields.mirror.exactOptional(),
  channelDropout: augmentationFields.channelDropout.exactOptional(),
  timeShiftS: augmentationFields.timeShiftS.exactOptional(),
  amplitudeSd: augmentationFields.amplitudeSd.exactOptional(),
  equaliserDb: augmentationFields.equaliserDb.exactOptional(),
  rereference: augmentationFields.rereference.exactOptional(),
  noiseSd: augmentationFields.noiseSd.exactOptional(),
});

export const augmentationSchema = z.strictObject({
  mirror: augmentationFields.mirror.default(0),
  channelDropout: augmentationFields.channelDropout.default(0.1),
  timeShiftS: augmentationFields.timeShiftS.default(1),
  amplitudeSd: augmentationFields.amplitudeSd.default(0.15),
  equaliserDb: augmentationFields.equaliserDb.default(0),
  rereference: augmentationFields.rereference.default(0.15),
  noiseSd: augmentationFields.noiseSd.default(0.05),
});

const trainedTaskSchema = z.strictObject({
  name: text,
  classes: z.array(text).min(2).max(64),
  windowS: count(1, 60),
  hopS: positive,
  contextWindows: count(0, 20).default(0),
  history: z.boolean().exactOptional(),
  apart: z.boolean().exactOptional(),
  minValid: share.default(0.5),
  smoothing: z.number().positive().max(1).default(1),
  /** How classes follow each other is counted on the training side, and decisions use it. */
  transitions: z.literal('learned').optional(),
  event: z.strictObject({ label: text, on: share, off: share, hold: count(1, 1000) }).optional(),
  /** Classes are drawn by (number of windows)^(1 - balance): 1 = all alike. */
  balance: share.default(0.5),
  /** Classes that name a side: what each is in a mirrored window. */
  mirrored: z.record(text, text).optional(),
  /** Rows of a batch; the sampling temperature is applied where absent. */
  rows: count(0, 512).optional(),
  /** What of the recipe's augmentation is otherwise for this task. */
  augmentation: changedAugmentation.optional(),
  sources: z.array(sourceSchema).min(1),
});

export const trainingSchema = z.strictObject({
  steps: count(1, 10_000_000),
  /** Rows of a step, over all tasks. */
  rows: count(1, 4096).default(16),
  learningRate: positive.default(1e-3),
  warmupSteps: count(0, 1_000_000).default(50),
  /** Step from which the rate warms up and falls a second time. */
  rewarmAt: count(1, 10_000_000).optional(),
  /** Last learning rate, as a share of the first. */
  finalShare: share.default(0.02),
  weightDecay: z.number().min(0).default(0.05),
  clipNorm: positive.default(1),
  /** Decay of the averaged weights that are validated and saved; 0 = none. */
  ema: z.number().min(0).max(1).default(0),
  /** Tasks are drawn in proportion to (number of windows)^(1/temperature). */
  temperature: positive.default(5),
  balanceWeight: z.number().min(0).default(0.01),
  /** Balance without a loss: after each step the router's bias moves so much (Wang et al. 2024). */
  balanceBias: z.number().min(0).optional(),
  zWeight: z.number().min(0).default(1e-3),
  labelSmoothing: share.default(0),
  saveEvery: count(1, 1_000_000).default(100),
  validateEvery: count(1, 1_000_000).default(200),
  /** Windows of each task a validation looks at; all where absent. */
  validationWindows: count(1, 1_000_000).optional(),
  frozenTrunk: z.boolean().default(false),
  /** Begin with the optimiser's state of the run that is gone on from. */
  keepOptimiser: z.boolean().optional(),
});

const modelSchema = z.strictObject({
  width: count(8, 1024).default(160),
  heads: count(1, 32).default(5),
  ffn: count(8, 8192).default(640),
  trunkBlocks: count(1, 32).default(4),
  latents: count(1, 32).default(4),
  local: z.boolean().exactOptional(),
  taskBlocks: count(1, 32).default(4),
  taskSlots: count(1, 256).default(16),
});

const maskedSchema = z.strictObject({
  windowS: count(1, 60).default(8),
  maskShare: z.number().min(0.1).max(0.9).default(0.52),
  channelsMax: count(1, 256).default(8),
  sets: z.array(text).min(1),
});

const upcycleSchema = z.strictObject({
  blocks: z.array(count(0, 31)).min(1),
  experts: count(2, 32).default(8),
  topK: count(1, 8).default(2),
  taskAware: z.boolean().default(true),
  /** Share of each expert's hidden units drawn anew (Drop-Upcycling); 0 = exact copies. */
  reinitialised: share.default(0),
  /** Hand on the optimiser's state of the run upcycled from: experts inherit that of their FFN. */
  optimiser: z.boolean().optional(),
});

const foldSchema = z.strictObject({
  task: text,
  /** One of the task's sets: learned from and judged by itself. */
  set: text,
  /** Each group, patterns of people or recordings, is left out once. */
  groups: z.array(z.array(text).min(1)).min(2),
  /** Steps of each fold, the plan's otherwise; nothing is chosen while it learns. */
  steps: count(1, 100_000),
});

export const recipeSchema = z
  .strictObject({
    name: z.string().regex(/^[a-z0-9][a-z0-9._-]{0,63}$/, 'expected letters, digits, . _ -'),
    description: z.string().optional(),
    seed: count(0, 2 ** 32 - 1).default(1),
    /** Folder of the sets, from the recipe's own folder; `--data` goes before it. */
    data: text.default('.'),
    sets: z.record(text, setSchema),
    model: modelSchema.prefault({}),
    masked: maskedSchema.optional(),
    upcycle: upcycleSchema.optional(),
    tasks: z.array(trainedTaskSchema).default([]),
    folds: z.array(foldSchema).default([]),
    training: trainingSchema.optional(),
    augmentation: augmentationSchema.prefault({}),
  })
  .superRefine((recipe, context) => {
    const fault = (path: (string | number)[], message: string) =>
      context.addIssue({ code: 'custom', path, message });
    const known = Object.keys(recipe.sets);
    const needsSet = (name: string, path: (string | number)[]) => {
      if (!known.includes(name)) fault(path, `no set ${name}; there are ${known.join(', ')}`);
    };
    for (const [name, set] of Object.entries(recipe.sets)) {
      const at = ['sets', name];
      if ((set.layout === 'sleep-powers') !== (set.generator !== undefined))
        fault([...at, 'generator'], 'belongs to the layout sleep-powers, and only to it');
      for (const [i, other] of (set.generator?.backgrounds ?? []).entries())
        needsSet(other, [...at, 'generator', 'backgrounds', i]);
    }
    for (const [i, name] of (recipe.masked?.sets ?? []).entries())
      needsSet(name, ['masked', 'sets', i]);
    const names = recipe.tasks.map((task) => task.name);
    if (new Set(names).size < names.length) fault(['tasks'], 'two tasks of one name');
    for (const [i, task] of recipe.tasks.entries())
      for (const [side, other] of Object.entries(task.mirrored ?? {}))
        if (!task.classes.includes(side) || task.mirrored?.[other] !== side)
          fault(['tasks', i, 'mirrored', side], 'expected classes in pairs, each the other of it');
    for (const [i, task] of recipe.tasks.entries())
      for (const [j, source] of task.sources.entries()) {
        const at = ['tasks', i, 'sources', j];
        needsSet(source.set, [...at, 'set']);
        for (const [label, to] of Object.entries(source.labels))
          if (!task.classes.includes(to))
            fault([...at, 'labels', label], `${to} is none of ${task.classes.join(', ')}`);
      }
    for (const [i, { task, set }] of recipe.folds.entries())
      if (!recipe.tasks.some((one) => one.name === task && one.sources.some((s) => s.set === set)))
        fault(['folds', i], `no task ${task} with a set ${set}`);
    if (recipe.tasks.length === 0) return;
    const arch = architectureSchema.safeParse(architectureFields(recipe));
    for (const issue of arch.success ? [] : arch.error.issues)
      fault(['model', ...issue.path.map(String)], issue.message);
  });

/** What a recipe that starts from a checkpoint adds to its architecture. */
export function addedShape({ model }: Recipe): { local?: true } {
  return model.local === true ? { local: true } : {};
}

/** How windows of a task are changed while it is learned. */
export function augmentationOf({ augmentation }: Recipe, task: RecipeTask): Augmentation {
  return { ...augmentation, ...task.augmentation };
}

export type Recipe = z.infer<typeof recipeSchema>;
export type RecipeSet = z.infer<typeof setSchema>;
export type RecipeTask = z.infer<typeof trainedTaskSchema>;
export type RecipeSource = z.infer<typeof sourceSchema>;
export type FoldPlan = z.infer<typeof foldSchema>;
export type TrainingPlan = z.infer<typeof trainingSchema>;
export type Augmentation = z.infer<typeof augmentationSchema>;
export type UpcyclePlan = z.infer<typeof upcycleSchema>;

/** The dense architecture a recipe describes, with its tasks. */
export function architectureFields(recipe: Pick<Recipe, 'model' | 'tasks'>) {
  const tasks = recipe.tasks.map(
    ({
      rows: _rows,
      sources: _sources,
      mirrored: _mirrored,
      balance: _balance,
      augmentation: _changed,
      transitions: _counted,
      event,
      ...task
    }) => ({
      ...task,
      temperature: 1,
      ...(event === undefined ? {} : { event }),
    }),
  );
  return { version: 1 as const, ...recipe.model, moe: null, tasks };
}
