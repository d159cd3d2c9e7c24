/**
 * The checkpoints on this machine: folders with a manifest, the daemon's own (writable) and the
 * shipped ones, and which of them is active. The choice is one small file, replaced atomically,
 * written only after a checkpoint was verified: killed at any moment, the daemon comes back with
 * the last verified one.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { EegError } from '../core/errors.js';
import {
  architectureOf,
  type Manifest,
  manifestBytesMax,
  manifestSchema,
  parseManifest,
} from '../model/manifest.js';
import { publishFolder, readLimited, sweepPublished } from '../model/publish.js';
import { parameterCount } from '../model/serving.js';

export interface StoredCheckpoint {
  /** `name@release`, with packs `name@release+pack@release...`. */
  readonly id: string;
  readonly folder: string;
  /** Folders of expert packs to attach, in the order of the id. */
  readonly packs?: readonly string[];
  readonly manifest: Manifest;
  readonly parameters: number;
}

export interface Choice {
  readonly active: string;
  readonly previous?: string | undefined;
}

const choiceSchema = z.strictObject({ active: z.string(), previous: z.string().optional() });
const checkpointFiles = ['manifest.json', 'model.safetensors'] as const;
const checkpointBytesMax = 1 << 29;

export interface StoreOptions {
  /** Where checkpoints are added. */
  readonly folder: string;
  /** Read-only folders to look in too. */
  readonly shipped: readonly string[];
  /** Where the choice is kept. */
  readonly stateFolder: string;
}

export class CheckpointStore {
  readonly #options: StoreOptions;

  constructor(options: StoreOptions) {
    this.#options = options;
  }

  /** Take away what was left half-written by a process that was killed. */
  async sweep(): Promise<void> {
    const { folder, stateFolder } = this.#options;
    await sweepPublished(folder);
    for (const name of await readdir(stateFolder).catch(() => []))
      if (/^active\.json\.[0-9a-f]{12}$/.test(name)) await rm(join(stateFolder, name));
  }

  /** Every readable checkpoint; what cannot be read is passed to `onBad` and left out. */
  async list(onBad?: (folder: string, error: unknown) => void): Promise<StoredCheckpoint[]> {
    const found = new Map<string, StoredCheckpoint>();
    for (const parent of [this.#options.folder, ...this.#options.shipped]) {
      for (const name of await foldersIn(parent)) {
        const folder = join(parent, name);
        try {
          const stored = await readStored(folder);
          if (stored !== undefined && !found.has(stored.id)) found.set(stored.id, stored);
        } catch (error) {
          onBad?.(folder, error);
        }
      }
    }
    return [...found.values()];
  }

  /** What a start without a choice tries: the shipped ones; what was only added is not chosen. */
  inStartOrder(all: readonly StoredCheckpoint[]): StoredCheckpoint[] {
    const isShipped = ({ folder }: StoredCheckpoint) =>
      this.#options.shipped.includes(dirname(folder));
    return [...all].sort((a, b) => Number(isShipped(b)) - Number(isShipped(a)));
  }

  /** By `name@release`, or by `name` where there is one release only. Never makes a path of it. */
  async find(id: string): Promise<StoredCheckpoint> {
    const [base = '', ...packs] = id.split('+');
    const found = await this.#findBase(base);
    if (packs.length === 0) return found;
    const all = await this.packs();
    const folders = packs.map((pack) => {
      const folder = all.get(pack);
      if (folder !== undefined) return folder;
      const known = [...all.keys()].join(', ') || 'none';
      throw new EegError('EEG_MODEL_NOT_FOUND', `expected a pack of ${known}, got "${pack}"`);
    });
    return { ...found, id: [found.id, ...packs].join('+'), packs: folders };
  }

  /** Folders of the expert packs, by `name@release`. */
  async packs(): Promise<Map<string, string>> {
    const names = await foldersIn(this.packFolder);
    return new Map(names.map((name) => [name, join(this.packFolder, name)]));
  }

  /** Where packs are kept, each as `name@release`. */
  get packFolder(): string {
    return join(this.#options.folder, 'packs');
  }

  async #findBase(id: string): Promise<StoredCheckpoint> {
    const all = await this.list();
    const exact = all.find((stored) => stored.id === id);
    const named = all.filter((stored) => stored.manifest.name === id);
    const [only] = named;
    if (exact !== undefined) return exact;
    if (only !== undefined && named.length === 1) return only;
    const known = all.map((stored) => stored.id).join(', ') || 'none';
    throw new EegError('EEG_MODEL_NOT_FOUND', `expected a checkpoint of ${known}, got "${id}"`);
  }

  /** Copy a verified checkpoint into the store, whole or not at all. */
  async add(folder: string): Promise<StoredCheckpoint> {
    const stored = await readStored(folder);
    if (stored === undefined)
      throw new EegError(
        'EEG_MODEL_NOT_FOUND',
        `expected a manifest.json in ${folder}, found none`,
      );
    const files: Record<string, Uint8Array> = {};
    for (const file of checkpointFiles)
      files[file] = await readLimited(join(folder, file), checkpointBytesMax);
    await mkdir(this.#options.folder, { recursive: true });
    const target = join(this.#options.folder, stored.id);
    await publishFolder(target, files);
    return { ...stored, folder: target };
  }

  async choice(): Promise<Choice | undefined> {
    const text = await readFile(this.#choiceFile, 'utf8').catch(() => undefined);
    if (text === undefined) return undefined;
    try {
      return choiceSchema.parse(JSON.parse(text));
    } catch (cause) {
      const message = `expected {active, previous} in ${this.#choiceFile}, got something else`;
      throw new EegError('EEG_STORE_FAILED', message, { hint: 'delete the file', cause });
    }
  }

  /** Durable when it resolves. */
  async choose(choice: Choice): Promise<void> {
    const { stateFolder } = this.#options;
    await mkdir(stateFolder, { recursive: true });
    await replaceFile(stateFolder, this.#choiceFile, `${JSON.stringify(choice)}\n`);
  }

  get #choiceFile(): string {
    return join(this.#options.stateFolder, 'active.json');
  }
}

async function readStored(folder: string): Promise<StoredCheckpoint | undefined> {
  const path = join(folder, 'manifest.json');
  const text = await readLimited(path, manifestBytesMax).catch(() => undefined);
  if (text === undefined) return undefined;
  const manifest = parseManifest(new TextDecoder().decode(text), manifestSchema, path);
  return {
    id: `${manifest.name}@${manifest.release}`,
    folder,
    manifest,
    /** Counted when asked: it builds the graphs, and a swap that looks for its checkpoint waits. */
    get parameters() {
      return parameterCount(architectureOf(manifest));
    },
  };
}

/** Names that begin with a dot are half-written. */
async function foldersIn(parent: string): Promise<string[]> {
  const entries = await readdir(parent, { withFileTypes: true }).catch(() => []);
  const folders = entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'));
  return folders.map((entry) => entry.name).sort();
}

/** Written beside, synced, renamed, the folder synced. */
async function replaceFile(folder: string, path: string, text: string): Promise<void> {
  const partial = `${path}.${randomBytes(6).toString('hex')}`;
  try {
    const file = await open(partial, 'wx', 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(partial, path);
    const parent = await open(folder, 'r');
    await parent.sync().finally(() => parent.close());
  } catch (cause) {
    await rm(partial, { force: true });
    const full = (cause as NodeJS.ErrnoException).code === 'ENOSPC';
    const code = full ? 'EEG_STORE_NO_SPACE' : 'EEG_STORE_FAILED';
    throw new EegError(code, `cannot write ${path}: ${(cause as Error).message}`, { cause });
  }
}
