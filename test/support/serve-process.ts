/** The daemon as a process, for tests of signals. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { onTestFinished } from 'vitest';
import { packageRoot } from '../../src/core/paths.js';
import { tinyStore } from './tiny-checkpoint.js';

/** `eegd serve` from the source, with one stream `amp`, on a port of its own; killed after the test. */
export async function serveProcess(stream = 'synthetic:amp?channels=2') {
  const { folder, stateFolder } = await tinyStore(['1']);
  const file = join(mkdtempSync(join(tmpdir(), 'eegd-stop-')), 'eegd.yaml');
  writeFileSync(file, `streams:\n  - address: ${stream}\nmodels:\n  active: tiny@1\n`);
  const main = join(packageRoot(), 'src', 'cli', 'main.ts');
  const child: ChildProcess = spawn(
    process.execPath,
    ['--import', 'tsx', main, 'serve', '--config', file, '--port', '0'],
    {
      env: { ...process.env, EEGD_MODELS_FOLDER: folder, EEGD_STATE_FOLDER: stateFolder },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  onTestFinished(() => void child.kill('SIGKILL'));
  const ended = once(child, 'exit');
  const said = { log: '' };
  child.stderr?.on('data', (text) => (said.log += text));
  if (child.stdout === null) throw new Error('no pipe');
  let address: string | undefined;
  for await (const line of createInterface(child.stdout)) {
    address = /^open (http:\S+?)\/? in/.exec(line)?.[1];
    if (address !== undefined) break;
  }
  if (address === undefined) throw new Error(`it did not start: ${said.log}`);
  return { child, ended, address, said, recordings: join(stateFolder, 'recordings') };
}
