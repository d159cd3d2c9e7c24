/**
 * `eegd checkpoints`: the store on this machine. A daemon that runs at the configured address is
 * asked to activate or roll back; where none answers, the choice is verified and kept for the next
 * start.
 */
import type { Command } from 'commander';
import type { Client } from '../client/client.js';
import { loadConfig } from '../config/load.js';
import { EegError } from '../core/errors.js';
import { silentLogger } from '../core/log.js';
import type { CheckpointStore, StoredCheckpoint } from '../daemon/checkpoint-store.js';
import type { QuantizeFlags } from './quantize.js';

interface Flags {
  readonly config?: string;
  readonly json?: boolean;
  readonly tokenFile?: string;
}

export function define(command: Command): void {
  const sub = (name: string, what: string) =>
    command
      .command(name)
      .description(what)
      .option('-c, --config <file>', 'YAML configuration')
      .option('--json', 'JSON output');
  sub('list', 'every checkpoint on this machine').action(list);
  sub('add', 'verify a checkpoint or an expert pack and copy it into the store')
    .argument('<folder>', 'with manifest.json and model.safetensors')
    .action(add);
  sub('activate', 'serve it: at once where a daemon runs, else from the next start on')
    .argument('<name@version>', 'see eegd checkpoints list')
    .option('--token-file <file>', 'the token, where the daemon asks for one')
    .action(activate);
  sub('rollback', 'serve the previous one again, at once or from the next start on')
    .option('--token-file <file>', 'the token, where the daemon asks for one')
    .action(rollback);
  sub('quantize', 'a copy that the CPU serves in int8, refused where a task loses by it')
    .argument('<name@version>', 'see eegd checkpoints list')
    .requiredOption('--recipe <file>', 'whose validation side judges it')
    .option('--data <folder>', "folder of the sets, instead of the recipe's own")
    .option('--store <folder>', 'prepared recordings (default: the cache folder of the user)')
    .option('--threads <n>', 'threads of one operator', '1')
    .option('--force', 'publish it all the same; the manifest says so')
    .action(quantize);
  command.addHelpText(
    'after',
    `
Examples:
  eegd checkpoints add ./run-7/best
  eegd checkpoints quantize base@1 --recipe models/recipes/finetune.yaml
  eegd checkpoints activate base@4
  eegd checkpoints activate base@1+fists@2     # with an expert pack; without it: base@1`,
  );
}

async function open(flags: Flags) {
  const config = loadConfig(flags.config, process.env);
  const { engineOpener, storeOf } = await import('../daemon/start.js');
  const openEngine = engineOpener(config, silentLogger);
  return { store: storeOf(config), openEngine, configured: config.models.active };
}

/** What a start would serve: the configured one, the chosen one, or the shipped one. */
async function served(
  store: CheckpointStore,
  configured: string | undefined,
  all: readonly StoredCheckpoint[],
): Promise<string> {
  const named = configured ?? (await store.choice())?.active;
  if (named === undefined) return store.inStartOrder(all)[0]?.id ?? '';
  return (await store.find(named).catch(() => undefined))?.id ?? named;
}

async function list(flags: Flags): Promise<void> {
  const { store, configured } = await open(flags);
  const bad = (folder: string, error: unknown) => process.stderr.write(`${folder}: ${error}\n`);
  const all = await store.list(bad);
  const chosen = new Set((await served(store, configured, all)).split('+'));
  for (const { id, folder, manifest, parameters } of all) {
    const tasks = manifest.architecture.tasks.map(({ name }) => name);
    const active = chosen.has(id);
    const line = flags.json
      ? JSON.stringify({ id, folder, trained: manifest.trained, active, tasks, parameters })
      : `${active ? '*' : ' '} ${id.padEnd(28)} ${(parameters / 1e6).toFixed(1).padStart(5)} M  ` +
        `${manifest.trained ? 'trained  ' : 'UNTRAINED'} ${tasks.join(' ')}`;
    process.stdout.write(`${line}\n`);
  }
  const { listPacks } = await import('../daemon/stored-packs.js');
  for (const { id, folder, manifest } of await listPacks(store)) {
    const { base, task, trained } = manifest;
    const active = chosen.has(id);
    const line = flags.json
      ? JSON.stringify({ id, folder, trained, active, base: base.id, tasks: [task.name] })
      : `${active ? '*' : ' '} ${`+${id}`.padEnd(28)} pack of ${base.id}: ${task.name} (${task.classes.join(', ')})`;
    process.stdout.write(`${line}\n`);
  }
}

async function add(folder: string, flags: Flags): Promise<void> {
  const { store, openEngine } = await open(flags);
  const { addPack, baseOfPack, readPack } = await import('../daemon/stored-packs.js');
  const pack = await readPack(folder);
  if (pack === undefined) {
    await (await openEngine(folder)).close();
    return say(flags, 'added', await store.add(folder));
  }
  const base = await baseOfPack(store, pack);
  await (await openEngine(base.folder, [folder])).close();
  const added = await addPack(store, pack);
  const id = `${base.id}+${added.id}`;
  const line = `added the pack ${added.id}; eegd checkpoints activate ${id} serves it`;
  process.stdout.write(`${flags.json ? JSON.stringify({ id, folder: added.folder }) : line}\n`);
}

async function activate(id: string, flags: Flags): Promise<void> {
  const change = await askDaemon(flags, (client) =>
    client.call('checkpoints.activate', { checkpoint: id }),
  );
  if (change !== undefined) return sayChanged(flags, change);
  const parts = await open(flags);
  const stored = await parts.store.find(id);
  const verify = async () => (await parts.openEngine(stored.folder, stored.packs)).close();
  await choose(parts.store, stored, verify);
  say(flags, 'no daemon answers; active from the next start on:', stored);
}

async function rollback(flags: Flags): Promise<void> {
  const change = await askDaemon(flags, (client) => client.call('checkpoints.rollback'));
  if (change !== undefined) return sayChanged(flags, change);
  const { store, openEngine } = await open(flags);
  const previous = (await store.choice())?.previous;
  if (previous === undefined)
    throw new EegError('EEG_MODEL_NOT_FOUND', 'expected a previous checkpoint, there is none');
  const stored = await store.find(previous);
  const verify = async () => (await openEngine(stored.folder, stored.packs)).close();
  await choose(store, stored, verify);
  say(flags, 'no daemon answers; active from the next start on:', stored);
}

async function quantize(id: string, flags: Flags & QuantizeFlags): Promise<void> {
  const { store } = await open(flags);
  const { quantize: make } = await import('./quantize.js');
  say(flags, 'added', await make(store, id, flags));
}

async function askDaemon<T>(flags: Flags, ask: (client: Client) => Promise<T>) {
  const { server } = loadConfig(flags.config, process.env);
  const { withDaemon } = await import('./running-daemon.js');
  return withDaemon(server, flags.tokenFile, ask);
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

function sayChanged(flags: Flags, { checkpoint }: { readonly checkpoint: string }): void {
  const line = flags.json
    ? JSON.stringify({ id: checkpoint, running: true })
    : `the running daemon serves ${checkpoint}`;
  process.stdout.write(`${line}\n`);
}
