/**
 * `eegd devices`: what every driver family can find now, and `eegd devices impedance`: how well the
 * electrodes of a board sit.
 */
import { type Command, Option } from 'commander';
import { EegError } from '../core/errors.js';

export function define(command: Command): void {
  command
    .option('--probe', 'open serial ports of known USB ids that are free, and ask which board')
    .addOption(
      new Option('--port <path...>', 'ask these ports only, whatever they are').implies({
        probe: true,
      }),
    )
    .option('--json', 'one JSON object a line')
    .addHelpText(
      'after',
      `
Examples:
  eegd devices
  eegd devices --probe
  eegd devices impedance cyton:/dev/serial/by-id/usb-FTDI_FT231X_USB_UART_DM00CN7G-if00-port0`,
    )
    .action(devices);
  command
    .command('impedance')
    .description('electrode impedance of an OpenBCI Cyton that is not streaming, 3 s a channel')
    .argument('<address>', 'cyton:/dev/..., with the options it streams with')
    .option('--json', 'one JSON object a channel')
    .action(impedance);
}

interface Flags {
  readonly json?: boolean;
  readonly probe?: boolean;
  readonly port?: readonly string[];
}

async function devices({ json, probe, port }: Flags): Promise<void> {
  const { discoverDevices } = await import('../../drivers/registry.js');
  const { devices: found, failures } = await discoverDevices({
    ...(probe !== undefined && { probe }),
    ...(port !== undefined && { ports: port }),
  });
  for (const failure of failures) process.stderr.write(`${failure}\n`);
  for (const device of found) {
    const line = json
      ? JSON.stringify(device)
      : `${device.address.padEnd(40)} ${device.name.padEnd(24)} ${device.detail}`;
    process.stdout.write(`${line}\n`);
  }
  if (found.length === 0) process.stderr.write('nothing found; try eegd serve --demo\n');
}

/** What a reading means for a wet electrode; dry ones are good to ten times as much. */
const grades: readonly [belowOhms: number, grade: string][] = [
  [10_000, 'good'],
  [50_000, 'fair: more gel, or part the hair'],
  [1e6, 'poor: look at the electrode'],
];
const noContact = 'no contact';

async function impedance(address: string, _: Flags, command: Command): Promise<void> {
  // `--json` is an option of the parent too, which takes it wherever it stands.
  const { json } = command.optsWithGlobals<Flags>();
  const family = address.slice(0, address.indexOf(':'));
  if (family !== 'cyton') {
    throw new EegError('EEG_USAGE', `expected cyton:PORT, got "${address}"`, {
      hint: 'of the supported boards only the Cyton measures impedance',
    });
  }
  const { measureImpedance } = await import('../../drivers/cyton/impedance.js');
  for (const { label, ohms } of await measureImpedance(address)) {
    const grade = grades.find(([below]) => ohms < below)?.[1] ?? noContact;
    const touches = Number.isFinite(ohms);
    const line = json
      ? JSON.stringify({ label, ohms: touches ? Math.round(ohms) : null, grade })
      : `${label.padEnd(6)} ${(touches ? (ohms / 1000).toFixed(1) : '-').padStart(8)} kOhm  ${grade}`;
    process.stdout.write(`${line}\n`);
  }
}
