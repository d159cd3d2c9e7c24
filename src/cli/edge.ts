/** `eegd edge`: amplifiers and recordings here, predictions by the workers of a cluster. */
import type { Command } from 'commander';
import { EegError } from '../core/errors.js';
import { demoStreams } from './demo-streams.js';
import { type RoleFlags, roleConfig, roleOptions, runRole } from './role-flags.js';

export function define(command: Command): void {
  roleOptions(command)
    .option('--demo', 'replay the bundled recordings in a loop, at real time')
    .option('--checkpoint <name@version>', 'predicts here while the link is down')
    .addHelpText(
      'after',
      `
Examples:
  eegd edge --demo
  eegd edge --nats tls://nats.lab:4222 --site lab --name bed-17 --config /etc/eegd/edge.yaml`,
    )
    .action(run);
}

async function run(flags: RoleFlags & { demo?: boolean }): Promise<void> {
  const config = roleConfig(flags);
  if (flags.demo === true && config.streams.length > 0)
    throw new EegError('EEG_USAGE', 'expected --demo without streams in the configuration');
  const whole = flags.demo === true ? { ...config, streams: demoStreams() } : config;
  const { startEdge } = await import('../cluster/start-edge.js');
  await runRole(whole, async (settings, log) => {
    const { close } = await startEdge(settings, log);
    const { site, servers } = settings.cluster;
    return { line: `edge of ${site}, ${settings.streams.length} streams, to ${servers}`, close };
  });
}
