/**
 * Checkpoints and expert packs in the cluster's object store, and copies of them on this machine's
 * disk. An object's digest is checked as it is read, the weights' hash again when a checkpoint is
 * loaded; a copy appears whole or not at all.
 */
import { mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ObjectStore } from '@nats-io/obj';
import { EegError } from '../core/errors.js';
import type { CheckpointStore, StoredCheckpoint } from '../daemon/checkpoint-store.js';
import { publishFolder } from '../model/publish.js';

const files = ['manifest.json', 'model.safetensors'] as const;
const idPattern = /^[a-z0-9][a-z0-9._-]{0,63}@[a-z0-9][a-z0-9._-]{0,63}$/;

export class Shelf {
  readonly #objects: ObjectStore;
  readonly #store: CheckpointStore;
  /** Where copies go: the store's own folder. */
  readonly #folder: string;
  readonly #fetching = new Map<string, Promise<void>>();

  constructor(objects: ObjectStore, store: CheckpointStore, folder: string) {
    this.#objects = objects;
    this.#store = store;
    this.#folder = folder;
  }

  /** Ids of the checkpoints that are there whole, packs apart. */
  async list(): Promise<string[]> {
    const names = (await this.#objects.list()).filter(({ deleted }) => !deleted);
    const there = new Set(names.map(({ name }) => name));
    const ids = [...there].flatMap((name) => {
      const [id, file, more] = name.split('/');
      return file === files[0] && more === undefined && id !== undefined ? [id] : [];
    });
    return ids.filter((id) => there.has(`${id}/${files[1]}`)).sort();
  }

  /** Puts a checkpoint of this machine there, with its packs; what is there already is left. */
  async put(id: string): Promise<StoredCheckpoint> {
    const stored = await this.#store.find(id);
    const [base = '', ...packs] = stored.id.split('+');
    await this.#putFolder(base, stored.folder);
    for (const [i, pack] of packs.entries())
      await this.#putFolder(`packs/${pack}`, stored.packs?.[i] ?? '');
    return stored;
  }

  /** The checkpoint on this machine, fetched where it is not here yet. */
  async get(id: string): Promise<StoredCheckpoint> {
    const [base = '', ...packs] = id.split('+');
    const known = new Set((await this.#store.list()).map((stored) => stored.id));
    if (!known.has(base)) await this.#fetch(base, base);
    const here = await this.#store.packs();
    for (const pack of packs) if (!here.has(pack)) await this.#fetch(`packs/${pack}`, pack);
    return this.#store.find(id);
  }

  async #putFolder(prefix: string, folder: string): Promise<void> {
    // The weights last: a checkpoint counts as there only with both.
    for (const file of files) {
      const name = `${prefix}/${file}`;
      const there = await this.#objects.info(name);
      if (there !== null && !there.deleted) continue;
      await this.#objects.putBlob({ name }, await readFile(join(folder, file)));
    }
  }

  #fetch(prefix: string, id: string): Promise<void> {
    const running = this.#fetching.get(prefix);
    if (running !== undefined) return running;
    const fetching = this.#copy(prefix, id).finally(() => this.#fetching.delete(prefix));
    this.#fetching.set(prefix, fetching);
    return fetching;
  }

  async #copy(prefix: string, id: string): Promise<void> {
    if (!idPattern.test(id) || id.includes('..'))
      throw new EegError('EEG_MODEL_NOT_FOUND', `expected NAME@VERSION, got "${id}"`);
    const parts: Record<string, Uint8Array> = {};
    for (const file of files) {
      const bytes = await this.#objects.getBlob(`${prefix}/${file}`);
      if (bytes === null)
        throw new EegError('EEG_MODEL_NOT_FOUND', `expected ${id} in the cluster, it is not there`);
      parts[file] = bytes;
    }
    const target = join(this.#folder, prefix);
    await mkdir(dirname(target), { recursive: true });
    await publishFolder(target, parts);
  }
}
