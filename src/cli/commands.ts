/** Every command: one line each. A module is loaded only when its command is used. */
import type { Command } from 'commander';

export interface CommandModule {
  /** Declares arguments, options, examples and the action; imports nothing heavy before it runs. */
  define(command: Command): void;
}

export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<CommandModule>;
}

export const commands: readonly CommandEntry[] = [
  { name: 'serve', summary: 'run the daemon', load: () => import('./serve.js') },
  {
    name: 'edge',
    summary: 'amplifiers here, predictions by a cluster',
    load: () => import('./edge.js'),
  },
  { name: 'worker', summary: 'predict for a cluster', load: () => import('./worker.js') },
  {
    name: 'gateway',
    summary: 'WebSocket and dashboard of a cluster',
    load: () => import('./gateway.js'),
  },
  {
    name: 'cluster',
    summary: 'who lives, what serves, who may what',
    load: () => import('./cluster.js'),
  },
  {
    name: 'replay',
    summary: 'run a recording through the model',
    load: () => import('./replay.js'),
  },
  {
    name: 'record',
    summary: 'record any stream to XDF, EDF+ or BDF+',
    load: () => import('./record.js'),
  },
  { name: 'tail', summary: 'follow a running daemon', load: () => import('./tail.js') },
  { name: 'devices', summary: 'list what can be connected', load: () => import('./devices.js') },
  { name: 'doctor', summary: 'look for what is amiss', load: () => import('./doctor.js') },
  { name: 'checkpoints', summary: 'list, add and choose', load: () => import('./checkpoints.js') },
  {
    name: 'prepare',
    summary: 'recordings through the live signal path, to disk',
    load: () => import('./prepare.js'),
  },
  {
    name: 'pretrain',
    summary: 'learn general EEG by masked autoencoding',
    load: () => import('./pretrain.js'),
  },
  {
    name: 'upcycle',
    summary: 'copy the FFNs of a checkpoint into experts',
    load: () => import('./upcycle.js'),
  },
  {
    name: 'finetune',
    summary: 'learn the tasks of a recipe together',
    load: () => import('./finetune.js'),
  },
  {
    name: 'evaluate',
    summary: 'figures of a checkpoint on people it did not learn from',
    load: () => import('./evaluate.js'),
  },
  {
    name: 'ablate',
    summary: 'does the mixture earn its place: six variants, some seeds',
    load: () => import('./ablate.js'),
  },
  { name: 'install', summary: 'run as a system service', load: () => import('./install.js') },
  { name: 'uninstall', summary: 'take it away', load: () => import('./uninstall.js') },
  { name: 'adapt', summary: 'teach a running daemon a task', load: () => import('./adapt.js') },
  { name: 'audit', summary: 'check the audit log', load: () => import('./audit.js') },
  { name: 'config', summary: 'check and explain settings', load: () => import('./config.js') },
];
