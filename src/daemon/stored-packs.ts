/** Expert packs as files: found in the store, and brought there from another machine. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { EegError } from '../core/errors.js';
import {
  manifestBytesMax,
  type PackManifest,
  packManifestSchema,
  parseManifest,
} from '../model/manifest.js';
import { publishFolder, readLimited } from '../model/publish.js';
import type { CheckpointStore, StoredCheckpoint } from './checkpoint-store.js';

const packFiles = ['manifest.json', 'model.safetensors'] as const;
const packBytesMax = 1 << 27;

export interface StoredPack {
  /** `name@release`. */
  readonly id: string;
  readonly folder: string;
  readonly manifest: PackManifest;
}

/** Undefined where the folder holds something else. Throws `EEG_MODEL_INVALID` for a bad pack. */
export async function readPack(folder: string): Promise<StoredPack | undefined> {
  const path = join(folder, 'manifest.json');
  const bytes = await readLimited(path, manifestBytesMax).catch(() => undefined);
  const text = new TextDecoder().decode(bytes);
  if (!text.includes('"eegd-expert-pack"')) return undefined;
  const manifest = parseManifest(text, packManifestSchema, path);
  return { id: `${manifest.name}@${manifest.release}`, folder, manifest };
}

export async function listPacks(store: CheckpointStore): Promise<StoredPack[]> {
  const found: StoredPack[] = [];
  for (const folder of (await store.packs()).values()) {
    const pack = await readPack(folder).catch(() => undefined);
    if (pack !== undefined) found.push(pack);
  }
  return found;
}

/** The checkpoint here whose weights a pack grew on, whatever it is called. */
export async function baseOfPack(
  store: CheckpointStore,
  { id, manifest }: StoredPack,
): Promise<StoredCheckpoint> {
  const all = await store.list();
  const base = all.find((stored) => stored.manifest.weights.sha256 === manifest.base.sha256);
  if (base !== undefined) return base;
  throw new EegError(
    'EEG_MODEL_NOT_FOUND',
    `expected the checkpoint ${manifest.base.id} that the pack ${id} grew on, found no such weights`,
    { hint: 'add that checkpoint first: eegd checkpoints add FOLDER' },
  );
}

/** Copies a verified pack into the store, whole or not at all. */
export async function addPack(store: CheckpointStore, pack: StoredPack): Promise<StoredPack> {
  const files: Record<string, Uint8Array> = {};
  for (const file of packFiles)
    files[file] = await readLimited(join(pack.folder, file), packBytesMax);
  await mkdir(store.packFolder, { recursive: true });
  const folder = join(store.packFolder, pack.id);
  await publishFolder(folder, files);
  return { ...pack, folder };
}
