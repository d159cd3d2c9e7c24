/** `eegd audit verify`: whether the log of what changed the serving model is whole. */
import { join } from 'node:path';
import type { Command } from 'commander';
import { loadConfig } from '../config/load.js';
import { EegError } from '../core/errors.js';

interface Flags {
  readonly config?: string;
  readonly json?: boolean;
}

export function define(command: Command): void {
  command
    .command('verify')
    .description('check the hash chain of the audit log')
    .argument('[file]', 'the log; that of the configured state folder where absent')
    .option('-c, --config <file>', 'YAML configuration')
    .option('--json', 'JSON output')
    .action(verify);
}

async function verify(file: string | undefined, flags: Flags): Promise<void> {
  const { verifyAudit } = await import('../adaptation/audit-log.js');
  const path = file ?? (await configured(flags.config));
  const verdict = await verifyAudit(path);
  if (flags.json) process.stdout.write(`${JSON.stringify({ path, ...verdict })}\n`);
  else if (verdict.ok) process.stdout.write(`${path}: ${verdict.lines} lines, whole\n`);
  if (verdict.ok) return;
  throw new EegError('EEG_DATA_INVALID', `${path}: line ${verdict.seq} ${verdict.reason}`, {
    hint: 'the log was changed after it was written, or the disk damaged it',
  });
}

async function configured(file: string | undefined): Promise<string> {
  const { foldersOf } = await import('../daemon/start.js');
  const { state } = foldersOf(loadConfig(file, process.env));
  return join(state, 'adaptation', 'audit.jsonl');
}
