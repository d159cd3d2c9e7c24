/** The command line as a user has it: a process, its output and its exit code. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { packageRoot } from '../../src/core/paths.js';
import { type TinyStore, tinyStore } from '../support/tiny-checkpoint.js';

let tiny: TinyStore;
let environment: Record<string, string | undefined>;
beforeAll(async () => {
  tiny = await tinyStore(['1', '2']);
  environment = {
    ...process.env,
    EEGD_MODELS_FOLDER: tiny.folder,
    EEGD_STATE_FOLDER: tiny.stateFolder,
    EEGD_MODELS_ACTIVE: 'tiny@1',
    EEGD_SERVER_PORT: '0',
  };
});

function start(...args: string[]): ChildProcess {
  const main = join(packageRoot(), 'src', 'cli', 'main.ts');
  return spawn(process.execPath, ['--import', 'tsx', main, ...args], { env: environment });
}

async function run(...args: string[]) {
  const child = start(...args);
  const output = { stdout: '', stderr: '' };
  child.stdout?.on('data', (text) => (output.stdout += text));
  child.stderr?.on('data', (text) => (output.stderr += text));
  const [code] = await once(child, 'close');
  return { code, ...output };
}

/** Resolves when the child has printed `text`. */
async function printed(child: ChildProcess, text: string): Promise<string> {
  let seen = '';
  for await (const piece of child.stdout ?? []) {
    seen += piece;
    if (seen.includes(text)) return seen;
  }
  throw new Error(`ended without "${text}": ${seen}`);
}

// Each run starts a process from the source, which a busy machine may take long for.
describe('eegd', { timeout: 180_000 }, () => {
  test('--help teaches', async () => {
    const { code, stdout } = await run('--help');
    expect(code).toBe(0);
    expect(stdout).toContain('eegd serve --demo');
    expect((await run('serve', '--help')).stdout).toContain('Examples:');
  });

  test('suggests the command that was meant, and says usage by its exit code', async () => {
    const { code, stderr } = await run('srve');
    expect(code).toBe(64);
    expect(stderr).toContain('Did you mean serve?');
  });

  test('says all mistakes of a configuration without a stack trace', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'eegd-')), 'eegd.yaml');
    writeFileSync(file, 'server:\n  prot: 1\nengine: { threads: none }\n');
    const { code, stderr, stdout } = await run('serve', '--config', file);
    expect(code).toBe(78);
    expect(stdout).toBe('');
    expect(stderr).toContain(`${file}:2: server.prot: no such key (nearest: port)`);
    expect(stderr).toContain(`${file}:3: engine.threads: expected number, got "none"`);
    expect(stderr).not.toContain('    at ');
  });

  test('a mistake in a flag is named as it was given', async () => {
    const { code, stderr } = await run('serve', '--device', 'gpu');
    expect(code).toBe(78);
    expect(stderr).toContain('--device: engine.device: expected one of "auto", "cpu"');
  });

  test('a checkpoint that is not there is said once', async () => {
    const { code, stderr, stdout } = await run('serve', '--checkpoint', 'tiny@9');
    expect(code).toBe(66);
    expect(stderr).toContain('expected a checkpoint of tiny@1, tiny@2');
    expect((stderr + stdout).match(/EEG_MODEL_NOT_FOUND/g)).toHaveLength(1);
  });

  test('the list marks what a start would serve', async () => {
    const { stdout } = await run('checkpoints', 'list');
    expect(stdout).toMatch(/^\* tiny@1 .*\n {2}tiny@2 /);
  });

  test('an unknown kind of file is refused before anything is recorded', async () => {
    const { code, stderr } = await run('record', 'synthetic:', 'night.foo');
    expect(code).toBe(64);
    expect(stderr).toContain('expected the extension .xdf, .edf or .bdf, came .foo');
    expect(stderr).not.toContain('streaming');
  });

  test('every setting is explained', async () => {
    const { stdout } = await run('config', 'explain');
    const lines = stdout.trim().split('\n');
    expect(lines.filter((line) => /^\S+ +EEGD_\w+\s*$/.test(line))).toEqual([]);
  });

  test('replays a recording to JSON lines', async () => {
    const demo = join(packageRoot(), 'models', 'demo', 'arithmetic.edf');
    const { code, stdout } = await run('replay', demo, '--json', '--task', 'seizure');
    expect(code).toBe(0);
    const events = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const windows = events.filter((e) => e.kind === 'prediction' || e.kind === 'no_prediction');
    expect(windows.map((e) => e.seq)).toEqual(windows.map((_, i) => i));
    expect(windows.length).toBeGreaterThan(100);
    expect(new Set(windows.map((e) => e.task))).toEqual(new Set(['seizure']));
  });

  test('says in one line that a file is not there', async () => {
    const { code, stderr } = await run('replay', '/nonexistent.edf');
    expect(code).toBe(66);
    expect(stderr).toMatch(/^eegd: EEG_FILE_NOT_FOUND: .*\n$/m);
    expect(stderr).not.toContain('    at ');
  });

  test('lists and chooses checkpoints', async () => {
    const list = await run('checkpoints', 'list', '--json');
    expect(list.stdout).toContain('"id":"tiny@1"');
    expect((await run('checkpoints', 'activate', 'tiny@2')).code).toBe(0);
    expect(await tiny.store.choice()).toEqual({ active: 'tiny@2' });
    expect((await run('checkpoints', 'activate', 'tiny@9')).code).toBe(66);
    expect((await run('checkpoints', 'rollback')).code).toBe(66);
  });

  test('serves the demo until SIGTERM, and ends with 0', async () => {
    const child = start('serve', '--demo');
    const text = await printed(child, 'in a browser');
    const address = /open (http:\S+) in/.exec(text)?.[1] as string;
    const ready = await fetch(new URL('/healthz', address));
    expect(ready.status).toBe(200);
    const closed = once(child, 'close');
    child.kill('SIGTERM');
    expect(await closed).toEqual([0, null]);
  });

  test('explains every setting', async () => {
    const { stdout } = await run('config', 'explain');
    expect(stdout).toMatch(/server\.port +EEGD_SERVER_PORT +TCP port/);
    expect(JSON.parse((await run('config', 'schema')).stdout)).toHaveProperty('properties.server');
  });
});
