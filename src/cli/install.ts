/** `eegd install --systemd`: the service, its user, its folders and the udev rules. */
import { spawnSync } from 'node:child_process';
import type { Command } from 'commander';
import { EegError } from '../core/errors.js';
import {
  type InstallFile,
  installCommands,
  systemdFiles,
  thisProgram,
  writeFiles,
} from './systemd-files.js';

export interface InstallFlags {
  readonly systemd?: boolean;
  readonly dryRun?: boolean;
  readonly enable?: boolean;
  readonly root?: string;
}

export function define(command: Command): void {
  command
    .requiredOption('--systemd', 'as a systemd service (the only kind there is)')
    .option('--dry-run', 'print what would be written and run')
    .option('--enable', 'start it now and at every boot')
    .option('--root <folder>', 'write below this folder and run nothing (for packages and images)')
    .addHelpText(
      'after',
      `
Examples:
  eegd install --systemd --dry-run
  sudo eegd install --systemd --enable
  sudo eegd uninstall --systemd`,
    )
    .action(install);
}

function install({ dryRun, enable, root }: InstallFlags): void {
  const files = systemdFiles(thisProgram());
  const commands = root === undefined ? installCommands(enable === true) : [];
  if (dryRun) {
    process.stdout.write(dryRunText(files, commands, root ?? '/'));
    return;
  }
  for (const line of writeFiles(files, root ?? '/')) process.stdout.write(`${line}\n`);
  for (const command of commands) runCommand(command);
  if (root === undefined && enable !== true)
    process.stdout.write('start it with: sudo systemctl enable --now eegd\n');
}

export function dryRunText(
  files: readonly InstallFile[],
  commands: readonly (readonly string[])[],
  root: string,
): string {
  const written = files.map(({ path, text, isSettings }) => {
    const target = `${root.replace(/\/$/, '')}${path}`;
    return `# would write ${target}${isSettings ? ', if it is not there' : ''}\n${text}`;
  });
  const run = commands.map((command) => `# would run ${command.join(' ')}\n`);
  return [...written, ...run].join('\n');
}

/** Rejects with `EEG_STORE_FAILED` where it cannot be run or fails. */
export function runCommand([name = '', ...args]: readonly string[]): void {
  process.stdout.write(`${[name, ...args].join(' ')}\n`);
  const { status, error } = spawnSync(name, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  if (status === 0) return;
  const why = error === undefined ? `exit code ${status}` : error.message;
  throw new EegError('EEG_STORE_FAILED', `${name} failed: ${why}`, { hint: 'run it with sudo' });
}
