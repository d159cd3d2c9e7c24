/** What the training commands share: flags, progress on a terminal or as JSON lines, interrupts. */
import { type Command, Option } from 'commander';
import { EegError } from '../core/errors.js';
import type { Device } from '../graph/session.js';

export interface RunFlags {
  readonly data?: string;
  readonly store?: string;
  readonly threads: string;
}

export interface StageFlags extends RunFlags {
  readonly out: string;
  readonly from?: string;
  readonly steps?: string;
}

export interface LearningFlags extends StageFlags {
  readonly device: Device;
}

export function dataFlags(command: Command): Command {
  return command
    .argument('<recipe>', 'YAML recipe')
    .option('--data <folder>', "folder of the sets, instead of the recipe's own")
    .option('--store <folder>', 'prepared recordings (default: the cache folder of the user)')
    .option('--threads <n>', 'threads of one operator', '1');
}

export function stageFlags(command: Command): Command {
  return dataFlags(command)
    .requiredOption('-o, --out <folder>', 'run folder; one that is there is gone on with')
    .option('--from <folder>', 'checkpoint, or run folder with one, to start from');
}

/** For the stages that learn. */
export function learningFlags(command: Command): Command {
  return stageFlags(command)
    .option('--steps <n>', "how many, instead of the recipe's")
    .addOption(
      new Option('--device <name>', 'where it computes; parameters stay on webgpu')
        .choices(['cpu', 'webgpu', 'cuda'])
        .default('cpu'),
    );
}

/** @throws EEG_USAGE */
export function wholeNumber(flag: string, text: string, least: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < least)
    throw new EegError('EEG_USAGE', `${flag}: expected a whole number from ${least}, came ${text}`);
  return value;
}

export function threadsOf(flags: RunFlags): number {
  const threads = Number(flags.threads);
  if (!Number.isInteger(threads) || threads < 1 || threads > 256)
    throw new EegError('EEG_USAGE', `--threads: expected 1 to 256, came ${flags.threads}`);
  return threads;
}

/** One line that is written over on a terminal, one JSON object a line otherwise. */
export class ProgressWriter {
  readonly #live = process.stdout.isTTY;

  write(line: string, record: unknown): void {
    if (this.#live) process.stdout.write(`\r${line.slice(0, process.stdout.columns - 1)}\x1b[K`);
    else process.stdout.write(`${JSON.stringify(record)}\n`);
  }

  /** A line that stays. */
  keep(line: string, record: unknown): void {
    if (this.#live) process.stdout.write(`\r${line}\x1b[K\n`);
    else process.stdout.write(`${JSON.stringify(record)}\n`);
  }
}

/** Ends at the next step when interrupted, with the state saved; a second interrupt kills. */
export function untilInterrupted(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => controller.abort());
  return controller.signal;
}

export function clockTime(seconds: number): string {
  const minutes = Math.floor(seconds / 60);
  const rest = String(Math.floor(seconds % 60)).padStart(2, '0');
  return minutes < 60
    ? `${minutes}:${rest}`
    : `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, '0')}:${rest}`;
}
