/** `eegd replay FILE`: a recording through the model, predictions to stdout. */
import type { Command } from 'commander';
import { loadConfig } from '../config/load.js';
import type { DaemonEvent } from '../core/events.js';
import { createLogger } from '../core/log.js';

interface ReplayFlags {
  readonly speed: string;
  readonly json?: boolean;
  readonly checkpoint?: string;
  readonly task?: string[];
  readonly config?: string;
}

/** Seconds and windows that may wait for the engine before the file is held back. */
const pendingMax = 64;

export function define(command: Command): void {
  command
    .argument('<file>', 'EDF, EDF+, BDF, XDF, BrainVision or GDF')
    .option('-s, --speed <factor>', 'times real time, or max', 'max')
    .option('--json', 'one JSON object a line')
    .option('--task <names...>', 'only these tasks')
    .option('--checkpoint <name@version>', 'checkpoint to use')
    .option('-c, --config <file>', 'YAML configuration (engine, models)')
    .addHelpText(
      'after',
      `
Examples:
  eegd replay night.edf --task sleep
  eegd replay seizure.edf --json | jq 'select(.kind == "event")'
  eegd replay models/demo/imagery.edf --speed 1`,
    )
    .action(replay);
}

async function replay(file: string, flags: ReplayFlags): Promise<void> {
  const override = flags.checkpoint === undefined ? {} : { EEGD_MODELS_ACTIVE: flags.checkpoint };
  const config = loadConfig(flags.config, { ...process.env, ...override });
  const log = createLogger(config.log.level === 'info' ? 'warn' : config.log.level);
  const { openDaemon } = await import('../daemon/start.js');
  const { eventLine } = await import('./tail.js');
  const daemon = await openDaemon(config, log, { pace: 'offline', ready: () => room() });
  const room = async () => {
    if (daemon.pending > pendingMax) await daemon.idle();
  };
  let failure: string | undefined;
  const ended = new Promise<void>((resolve) => {
    daemon.events$.subscribe((event) => {
      if (isShown(event, flags)) {
        const line = flags.json ? JSON.stringify(event) : eventLine(event);
        process.stdout.write(`${line}\n`);
      }
      if (event.kind !== 'status' || (event.state !== 'ended' && event.state !== 'failed')) return;
      if (event.state === 'failed') failure = event.detail;
      resolve();
    });
  });
  const query = new URLSearchParams({ speed: flags.speed });
  try {
    await daemon.connect(`replay:${file}?${query}`, { tasks: flags.task });
    await ended;
    await daemon.idle();
  } finally {
    await daemon.close();
  }
  if (failure !== undefined) throw new Error(failure);
}

function isShown(
  event: DaemonEvent,
  flags: ReplayFlags,
): event is Exclude<DaemonEvent, { kind: 'signal' }> {
  if (event.kind === 'signal' || event.kind === 'quality') return false;
  return flags.json === true || event.kind !== 'status';
}
