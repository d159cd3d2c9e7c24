/** Folders that appear whole or not at all: written beside, synced, renamed, synced. */
import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { EegError } from '../core/errors.js';

async function sync(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function writeSynced(path: string, bytes: Uint8Array | string): Promise<void> {
  const handle = await open(path, 'wx');
  try {
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Where the folder that is being replaced waits for the rename of its successor. */
export function previousOf(folder: string): string {
  return `${resolve(folder)}.previous`;
}

/**
 * Publishes files as a folder, replacing one that is there. Killed at any moment, either the old
 * or the new files can be read by `readPublished`. Throws `EEG_STORE_NO_SPACE`/`EEG_STORE_FAILED`.
 */
export async function publishFolder(
  folder: string,
  files: Readonly<Record<string, Uint8Array | string>>,
): Promise<void> {
  const target = resolve(folder);
  const parent = dirname(target);
  const partial = join(parent, partialName(basename(target)));
  try {
    await mkdir(partial, { recursive: true });
    for (const [name, bytes] of Object.entries(files))
      await writeSynced(join(partial, name), bytes);
    await sync(partial);
    const old = previousOf(target);
    if (await exists(target)) {
      await rm(old, { recursive: true, force: true });
      await rename(target, old);
    }
    await rename(partial, target);
    await sync(parent);
    await rm(old, { recursive: true, force: true });
  } catch (cause) {
    await rm(partial, { recursive: true, force: true });
    const full = (cause as NodeJS.ErrnoException).code === 'ENOSPC';
    const code = full ? 'EEG_STORE_NO_SPACE' : 'EEG_STORE_FAILED';
    throw new EegError(code, `cannot write ${target}: ${(cause as Error).message}`, { cause });
  }
}

/** Names its process: another one that publishes in the same folder is left alone by a sweep. */
function partialName(name: string): string {
  return `.${name}.partial-${process.pid}-${randomBytes(6).toString('hex')}`;
}

/** Ends what processes that were killed left half-done in a folder of published folders. */
export async function sweepPublished(parent: string): Promise<void> {
  const names = await readdir(parent).catch(() => []);
  const underWay = new Set<string>();
  for (const name of names) {
    const [, of, pid] = /^\.(.+)\.partial-(\d+)-[0-9a-f]+$/.exec(name) ?? [];
    if (of === undefined) continue;
    if (isAlive(Number(pid))) underWay.add(of);
    else await rm(join(parent, name), { recursive: true, force: true });
  }
  for (const name of names) {
    const [, of] = /^([^.].*)\.previous$/.exec(name) ?? [];
    if (of === undefined || underWay.has(of)) continue;
    const previous = join(parent, name);
    if (await exists(join(parent, of))) await rm(previous, { recursive: true, force: true });
    else await rename(previous, join(parent, of));
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** The folder to read: itself, or its predecessor if a replacement was cut off between renames. */
export async function readableFolder(folder: string): Promise<string> {
  if (await exists(folder)) return folder;
  const previous = previousOf(folder);
  if (await exists(previous)) return previous;
  throw new EegError('EEG_MODEL_NOT_FOUND', `no folder ${folder}`);
}

/** Reads one file of a checkpoint, refusing what is missing, no file, or larger than `bytesMax`. */
export async function readLimited(path: string, bytesMax: number): Promise<Uint8Array> {
  const found = await stat(path).catch((cause: unknown) => {
    throw new EegError('EEG_MODEL_INVALID', `cannot read ${path}`, { cause });
  });
  if (!found.isFile()) throw new EegError('EEG_MODEL_INVALID', `${path} is not a file`);
  if (found.size > bytesMax)
    throw new EegError(
      'EEG_MODEL_INVALID',
      `${path} has ${found.size} bytes, at most ${bytesMax} are accepted`,
    );
  return readFile(path);
}
