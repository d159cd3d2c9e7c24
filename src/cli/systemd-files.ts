/**
 * What `eegd install --systemd` puts where. Files of ours are written over and taken away again;
 * the settings are written once and then the administrator's.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { EegError } from '../core/errors.js';
import { packageRoot } from '../core/paths.js';

export interface InstallFile {
  /** Absolute, below `root` when written. */
  readonly path: string;
  readonly text: string;
  /** The administrator's once it is there: never written over, never removed. */
  readonly isSettings: boolean;
}

/**
 * As in the first line of `main.ts`. V8's threads for compiling and collecting give way to nobody,
 * and there are four even on two cores, where they hold up the event loop and the engine
 * (`bench:swap`). A heap of 20 MB may grow to 50 before it is collected whole: each swap leaves some
 * megabytes, and at V8's own pace their collection stopped the event loop for 10 to 30 ms every
 * few swaps.
 */
export const nodeFlags = '--v8-pool-size=1 --heap-growing-percent=150';

/** Where the program is: what the unit starts. */
export interface Program {
  readonly node: string;
  readonly main: string;
}

export function thisProgram(): Program {
  return { node: process.execPath, main: join(packageRoot(), 'dist', 'src', 'cli', 'main.js') };
}

export function systemdFiles(program: Program): InstallFile[] {
  const file = (path: string, name: string, isSettings = false): InstallFile => ({
    path,
    text: readFileSync(join(packageRoot(), 'systemd', name), 'utf8'),
    isSettings,
  });
  const unit = file('/etc/systemd/system/eegd.service', 'eegd.service');
  return [
    { ...unit, text: unitText(unit.text, program) },
    file('/etc/sysusers.d/eegd.conf', 'eegd.sysusers'),
    file('/etc/tmpfiles.d/eegd.conf', 'eegd.tmpfiles'),
    file('/etc/udev/rules.d/99-eegd-serial.rules', '99-eegd-serial.rules'),
    file('/etc/eegd/eegd.yaml', 'eegd.yaml', true),
  ];
}

/** Commands after the files are in place, in order. */
export function installCommands(enable: boolean): string[][] {
  return [
    ['systemd-sysusers', '/etc/sysusers.d/eegd.conf'],
    ['systemd-tmpfiles', '--create', '/etc/tmpfiles.d/eegd.conf'],
    ['udevadm', 'control', '--reload'],
    ['systemctl', 'daemon-reload'],
    ...(enable ? [['systemctl', 'enable', '--now', 'eegd.service']] : []),
  ];
}

export function unitText(template: string, { node, main }: Program): string {
  const inHome = [node, main].some((path) => /^\/(home|root)\//.test(path));
  const start = `ExecStart=${quote(node)} ${nodeFlags} ${quote(main)} serve`;
  const text = template.replace('ExecStart=/usr/bin/eegd serve', () => start);
  // A program in a home directory must at least be readable; better install it elsewhere.
  return inHome ? text.replace('ProtectHome=yes', 'ProtectHome=read-only') : text;
}

/** Writes them below `root`; returns what was done, a line each. */
export function writeFiles(files: readonly InstallFile[], root: string): string[] {
  return files.map(({ path, text, isSettings }) => {
    const target = join(root, path);
    if (isSettings && existsSync(target)) return `kept ${target}`;
    try {
      mkdirSync(dirname(target), { recursive: true });
      writeFileSync(target, text, { mode: 0o644 });
    } catch (cause) {
      throw refused(target, cause);
    }
    return `wrote ${target}`;
  });
}

export function removeFiles(files: readonly InstallFile[], root: string): string[] {
  return files.map(({ path, isSettings }) => {
    const target = join(root, path);
    if (!existsSync(target)) return `not there: ${target}`;
    if (isSettings) return `kept ${target}`;
    try {
      rmSync(target);
    } catch (cause) {
      throw refused(target, cause);
    }
    return `removed ${target}`;
  });
}

/** systemd's own quoting: a path may hold spaces, and `%` and `$` mean something in a unit. */
function quote(path: string): string {
  const plain = path.replaceAll('%', '%%').replaceAll('$', '$$$$');
  return /[\s"'\\]/.test(plain) ? `"${plain.replace(/(["\\])/g, '\\$1')}"` : plain;
}

function refused(target: string, cause: unknown): EegError {
  const { code = 'an error' } = cause as NodeJS.ErrnoException;
  return new EegError('EEG_STORE_FAILED', `${target} cannot be changed: ${code}`, {
    hint: 'run it with sudo',
    cause,
  });
}
