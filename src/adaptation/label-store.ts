/**
 * What somebody marked, and the signal it was marked in: `labels.jsonl` (records, never changed)
 * and `signal.bin` (samples). A label is acknowledged when both are on the disk; the samples come
 * first, so that a record never speaks of samples that are not there.
 */
import { type FileHandle, mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { z } from 'zod';
import { EegError } from '../core/errors.js';
import { appendSynced, CrcLines, storeError } from './crc-lines.js';
import { decodeTrial, encodeTrial, type TrialSignal } from './trial-signal.js';

const headSchema = z.strictObject({
  kind: z.literal('session'),
  version: z.literal(1),
  session: z.string(),
  stream: z.string(),
  task: z.string(),
  classes: z.array(z.string()).min(2),
  windowS: z.number().int().positive(),
  hopS: z.number().positive(),
  /** Labels of the EEG channels, in the order of the samples. */
  channels: z.array(z.string()).min(1),
  /** `[channels, 6]`, as the trunk takes them. */
  positions: z.array(z.number()),
  /** Every channel of the amplifier, in the order of the raw samples, and its nominal rate. */
  raw: z
    .strictObject({
      rateHz: z.number().positive(),
      channels: z.array(z.strictObject({ label: z.string(), kind: z.string(), unit: z.string() })),
    })
    .optional(),
  /** Base checkpoint when the session began. */
  checkpoint: z.string(),
  wallMs: z.number(),
});
const trialSchema = z.strictObject({
  kind: z.literal('trial'),
  id: z.number().int().nonnegative(),
  label: z.string(),
  /** LSL seconds of the first sample, and the 200 Hz index of it on the stream. */
  startS: z.number(),
  startSample: z.number().int().nonnegative(),
  samples: z.number().int().positive(),
  /** 200 Hz indices, from the trial's begin, from which its reference covariances hold. */
  references: z.array(z.number().int()).default([]),
  /** Raw frames stored, and how many of them lie before the trial. */
  raw: z
    .strictObject({ frames: z.number().int().positive(), lead: z.number().int().nonnegative() })
    .optional(),
  /** Bytes of `signal.bin`. */
  offset: z.number().int().nonnegative(),
  bytes: z.number().int().positive(),
  crc: z.number().int(),
  wallMs: z.number(),
});
const recordSchema = z.discriminatedUnion('kind', [
  headSchema,
  trialSchema,
  z.strictObject({ kind: z.literal('undo'), id: z.number().int() }),
  z.strictObject({ kind: z.literal('relabel'), id: z.number().int(), label: z.string() }),
]);

export type SessionHead = Omit<z.infer<typeof headSchema>, 'kind' | 'version'>;
export type LabelledTrial = Omit<z.infer<typeof trialSchema>, 'kind'>;

export class LabelStore {
  readonly head: SessionHead;
  readonly folder: string;
  readonly #lines: CrcLines;
  readonly #signal: FileHandle;
  readonly #trials: Map<number, LabelledTrial>;
  #nextId: number;
  #end: number;
  #queue: Promise<unknown> = Promise.resolve();

  private constructor(folder: string, head: SessionHead, state: State) {
    this.folder = folder;
    this.head = head;
    this.#lines = state.lines;
    this.#signal = state.signal;
    this.#trials = state.trials;
    this.#nextId = state.nextId;
    this.#end = state.end;
  }

  /** Reopens the session in `folder`, or begins one with `head`. Throws `EEG_STORE_*`. */
  static async open(folder: string, head?: SessionHead): Promise<LabelStore> {
    await mkdir(folder, { recursive: true }).catch((cause: unknown) => {
      throw storeError(`cannot make ${folder}`, cause);
    });
    const state = await readState(folder);
    if (state.head !== undefined) return new LabelStore(folder, state.head, state);
    if (head === undefined) {
      await closeState(state);
      throw new EegError('EEG_STORE_FAILED', `${folder} holds no labelled session`);
    }
    await state.lines.append({ kind: 'session', version: 1, ...head });
    return new LabelStore(folder, head, state);
  }

  /** Records that were damaged on the disk; their trials are missing. */
  get damaged(): number {
    return this.#lines.damaged;
  }

  /** Those that stand: not undone, with their last label. Oldest first. */
  get trials(): readonly LabelledTrial[] {
    return [...this.#trials.values()];
  }

  counts(): Record<string, number> {
    const counts = Object.fromEntries(this.head.classes.map((label) => [label, 0]));
    for (const { label } of this.#trials.values()) counts[label] = (counts[label] ?? 0) + 1;
    return counts;
  }

  /** Resolves when label and samples are on the disk. */
  add(
    trial: Pick<LabelledTrial, 'label' | 'startS' | 'startSample' | 'wallMs'>,
    signal: TrialSignal,
  ): Promise<LabelledTrial> {
    this.#requireClass(trial.label);
    return this.#serially(async () => {
      const bytes = encodeTrial(signal);
      const at = { path: join(this.folder, 'signal.bin'), at: this.#end };
      await appendSynced(this.#signal, bytes, at);
      const offset = this.#end;
      const samples = signal.data.length / this.head.channels.length;
      const { references = [], raw } = signal;
      const added = {
        ...{ id: this.#nextId, ...trial, samples, offset, bytes: bytes.length, crc: crc32(bytes) },
        references: references.map(({ from }) => from),
        ...(raw === undefined ? {} : { raw: { frames: raw.frames, lead: raw.lead } }),
      };
      try {
        await this.#lines.append({ kind: 'trial', ...added });
      } catch (error) {
        await this.#signal.truncate(offset).catch(() => undefined);
        throw error;
      }
      this.#end += bytes.length;
      this.#nextId++;
      this.#trials.set(added.id, added);
      return added;
    });
  }

  /** Takes a trial back, the last one where none is named. Its samples stay on the disk. */
  undo(id?: number): Promise<LabelledTrial> {
    return this.#serially(async () => {
      const trial = this.#find(id ?? [...this.#trials.keys()].at(-1));
      await this.#lines.append({ kind: 'undo', id: trial.id });
      this.#trials.delete(trial.id);
      return trial;
    });
  }

  relabel(id: number, label: string): Promise<LabelledTrial> {
    this.#requireClass(label);
    return this.#serially(async () => {
      const trial = { ...this.#find(id), label };
      await this.#lines.append({ kind: 'relabel', id, label });
      this.#trials.set(id, trial);
      return trial;
    });
  }

  /** The samples behind a trial; throws `EEG_STORE_FAILED` where the disk changed them. */
  async signal(trial: LabelledTrial): Promise<TrialSignal> {
    const bytes = new Uint8Array(trial.bytes);
    const { bytesRead } = await this.#signal.read(bytes, 0, trial.bytes, trial.offset);
    if (bytesRead < trial.bytes || crc32(bytes) !== trial.crc) {
      const what = `the samples of label ${trial.id} in ${this.folder} were damaged`;
      throw new EegError('EEG_STORE_FAILED', what);
    }
    return decodeTrial(bytes, trial, this.head);
  }

  async close(): Promise<void> {
    await this.#queue;
    await this.#lines.close();
    await this.#signal.close();
  }

  #requireClass(label: string): void {
    if (this.head.classes.includes(label)) return;
    const expected = this.head.classes.join(', ');
    throw new EegError('EEG_ADAPT_STATE', `expected one of ${expected}, got "${label}"`);
  }

  #find(id: number | undefined): LabelledTrial {
    const trial = id === undefined ? undefined : this.#trials.get(id);
    if (trial !== undefined) return trial;
    const what = id === undefined ? 'there is no label to take back' : `there is no label ${id}`;
    throw new EegError('EEG_ADAPT_STATE', what);
  }

  #serially<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#queue.then(work);
    this.#queue = done.catch(() => undefined);
    return done;
  }
}

