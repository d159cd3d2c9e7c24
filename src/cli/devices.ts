/** `eegd devices`: what every driver family can find now. */
import type { Command } from 'commander';

export function define(command: Command): void {
  command
    .option('--json', 'one JSON object a line')
    .addHelpText('after', '\nExample:\n  eegd devices --json')
    .action(devices);
}

async function devices(flags: { json?: boolean }): Promise<void> {
  const { discoverDevices } = await import('../../drivers/registry.js');
  const { devices: found, failures } = await discoverDevices();
  for (const failure of failures) process.stderr.write(`${failure}\n`);
  for (const device of found) {
    const line = flags.json
      ? JSON.stringify(device)
      : `${device.address.padEnd(40)} ${device.name.padEnd(24)} ${device.detail}`;
    process.stdout.write(`${line}\n`);
  }
  if (found.length === 0) process.stderr.write('nothing found; try eegd serve --demo\n');
}
