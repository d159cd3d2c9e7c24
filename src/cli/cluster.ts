/** `eegd cluster`: who lives, what serves, and the permissions of NATS. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import type { Config } from '../config/schema.js';
import { createLogger } from '../core/log.js';
import { type RoleFlags, roleConfig, roleOptions } from './role-flags.js';

export function define(command: Command): void {
  roleOptions(command.command('status'))
    .description('workers that live, and what serves')
    .action(status);
  roleOptions(command.command('activate <checkpoint>'))
    .description('all workers warm it, then flip together')
    .action((checkpoint: string, flags: RoleFlags) => exchange(flags, checkpoint));
  roleOptions(command.command('rollback'))
    .description('back to the one before, as a revision of its own')
    .action((flags: RoleFlags) => exchange(flags, undefined));
  roleOptions(command.command('assign <person> <checkpoint>'))
    .description("serve a person's streams by a checkpoint with packs of their own")
    .action(assign);
  command
    .command('permissions <sites...>')
    .description('NATS users, nkeys and permissions: one edge and one gateway a site')
    .requiredOption('--out <folder>', 'where the seeds and eegd-nats.conf go')
    .action(permissions);
  command.addHelpText(
    'after',
    `
Examples:
  eegd cluster status
  eegd cluster activate base@4
  eegd cluster permissions ward-1 ward-2 --out /etc/eegd/nats`,
  );
}

async function status(flags: RoleFlags): Promise<void> {
  await asOperator(flags, async ({ board, roster }) => {
    // Workers tell of themselves ten times a second.
    await new Promise((resolve) => setTimeout(resolve, 500));
    const { active } = board.state;
    const lines = [
      `serves ${active?.checkpoint ?? 'nothing'}, revision ${active?.revision ?? 0}`,
      ...roster.beats().map(({ worker, counters }) => {
        const { windows = 0, streams = 0 } = counters;
        return `worker ${worker}: ${streams} streams, ${windows} windows answered`;
      }),
    ];
    process.stdout.write(`${lines.join('\n')}\n`);
  });
}

async function exchange(flags: RoleFlags, checkpoint: string | undefined): Promise<void> {
  const { Activation } = await import('../cluster/activation.js');
  const { provide } = await import('../cluster/roles.js');
  await asOperator(flags, async ({ board, roster, shelf }) => {
    const activation = new Activation({
      ...{ board, roster },
      provide: (id) => provide(shelf, id),
      onChange: ({ phase, checkpoint: id, detail }) =>
        process.stdout.write(`${phase} ${id}${detail === undefined ? '' : `: ${detail}`}\n`),
    });
    await new Promise((resolve) => setTimeout(resolve, 500));
    await (checkpoint === undefined ? activation.rollback() : activation.activate(checkpoint));
  });
}

async function assign(person: string, checkpoint: string, flags: RoleFlags): Promise<void> {
  const { provide, describeCheckpoint } = await import('../cluster/roles.js');
  const config = roleConfig(flags);
  await asOperator(flags, async ({ board, shelf }) => {
    await provide(shelf, checkpoint);
    const info = await describeCheckpoint(config, shelf, checkpoint);
    await board.assign({ person, checkpoint, info });
    process.stdout.write(`${person} is served by ${checkpoint}\n`);
  });
}

async function permissions(sites: readonly string[], { out }: { out: string }): Promise<void> {
  const { makePermissions } = await import('../cluster/permissions.js');
  const { config, seeds } = makePermissions(sites);
  await mkdir(out, { recursive: true, mode: 0o700 });
  await writeFile(join(out, 'eegd-nats.conf'), config, { mode: 0o600 });
  for (const [name, seed] of Object.entries(seeds))
    await writeFile(join(out, `${name}.nk`), `${seed}\n`, { mode: 0o600 });
  const files = ['eegd-nats.conf', ...Object.keys(seeds).map((name) => `${name}.nk`)];
  process.stdout.write(files.map((file) => `wrote ${join(out, file)}\n`).join(''));
}

type Operator = Awaited<ReturnType<typeof import('../cluster/roles.js').openOperator>>;

async function asOperator(
  flags: RoleFlags,
  act: (operator: Operator) => Promise<void>,
): Promise<void> {
  const config: Config = roleConfig(flags);
  const { openOperator } = await import('../cluster/roles.js');
  const operator = await openOperator(config, createLogger('warn'));
  try {
    await act(operator);
  } finally {
    await operator.close();
  }
}