interface State {
  readonly lines: CrcLines;
  readonly signal: FileHandle;
  readonly trials: Map<number, LabelledTrial>;
  readonly head: SessionHead | undefined;
  readonly nextId: number;
  /** Bytes of `signal.bin` that records speak of. */
  readonly end: number;
}

async function readState(folder: string): Promise<State> {
  const trials = new Map<number, LabelledTrial>();
  let head: SessionHead | undefined;
  let nextId = 0;
  let end = 0;
  const signal = await open(join(folder, 'signal.bin'), 'a+').catch((cause: unknown) => {
    throw storeError(`cannot open ${folder}/signal.bin`, cause);
  });
  const { size } = await signal.stat();
  const lines = await CrcLines.open(join(folder, 'labels.jsonl'), (line) => {
    const parsed = recordSchema.safeParse(line);
    if (!parsed.success) return;
    const record = parsed.data;
    if (record.kind === 'session') {
      const { kind: _kind, version: _version, ...rest } = record;
      head ??= rest;
    } else if (record.kind === 'undo') trials.delete(record.id);
    else if (record.kind === 'relabel') {
      const trial = trials.get(record.id);
      if (trial !== undefined) trials.set(record.id, { ...trial, label: record.label });
    } else {
      const { kind: _kind, ...trial } = record;
      nextId = Math.max(nextId, trial.id + 1);
      if (trial.offset + trial.bytes > size) return;
      trials.set(trial.id, trial);
      end = Math.max(end, trial.offset + trial.bytes);
    }
  });
  // Samples whose record was never written.
  if (size > end) await signal.truncate(end);
  return { lines, signal, trials, head, nextId, end };
}

async function closeState({ lines, signal }: State): Promise<void> {
  await lines.close();
  await signal.close();
}
