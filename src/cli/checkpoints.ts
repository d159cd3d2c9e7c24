/**
 * `eegd checkpoints`: the store on this machine. What is activated here is verified first and served
 * from the next start on; a running daemon is told by its API or dashboard.
 */
import type { Command } from 'commander';
import { loadConfig } from '../config/load.js';
import { EegError } from '../core/errors.js';
import { silentLogger } from '../core/log.js';
import type { CheckpointStore, StoredCheckpoint } from '../daemon/checkpoint-store.js';

interface Flags {
  readonly config?: string;
  readonly json?: boolean;
}

export function define(command: Command): void {
  const sub = (name: string, what: string) =>
    command
      .command(name)
      .description(what)
      .option('-c, --config <file>', 'YAML configuration')
      .option('--json', 'JSON output');
  sub('list', 'every checkpoint on this machine').action(list);
  sub('add', 'verify a checkpoint folder and copy it into the store')
    .argument('<folder>', 'with manifest.json and model.safetensors')
    .action(add);
  sub('activate', 'serve it from the next start on')
    .argument('<name@version>', 'see eegd checkpoints list')
    .action(activate);
  sub('rollback', 'serve the previous one from the next start on').action(rollback);
  command.addHelpText(
    'after',
    `
Examples:
  eegd checkpoints add ./run-7/best
  eegd checkpoints activate base@2`,
  );
}

async function open(flags: Flags) {
  const config = loadConfig(flags.config, process.env);
  const { engineOpener, storeOf } = await import('../daemon/start.js');
  return { store: storeOf(config), openEngine: engineOpener(config, silentLogger) };
}

async function list(flags: Flags): Promise<void> {
  const { store } = await open(flags);
  const choice = await store.choice();
  const bad = (folder: string, error: unknown) => process.stderr.write(`${folder}: ${error}\n`);
  for (const { id, folder, manifest, parameters } of await store.list(bad)) {
    const tasks = manifest.architecture.tasks.map(({ name }) => name);
    const active = id === choice?.active;
    const line = flags.json
      ? JSON.stringify({ id, folder, trained: manifest.trained, active, tasks, parameters })
      : `${active ? '*' : ' '} ${id.padEnd(28)} ${(parameters / 1e6).toFixed(1).padStart(5)} M  ` +
        `${manifest.trained ? 'trained  ' : 'UNTRAINED'} ${tasks.join(' ')}`;
    process.stdout.write(`${line}\n`);
  }
}

async function add(folder: string, flags: Flags): Promise<void> {
  const { store, openEngine } = await open(flags);
  await (await openEngine(folder)).close();
  say(flags, 'added', await store.add(folder));
}

async function activate(id: string, flags: Flags): Promise<void> {
  const parts = await open(flags);
  const stored = await parts.store.find(id);
  await choose(parts.store, stored, async () => (await parts.openEngine(stored.folder)).close());
  say(flags, 'active from the next start on:', stored);
}

async function rollback(flags: Flags): Promise<void> {
  const { store, openEngine } = await open(flags);
  const previous = (await store.choice())?.previous;
  if (previous === undefined)
    throw new EegError('EEG_MODEL_NOT_FOUND', 'expected a previous checkpoint, there is none');
  const stored = await store.find(previous);
  await choose(store, stored, async () => (await openEngine(stored.folder)).close());
  say(flags, 'active from the next start on:', stored);
}

async function choose(
  store: CheckpointStore,
  stored: StoredCheckpoint,
  verify: () => Promise<void>,
): Promise<void> {
  await verify();
  const before = await store.choice();
  const previous = before?.active === stored.id ? before.previous : before?.active;
  await store.choose({ active: stored.id, previous });
}

function say(flags: Flags, what: string, { id, folder }: StoredCheckpoint): void {
  process.stdout.write(`${flags.json ? JSON.stringify({ id, folder }) : `${what} ${id}`}\n`);
}
