/** `eegd doctor`: looks at what the daemon needs, and says how to mend what is amiss. */
import type { Command } from 'commander';
import { EegError } from '../core/errors.js';
import type { CheckLine } from './doctor-checks.js';

export function define(command: Command): void {
  command
    .option('--json', 'one JSON object a line')
    .option('--config <file>', 'look at the folders that this configuration names')
    .addHelpText('after', '\nExits with 69 where a check fails.\n\nExample:\n  eegd doctor --json')
    .action(doctor);
}

async function doctor(flags: { json?: boolean; config?: string }): Promise<void> {
  const lines = await examine(flags.config);
  for (const line of lines)
    process.stdout.write(flags.json ? `${JSON.stringify(line)}\n` : `${format(line)}\n`);
  const failed = lines.filter((one) => one.state === 'fail').map((one) => one.check);
  if (failed.length === 0) return;
  throw new EegError(
    'EEG_DEVICE_UNAVAILABLE',
    `${failed.length} of ${lines.length} checks failed: ${[...new Set(failed)].join(', ')}`,
    { hint: 'mend what the lines above name' },
  );
}

export async function examine(configFile?: string): Promise<CheckLine[]> {
  const { loadConfig } = await import('../config/load.js');
  const { foldersOf } = await import('../daemon/start.js');
  const checks = await import('./doctor-checks.js');
  const network = await import('./doctor-network.js');
  const { state, recordings } = foldersOf(loadConfig(configFile, process.env));
  const { line: lsl, config: lslConfig } = network.checkLslSettings();
  const found = await Promise.all([
    checks.checkNode(),
    network.checkEngines(),
    lsl,
    lslConfig === undefined ? [] : network.checkMulticast(lslConfig),
    network.checkLiblsl(),
    checks.checkSerial(),
    checks.checkGroup(),
    checks.checkLatency(),
    checks.checkState(state),
    checks.checkDisk(recordings),
    checks.checkClock(),
  ]);
  return found.flat();
}

export function format({ check, state, detail, mend }: CheckLine): string {
  const line = `${state.padEnd(5)} ${check.padEnd(10)} ${detail}`;
  return mend === undefined ? line : `${line}\n${' '.repeat(17)}-> ${mend}`;
}
