/** What the roles of a cluster have in common on the command line. */
import type { Command } from 'commander';
import { loadConfig } from '../config/load.js';
import type { Config } from '../config/schema.js';
import { createLogger, type Logger } from '../core/log.js';
import { stopSignal } from './stop-signal.js';

export interface RoleFlags {
  readonly config?: string;
  readonly nats?: string;
  readonly site?: string;
  readonly name?: string;
  readonly port?: string;
  readonly checkpoint?: string;
}

export function roleOptions(command: Command): Command {
  return command
    .option('-c, --config <file>', 'YAML configuration')
    .option('--nats <urls>', 'NATS servers, separated by commas')
    .option('--site <name>', 'site: whose subjects and streams')
    .option('--name <name>', 'name of this one in its site');
}

/** The flags go over the environment, the environment over the file. */
export function roleConfig(flags: RoleFlags): Config {
  const environment: Record<string, string | undefined> = { ...process.env };
  const set = (name: string, value: string | undefined) => {
    if (value !== undefined) environment[name] = value;
  };
  set('EEGD_CLUSTER_SERVERS', flags.nats);
  set('EEGD_CLUSTER_SITE', flags.site);
  set('EEGD_CLUSTER_NAME', flags.name);
  set('EEGD_SERVER_PORT', flags.port);
  set('EEGD_MODELS_ACTIVE', flags.checkpoint);
  return loadConfig(flags.config, environment);
}

/** Runs a role in the foreground until SIGTERM or SIGINT; systemd is told when it is ready. */
export async function runRole(
  config: Config,
  start: (config: Config, log: Logger) => Promise<{ line: string; close(): Promise<void> }>,
): Promise<void> {
  const log = createLogger(config.log.level);
  const { createNotifier } = await import('../daemon/notify.js');
  const notifier = createNotifier(log);
  const stopped = stopSignal(log);
  const running = await start(config, log);
  process.stdout.write(`${running.line}\n`);
  notifier.ready(running.line);
  await stopped;
  notifier.stopping();
  await running.close();
}
