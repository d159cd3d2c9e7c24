/** `eegd serve`: the daemon in the foreground, until SIGTERM or SIGINT. */
import { networkInterfaces } from 'node:os';
import type { Command } from 'commander';
import { loadConfig } from '../config/load.js';
import type { Config } from '../config/schema.js';
import { EegError } from '../core/errors.js';
import { createLogger } from '../core/log.js';
import { demoStreams } from './demo-streams.js';
import { stopSignal } from './stop-signal.js';

interface ServeFlags {
  readonly config?: string;
  readonly demo?: boolean;
  readonly port?: string;
  readonly checkpoint?: string;
  readonly engine?: string;
  readonly device?: string;
}

export function define(command: Command): void {
  command
    .option('-c, --config <file>', 'YAML configuration')
    .option('--demo', 'replay the bundled recordings in a loop, at real time')
    .option('-p, --port <number>', 'TCP port of the server; 0 = any free one')
    .option('--checkpoint <name@version>', 'checkpoint to serve')
    .option('--engine <kind>', 'onnx, tfjs, tfjs-node or tfjs-node-gpu')
    .option('--device <device>', 'auto, cpu, webgpu, cuda or tensorrt')
    .addHelpText(
      'after',
      `
Examples:
  eegd serve --demo
  eegd serve --config /etc/eegd/eegd.yaml
  EEGD_SERVER_PORT=9000 eegd serve --demo`,
    )
    .action(serve);
}

async function serve(flags: ServeFlags): Promise<void> {
  const config = configOf(flags);
  const log = createLogger(config.log.level);
  const { startDaemon } = await import('../daemon/start.js');
  const { createNotifier } = await import('../daemon/notify.js');
  const { supervise } = await import('../daemon/supervise.js');
  const { systemClock } = await import('../core/time.js');
  const stopped = stopSignal(log);
  const running = await startDaemon(config, log);
  const { daemon, server } = running;
  const { checkpoint, trained } = daemon.snapshot();
  const what = trained ? checkpoint : `${checkpoint}, UNTRAINED: its predictions are noise`;
  process.stdout.write(`eegd serves ${what}\nopen ${openAt(server.address)}/ in a browser\n`);
  const stopping = supervise(daemon, createNotifier(log), systemClock);
  await stopped;
  stopping();
  await running.close();
}

/** Nobody can open `0.0.0.0`: an address of this machine, where it has one on a network. */
export function openAt(address: string, interfaces = networkInterfaces()): string {
  const all = Object.values(interfaces).flatMap((each) => each ?? []);
  const own = all.find(({ family, internal }) => family === 'IPv4' && !internal);
  return address.replace(/\/\/(0\.0\.0\.0|\[::\])/, `//${own?.address ?? '127.0.0.1'}`);
}

/** The flags go over the environment, the environment over the file. */
function configOf(flags: ServeFlags): Config {
  const config = loadConfig(flags.config, process.env, {
    EEGD_SERVER_PORT: { flag: '--port', value: flags.port },
    EEGD_MODELS_ACTIVE: { flag: '--checkpoint', value: flags.checkpoint },
    EEGD_ENGINE_KIND: { flag: '--engine', value: flags.engine },
    EEGD_ENGINE_DEVICE: { flag: '--device', value: flags.device },
  });
  if (flags.demo !== true) return config;
  if (config.streams.length > 0)
    throw new EegError('EEG_USAGE', 'expected --demo without streams in the configuration');
  return { ...config, streams: demoStreams() };
}
