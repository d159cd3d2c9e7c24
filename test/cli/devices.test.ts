/** `eegd devices` on boards at ptys: a user's process, its output and its exit code. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { packageRoot } from '../../src/core/paths.js';
import { PtyBoard, socatIsHere } from '../support/fake-pty.js';

async function eegd(...args: string[]) {
  const main = join(packageRoot(), 'src', 'cli', 'main.ts');
  const child = spawn(process.execPath, ['--import', 'tsx', main, 'devices', ...args]);
  const output = { stdout: '', stderr: '' };
  child.stdout.on('data', (text) => (output.stdout += text));
  child.stderr.on('data', (text) => (output.stderr += text));
  const [code] = await once(child, 'close');
  const lines = output.stdout.split('\n').filter((line) => line !== '');
  return { code, ...output, lines };
}

async function plugged(family: string, set: Record<string, unknown> = {}): Promise<PtyBoard> {
  const board = new PtyBoard(family, set);
  onTestFinished(() => board.remove());
  await board.plug();
  return board;
}

describe.skipIf(!socatIsHere)('eegd devices', () => {
  test('--port asks each family until one answers, and tells that one only', async () => {
    const [cyton, thinkgear] = [await plugged('cyton'), await plugged('thinkgear')];
    const { code, lines } = await eegd('--port', cyton.path, thinkgear.path, '--json');
    expect(code).toBe(0);
    const serial = lines.map((line) => JSON.parse(line)).filter(({ driver }) => driver !== 'lsl');
    expect(serial).toMatchObject([
      { address: `cyton:${cyton.path}`, name: 'OpenBCI Cyton v3.1.1', connected: false },
      { address: `thinkgear:${thinkgear.path}`, driver: 'thinkgear' },
    ]);
    expect(serial[1].name).not.toMatch(/\?$/);
    expect((await cyton.report()).streaming).toBe(false);
  });

  test('impedance measures the electrodes that are on', async () => {
    const ohms = [4000, 30_000, 1e9];
    const board = await plugged('cyton', { ohms });
    const address = `cyton:${board.path}?on=1,1,1,0,0,0,0,0`;
    const { code, lines } = await eegd('impedance', address, '--json');
    expect(code).toBe(0);
    const [first, second, third] = lines.map((line) => JSON.parse(line));
    expect(lines).toHaveLength(3);
    expect(first).toMatchObject({ label: 'Fp1', grade: 'good' });
    expect(Math.abs(first.ohms - 4000)).toBeLessThan(40);
    expect(second).toMatchObject({ label: 'Fp2', grade: expect.stringMatching(/^fair/) });
    expect(Math.abs(second.ohms - 30_000)).toBeLessThan(200);
    expect(third).toEqual({ label: 'C3', ohms: null, grade: 'no contact' });
    expect((await board.report()).streaming).toBe(false);
  });

  test('impedance says which boards can', async () => {
    const { code, stderr } = await eegd('impedance', 'thinkgear:/dev/rfcomm0');
    expect(code).toBe(64);
    expect(stderr).toMatch(/expected cyton:PORT, got "thinkgear:.*only the Cyton/);
  });
});
