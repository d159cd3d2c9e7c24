/** `eegd uninstall --systemd`: takes the service away; settings, state and recordings stay. */
import { spawnSync } from 'node:child_process';
import type { Command } from 'commander';
import { type InstallFlags, runCommand } from './install.js';
import { removeFiles, systemdFiles, thisProgram } from './systemd-files.js';

export function define(command: Command): void {
  command
    .requiredOption('--systemd', 'the systemd service')
    .option('--dry-run', 'print what would be removed')
    .option('--root <folder>', 'remove below this folder and run nothing')
    .action(uninstall);
}

function uninstall({ dryRun, root = '/' }: InstallFlags): void {
  const files = systemdFiles(thisProgram());
  if (dryRun) {
    for (const { path, isSettings } of files)
      process.stdout.write(`${isSettings ? 'would keep' : 'would remove'} ${path}\n`);
    return;
  }
  // Not there, or not running: then there is nothing to stop.
  if (root === '/') spawnSync('systemctl', ['disable', '--now', 'eegd.service']);
  for (const line of removeFiles(files, root)) process.stdout.write(`${line}\n`);
  if (root !== '/') return;
  runCommand(['systemctl', 'daemon-reload']);
  process.stdout.write('kept: /etc/eegd, /var/lib/eegd and the user eegd\n');
}
