/** `eegd worker`: answers the windows of all edges of its sites, in batches. */
import type { Command } from 'commander';
import { type RoleFlags, roleConfig, roleOptions, runRole } from './role-flags.js';

export function define(command: Command): void {
  roleOptions(command)
    .option('--checkpoint <name@version>', 'what the first worker of a cluster activates')
    .addHelpText(
      'after',
      `
Examples:
  eegd worker
  eegd worker --nats tls://nats.lab:4222 --name gpu-1 --config /etc/eegd/worker.yaml`,
    )
    .action(run);
}

async function run(flags: RoleFlags): Promise<void> {
  const { startWorker, sitesOf } = await import('../cluster/roles.js');
  await runRole(roleConfig(flags), async (config, log) => {
    const { worker, close } = await startWorker(config, log);
    const [info] = worker.server.infos();
    const sites = sitesOf(config).join(', ');
    return { line: `worker of ${sites}, serves ${info?.checkpoint} on ${info?.engine}`, close };
  });
}
