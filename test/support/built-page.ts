/** The page, built from the sources as they are now, in a folder of its own. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'vite';

export async function builtPage(): Promise<string> {
  const outDir = mkdtempSync(join(tmpdir(), 'eegd-page-'));
  await build({ configFile: 'src/dashboard/vite.config.ts', build: { outDir } });
  return outDir;
}
