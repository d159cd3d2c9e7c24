/** Recordings of test/fixtures and of the data folder, and files made by a test. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { onTestFinished } from 'vitest';

export const fixtures = resolve(import.meta.dirname, '../fixtures/recordings');

/** The folder of real recordings, which users do not have; undefined where it is not there. */
export const dataFolder = [
  process.env.EEGD_DATA,
  resolve(import.meta.dirname, '../../../shared/data'),
  resolve(import.meta.dirname, '../../../../shared/data'),
].find((path): path is string => path !== undefined && existsSync(path));

if (dataFolder === undefined) {
  process.stderr.write('SKIPPED: tests on real recordings (set EEGD_DATA to their folder)\n');
}

/** A folder that goes with the test. */
export function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), 'eegd-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export function scratchFile(name: string, bytes: Uint8Array | string): string {
  const path = join(scratch(), name);
  writeFileSync(path, bytes);
  return path;
}
