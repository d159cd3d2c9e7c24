#!/usr/bin/env -S node --v8-pool-size=1 --heap-growing-percent=150
/** The command line: finds the command, and turns errors into one line and an exit code. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, CommanderError } from 'commander';
import { toEegError } from '../core/errors.js';
import { packageRoot } from '../core/paths.js';
import { commands } from './commands.js';

async function program(args: readonly string[]): Promise<Command> {
  const root = new Command('eegd')
    .description('live EEG to sleep-stage, seizure and motor-imagery predictions over a WebSocket')
    .version(version())
    .showHelpAfterError('(eegd --help lists the commands)')
    .addHelpText(
      'after',
      `
Examples:
  eegd serve --demo              watch predictions of a recorded EEG in a browser
  eegd serve --config eegd.yaml  run with your own streams
  eegd replay night.edf --json   predictions of a file, a line each
  eegd devices                   what can be connected now`,
    );
  const asked = args.find((arg) => !arg.startsWith('-'));
  for (const { name, summary, load } of commands) {
    const command = root.command(name).summary(summary).description(summary);
    if (name === asked || asked === 'help') (await load()).define(command);
  }
  forAll(root, (command) => command.exitOverride());
  return root;
}

function forAll(command: Command, apply: (command: Command) => void): void {
  apply(command);
  for (const child of command.commands) forAll(child, apply);
}

function version(): string {
  const text = readFileSync(join(packageRoot(), 'package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

/** Runs one command; returns the exit code (sysexits). */
export async function run(args: readonly string[]): Promise<number> {
  try {
    const root = await program(args);
    await root.parseAsync(args, { from: 'user' });
    return 0;
  } catch (error) {
    // Commander has printed its own message already.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 64;
    const failure = toEegError(error);
    process.stderr.write(`eegd: ${failure.line}\n`);
    if (failure.code === 'EEG_INTERNAL') process.stderr.write(`${String(failure.stack)}\n`);
    return failure.exitCode;
  }
}

// A reader that goes away (`eegd replay x | head`) is no fault.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

const code = await run(process.argv.slice(2));
// Listeners of a command that ended may keep the loop alive; what a pipe still holds goes first.
process.stdout.write('', () => process.exit(code));
