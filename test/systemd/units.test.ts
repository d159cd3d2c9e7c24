/** The unit as systemd reads it: valid, hardened, with the devices an amplifier needs. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  nodeFlags,
  removeFiles,
  systemdFiles,
  unitText,
  writeFiles,
} from '../../src/cli/systemd-files.js';
import { parseConfig } from '../../src/config/load.js';

const hasAnalyze = spawnSync('systemd-analyze', ['--version']).status === 0;
if (!hasAnalyze) console.warn('SKIPPED: the unit tests need systemd-analyze');
const folder = () => mkdtempSync(join(tmpdir(), 'eegd-units-'));

/** The unit with a program that exists here. */
function installedUnit(): string {
  const file = join(folder(), 'eegd.service');
  const unit = readFileSync('systemd/eegd.service', 'utf8');
  writeFileSync(file, unitText(unit, { node: process.execPath, main: '/opt/eegd/main.js' }));
  return file;
}

describe.skipIf(!hasAnalyze)('eegd.service', () => {
  test('has nothing systemd warns of', () => {
    const { status, stderr } = spawnSync('systemd-analyze', ['verify', installedUnit()]);
    expect(
      String(stderr)
        .split('\n')
        .filter((line) => line.includes('eegd')),
    ).toEqual([]);
    expect(status).toBe(0);
  });

  test('is exposed at most 2.0 by systemd-analyze security', () => {
    const args = ['--offline=true', '--threshold=20', 'security', installedUnit()];
    const { status, stdout } = spawnSync('systemd-analyze', args, { encoding: 'utf8' });
    const level = Number(/exposure level for \S+ ([\d.]+)/.exec(stdout)?.[1]);
    expect(level).toBeGreaterThan(0);
    expect(level).toBeLessThanOrEqual(2);
    expect(status).toBe(0);
  });
});

const hasSysusers = spawnSync('systemd-sysusers', ['--version']).status === 0;
test.skipIf(!hasSysusers)('sysusers and tmpfiles are understood', () => {
  const users = ['--dry-run', resolve('systemd/eegd.sysusers')];
  const made = spawnSync('systemd-sysusers', users, { encoding: 'utf8' });
  expect(made.status, made.stderr).toBe(0);
  const root = folder();
  const line = readFileSync('systemd/eegd.tmpfiles', 'utf8').replace(
    / (eegd eegd|root root) /g,
    ' - - ',
  );
  const conf = join(root, 'eegd.conf');
  writeFileSync(conf, line);
  execFileSync('systemd-tmpfiles', ['--create', `--root=${root}`, conf]);
  expect(existsSync(join(root, 'var/lib/eegd'))).toBe(true);
});

test('the unit keeps amplifiers and graphics cards, and the interfaces LSL needs', () => {
  const unit = readFileSync('systemd/eegd.service', 'utf8');
  for (const device of ['ttyUSB', 'ttyACM', 'rfcomm', 'drm', 'nvidia*'])
    expect(unit).toContain(`DeviceAllow=char-${device} rw`);
  expect(unit).not.toMatch(/^PrivateDevices=yes|^MemoryDenyWriteExecute=yes/m);
  expect(unit).toContain('AF_NETLINK');
  expect(unit).toMatch(/^Type=notify$/m);
});

test('the example settings pass the check of the configuration', () => {
  const text = readFileSync('systemd/eegd.yaml', 'utf8');
  expect(parseConfig(text, 'eegd.yaml')).toMatchObject({ server: { host: '127.0.0.1' } });
  const all = text.replace(/^( *)# (streams:| {2}- | {4}|host: 0|tokenFile|tls)/gm, '$1$2');
  const whole = all.replace(/^streams: \[\]\n/m, '').replace('  host: 127.0.0.1\n', '');
  expect(parseConfig(whole, 'eegd.yaml').streams).toHaveLength(2);
});

describe('install', () => {
  const program = { node: '/usr/bin/node', main: '/opt/eegd/dist/src/cli/main.js' };

  test('writes everything, and leaves settings that are there', () => {
    const root = folder();
    expect(writeFiles(systemdFiles(program), root)).toHaveLength(5);
    const unit = readFileSync(join(root, 'etc/systemd/system/eegd.service'), 'utf8');
    const start = `ExecStart=${program.node} ${nodeFlags} ${program.main} serve --config /etc/eegd/eegd.yaml`;
    expect(unit).toContain(start);
    const settings = join(root, 'etc/eegd/eegd.yaml');
    writeFileSync(settings, 'server: { port: 1 }\n');
    expect(writeFiles(systemdFiles(program), root).at(-1)).toBe(`kept ${settings}`);
    expect(readFileSync(settings, 'utf8')).toBe('server: { port: 1 }\n');
    const removed = removeFiles(systemdFiles(program), root);
    expect(removed.filter((line) => line.startsWith('removed'))).toHaveLength(4);
    expect(existsSync(settings)).toBe(true);
    expect(existsSync(join(root, 'etc/systemd/system/eegd.service'))).toBe(false);
  });

  test('starts the program as it starts by itself, and as npm start does', () => {
    const [first] = readFileSync('src/cli/main.ts', 'utf8').split('\n');
    expect(first).toBe(`#!/usr/bin/env -S node ${nodeFlags}`);
    const { scripts } = JSON.parse(readFileSync('package.json', 'utf8'));
    expect(scripts.start).toContain(`node ${nodeFlags} dist/src/cli/main.js serve`);
  });

  test('quotes paths as systemd does, and can read a program in a home directory', () => {
    const template = readFileSync('systemd/eegd.service', 'utf8');
    const odd = unitText(template, { node: '/opt/my node/bin', main: '/opt/100%/$x/main.js' });
    expect(odd).toContain(`ExecStart="/opt/my node/bin" ${nodeFlags} /opt/100%%/$$x/main.js serve`);
    expect(odd).toContain('ProtectHome=yes');
    const home = unitText(template, { ...program, node: '/home/me/.nvm/node' });
    expect(home).toContain('ProtectHome=read-only');
  });

  test('cannot be done without the right, and says so in one line', () => {
    const files = systemdFiles(program);
    const noFolder = join(folder(), 'file');
    writeFileSync(noFolder, '');
    expect(() => writeFiles(files, noFolder)).toThrow(/cannot be changed: ENOTDIR/);
  });

  test('from the command line: dry run, install and uninstall below a folder', async () => {
    const run = (...args: string[]) =>
      spawnSync('node', ['--import', 'tsx', 'src/cli/main.ts', ...args], { encoding: 'utf8' });
    const dry = run('install', '--systemd', '--dry-run');
    expect(dry.status, dry.stderr).toBe(0);
    expect(dry.stdout).toContain('# would write /etc/systemd/system/eegd.service');
    expect(dry.stdout).toContain('# would run systemctl daemon-reload');
    const root = folder();
    expect(run('install', '--systemd', '--root', root).status).toBe(0);
    expect(existsSync(join(root, 'etc/systemd/system/eegd.service'))).toBe(true);
    expect(run('uninstall', '--systemd', '--root', root).status).toBe(0);
    expect(existsSync(join(root, 'etc/systemd/system/eegd.service'))).toBe(false);
  }, 120_000);
});
