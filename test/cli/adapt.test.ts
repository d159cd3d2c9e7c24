/** `eegd adapt` and `eegd audit`: what they ask of the daemon, what they print, how they fail. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { AuditLog } from '../../src/adaptation/audit-log.js';
import { define as defineAdapt, statusText } from '../../src/cli/adapt.js';
import { define as defineAudit } from '../../src/cli/audit.js';
import { EegError } from '../../src/core/errors.js';
import { type TestServer, testServer } from '../support/test-client.js';

let host: TestServer;
let url = '';
let printed: string[] = [];
const calls: [string, Readonly<Record<string, unknown>>][] = [];
const folder = mkdtempSync(join(tmpdir(), 'eegd-cli-adapt-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

beforeEach(async () => {
  host = await testServer();
  url = `ws://127.0.0.1:${host.server.port}/ws`;
  calls.length = 0;
  host.daemon.adapt = async (name, args) => {
    calls.push([name, args]);
    return { state: 'collecting', task: 'fists', labels: { left: 2, right: 1 } };
  };
  printed = [];
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed.push(String(text));
    return true;
  });
});
afterEach(async () => {
  vi.restoreAllMocks();
  await host.server.close();
});

async function run(define: (command: Command) => void, ...args: string[]): Promise<void> {
  const command = new Command().exitOverride();
  define(command);
  await command.parseAsync(args, { from: 'user' });
}
const adapt = (...args: string[]) => run(defineAdapt, ...args, '--url', url);

describe('eegd adapt', () => {
  test('start passes on the task, its classes and every option', async () => {
    await adapt('start', 'fists', 'left', 'right');
    await adapt(
      ...['start', 'fists', 'left', 'right', '--stream', 'amp', '--window', '3', '--trial', '4'],
      ...['--like', 'motor_imagery', '--latency', '0.1', '--no-auto'],
      ...['--marker', 'T1=left', 'T2 = right'],
    );
    const task = { task: 'fists', classes: ['left', 'right'] };
    expect(calls).toEqual([
      ['start', { ...task, auto: true }],
      [
        'start',
        {
          ...{ ...task, auto: false, stream: 'amp', windowS: 3, trialS: 4 },
          ...{ like: 'motor_imagery', latencyS: 0.1, markers: { T1: 'left', T2: 'right' } },
        },
      ],
    ]);
    expect(printed[0]).toBe('collecting · fists · labels: left 2, right 1\n');
  });

  test('each other command asks the daemon for it', async () => {
    await adapt('label', 'left');
    for (const name of ['undo', 'status', 'commit', 'rollback']) await adapt(name);
    await adapt('export', '--subject', '07');
    expect(calls).toEqual([
      ['label', { label: 'left' }],
      ...['undo', 'status', 'commit', 'rollback'].map((name) => [name, {}]),
      ['export', { subject: '07' }],
    ]);
  });

  test('--json prints the answer as it is', async () => {
    await adapt('status', '--json');
    expect(JSON.parse(printed.join(''))).toEqual({
      ...{ state: 'collecting', task: 'fists', labels: { left: 2, right: 1 } },
    });
  });

  test('what the daemon refuses is an error with its code; a wrong marker never reaches it', async () => {
    host.daemon.adapt = async () => {
      throw new EegError('EEG_ADAPT_STATE', 'no task is being taught');
    };
    await expect(adapt('label', 'left')).rejects.toMatchObject({ code: 'EEG_ADAPT_STATE' });
    const wrong = adapt('start', 'fists', 'left', 'right', '--marker', 'T1');
    await expect(wrong).rejects.toMatchObject({ code: 'EEG_USAGE' });
    await expect(adapt('guide')).rejects.toMatchObject({ code: 'EEG_ADAPT_STATE' });
  });

  test('without a daemon it says where it looked', async () => {
    await host.server.close();
    await expect(adapt('status')).rejects.toMatchObject({ code: 'EEG_DEVICE_UNAVAILABLE' });
  });

  test('the status tells both accuracies with their intervals', () => {
    const text = statusText({
      ...{ state: 'active', task: 'fists', labels: { left: 30, right: 29 }, needed: { left: 0 } },
      ...{ accuracy: 0.96, accuracyLow: 0.86, accuracyHigh: 0.99, chance: 0.51 },
      ...{ live: '32/35', liveLow: 0.776, liveHigh: 0.97 },
    });
    expect(text).toBe(
      'active · fists · labels: left 30, right 29 · accuracy 96 % (95 %: 86 % to 99 %) · ' +
        'served predictions right: 32/35 (95 %: 78 % to 97 %; chance 51 %)',
    );
  });
});

describe('eegd audit verify', () => {
  const path = join(folder, 'audit.jsonl');
  const entry = { actor: 'a', action: 'adapt.promote', from: null, to: 'x', why: 'y' };

  test('tells a whole log from one that was changed', async () => {
    const log = await AuditLog.open(path);
    for (let i = 0; i < 3; i++) await log.append(entry, { wallMs: i, stampS: i });
    await log.close();
    await run(defineAudit, 'verify', path);
    expect(printed.join('')).toBe(`${path}: 3 lines, whole\n`);
    const text = readFileSync(path, 'utf8');
    writeFileSync(path, text.replace('"seq":1,', '"seq":1, '));
    await expect(run(defineAudit, 'verify', path)).rejects.toMatchObject({
      code: 'EEG_DATA_INVALID',
    });
    await expect(run(defineAudit, 'verify', path, '--json')).rejects.toThrow(/line 2/);
    expect(JSON.parse(printed.at(-1) ?? '')).toMatchObject({ ok: false, seq: 2 });
  });

  test('says where there is none', async () => {
    await expect(run(defineAudit, 'verify', join(folder, 'none'))).rejects.toMatchObject({
      code: 'EEG_FILE_NOT_FOUND',
    });
  });
});
