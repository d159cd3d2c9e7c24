/** `eegd gateway`: WebSocket, dashboard and metrics for a whole cluster. */
import type { Command } from 'commander';
import { type RoleFlags, roleConfig, roleOptions, runRole } from './role-flags.js';

export function define(command: Command): void {
  roleOptions(command)
    .option('-p, --port <number>', 'TCP port of the server; 0 = any free one')
    .addHelpText(
      'after',
      `
Examples:
  eegd gateway
  eegd gateway --nats tls://nats.lab:4222 --config /etc/eegd/gateway.yaml`,
    )
    .action(run);
}

async function run(flags: RoleFlags): Promise<void> {
  const { startGateway, sitesOf } = await import('../cluster/roles.js');
  await runRole(roleConfig(flags), async (config, log) => {
    const { server, close } = await startGateway(config, log);
    const sites = sitesOf(config).join(', ');
    return { line: `gateway of ${sites}\nopen ${server.address}/ in a browser`, close };
  });
}
