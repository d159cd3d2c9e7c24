/** `eegd replay FILE`: a recording through the model, predictions to stdout. */
import type { Command } from 'commander';
import { loadConfig } from '../config/load.js';
import { EegError } from '../core/errors.js';
import type { DaemonEvent } from '../core/events.js';
import { createLogger } from '../core/log.js';

interface ReplayFlags {
  readonly speed?: string;
  readonly lsl?: boolean;
  readonly wait: number;
  readonly delay: number;
  readonly json?: boolean;
  readonly checkpoint?: string;
  readonly task?: string[];
  readonly config?: string;
}

/** Seconds and windows that may wait for the engine before the file is held back. */
const pendingMax = 64;

export function define(command: Command): void {
  command
    .argument('<files...>', 'EDF, EDF+, BDF, XDF, BrainVision or GDF; with --lsl also several')
    .option('-s, --speed <factor>', 'times real time, or max; with --lsl 1 by default')
    .option('--lsl', 'send it as a live LSL stream, with a stream of its markers, to any reader')
    .option('--wait <seconds>', 'with --lsl: for the first reader', Number, 60)
    .option('--delay <seconds>', 'with --lsl: before the first sample', Number, 0)
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
  eegd replay models/demo/imagery.edf --speed 1
  eegd replay models/demo/session.edf --lsl`,
    )
    .action(replay);
}

async function replay(files: string[], flags: ReplayFlags): Promise<void> {
  if (flags.lsl === true) {
    await sendToLsl(files, flags);
    return;
  }
  const [file = '', more] = files;
  if (more !== undefined)
    throw new EegError('EEG_USAGE', `expected one file, got ${files.length} (several: --lsl)`);
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
  const query = new URLSearchParams({ speed: flags.speed ?? 'max' });
  try {
    await daemon.connect(`replay:${file}?${query}`, { tasks: flags.task });
    await ended;
    await daemon.idle();
  } finally {
    await daemon.close();
  }
  if (failure !== undefined) throw new Error(failure);
}

async function sendToLsl(files: string[], flags: ReplayFlags): Promise<void> {
  const { replayToLsl } = await import('./replay-lsl.js');
  const say = (text: string) => process.stderr.write(`${text}\n`);
  const { samples, markers } = await replayToLsl(files, {
    ...{ speed: Number(flags.speed ?? 1), waitS: flags.wait, delayS: flags.delay },
    onText: say,
  });
  say(`${samples} samples and ${markers} markers sent`);
}

function isShown(
  event: DaemonEvent,
  flags: ReplayFlags,
): event is Exclude<DaemonEvent, { kind: 'signal' }> {
  if (event.kind === 'signal' || event.kind === 'quality') return false;
  return flags.json === true || event.kind !== 'status';
}
