/**
 * `eegd adapt`: teach a running daemon a task. `guide` leads through trials in the terminal: it says
 * what to do, marks it, and tells how many trials are still needed.
 */
import type { Command } from 'commander';
import { defaultTiming, TrialSchedule } from '../adaptation/trials.js';
import { Client, CommandError } from '../client/client.js';
import { EegError } from '../core/errors.js';
import { Rng } from '../core/rng.js';
import { readToken } from './token.js';

interface Flags {
  readonly url: string;
  readonly tokenFile?: string;
  readonly json?: boolean;
  readonly stream?: string;
}

type Body = Readonly<Record<string, unknown>>;
type AdaptCommand = 'start' | 'label' | 'undo' | 'status' | 'commit' | 'rollback' | 'export';

export function define(command: Command): void {
  const sub = (name: string, what: string) =>
    command
      .command(name)
      .description(what)
      .option('--url <url>', 'where the daemon listens', 'ws://127.0.0.1:8765/ws')
      .option('--token-file <file>', 'the token, where the daemon asks for one')
      .option('--stream <id>', 'the stream, where there are several')
      .option('--json', 'JSON output');
  sub('start', 'begin to teach a task')
    .argument('<task>', 'its name')
    .argument('<classes...>', 'what is to be told apart')
    .option('--window <seconds>', 'seconds of signal in a window', Number)
    .option('--trial <seconds>', 'seconds that a mark stands for, the window at least', Number)
    .option('--marker <text=class...>', 'markers of the stream or of LSL that stand for classes')
    .option('--like <task>', 'a task of the checkpoint to start from')
    .option('--latency <seconds>', 'delay of the amplifier', Number)
    .option('--no-auto', 'do not serve what was learned without being asked')
    .action(start);
  sub('label', 'mark what begins now')
    .argument('<class>')
    .action((label: string, flags: Flags) => run(flags, 'label', { label }));
  sub('undo', 'take the last label back').action((flags: Flags) => run(flags, 'undo', {}));
  sub('status', 'labels, progress, accuracy').action((flags: Flags) => run(flags, 'status', {}));
  sub('commit', 'serve what was learned, or learn now').action((flags: Flags) =>
    run(flags, 'commit', {}),
  );
  sub('rollback', 'take it out again').action((flags: Flags) => run(flags, 'rollback', {}));
  sub('export', 'labelled data as BIDS')
    .option('--subject <name>', 'letters and digits')
    .action((flags: Flags & { subject?: string }) =>
      run(flags, 'export', flags.subject === undefined ? {} : { subject: flags.subject }),
    );
  sub('guide', 'lead through trials: cue, do, rest')
    .option('-n, --trials <count>', 'how many; else until enough is known', Number)
    .action(guide);
  command.addHelpText(
    'after',
    `
Examples:
  eegd adapt start fists left right rest
  eegd adapt guide
  eegd adapt status`,
  );
}

interface StartFlags extends Flags {
  readonly window?: number;
  readonly trial?: number;
  readonly marker?: string[];
  readonly like?: string;
  readonly latency?: number;
  readonly auto: boolean;
}

async function start(task: string, classes: string[], flags: StartFlags): Promise<void> {
  const { window, trial, marker, like, latency, auto, stream } = flags;
  await run(flags, 'start', {
    ...{ task, classes, auto },
    ...(stream === undefined ? {} : { stream }),
    ...(window === undefined ? {} : { windowS: window }),
    ...(trial === undefined ? {} : { trialS: trial }),
    ...(marker === undefined ? {} : { markers: markersOf(marker) }),
    ...(like === undefined ? {} : { like }),
    ...(latency === undefined ? {} : { latencyS: latency }),
  });
}

function markersOf(pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=');
      if (at > 0) return [pair.slice(0, at).trim(), pair.slice(at + 1).trim()];
      throw new EegError('EEG_USAGE', `expected --marker TEXT=CLASS, got "${pair}"`);
    }),
  );
}

async function run(flags: Flags, name: AdaptCommand, args: Body): Promise<void> {
  const body = await connected(flags, (client) => client.call(`adapt.${name}`, { args }));
  process.stdout.write(flags.json ? `${JSON.stringify(body)}\n` : `${statusText(body)}\n`);
}

async function connected<T>(flags: Flags, work: (client: Client) => Promise<T>): Promise<T> {
  const token = flags.tokenFile === undefined ? {} : { token: readToken(flags.tokenFile) };
  const client = new Client(flags.url, { ...token, reconnect: false });
  try {
    await client.open().catch((cause: unknown) => {
      const what = `no daemon answers at ${flags.url}: ${String(cause)}`;
      throw new EegError('EEG_DEVICE_UNAVAILABLE', what, { hint: 'start one: eegd serve' });
    });
    return await work(client);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    throw new EegError(error.code, error.message, { hint: error.hint });
  } finally {
    client.close();
  }
}

/** Trials until so many were done, or until none is needed any more. */
async function guide(flags: Flags & { trials?: number }): Promise<void> {
  await connected(flags, async (client) => {
    let body: Body = await client.call('adapt.status', { args: {} });
    const classes = body.classes;
    if (!Array.isArray(classes)) {
      const hint = 'eegd adapt start TASK CLASS CLASS ...';
      throw new EegError('EEG_ADAPT_STATE', 'no task is being taught', { hint });
    }
    const schedule = new TrialSchedule(classes.map(String), new Rng(Date.now()), defaultTiming);
    for (let done = 0; flags.trials === undefined ? needs(body) : done < flags.trials; done++) {
      const trial = schedule.next();
      say(`\n${done + 1}. get ready: ${trial.label}`);
      await pause(trial.taskAtS);
      const args = { label: trial.label, durationS: trial.restAtS - trial.taskAtS };
      await client.call('adapt.label', { args });
      say(`   NOW: ${trial.label}`);
      await pause(trial.restAtS - trial.taskAtS);
      say('   rest');
      await pause(trial.endS - trial.restAtS);
      body = await client.call('adapt.status', { args: {} });
      say(statusText(body));
    }
  });
}

function needs({ needed }: Body): boolean {
  return Object.values((needed ?? {}) as Record<string, number>).some((count) => count > 0);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function pause(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
}

/** One line of what there is. */
export function statusText(body: Body): string {
  const { state, task, labels, needed, accuracy, accuracyLow, accuracyHigh, detail } = body;
  const percent = (value: unknown) => `${Math.round(100 * Number(value))} %`;
  const list = (counts: unknown) =>
    Object.entries((counts ?? {}) as Record<string, number>)
      .map(([label, count]) => `${label} ${count}`)
      .join(', ');
  const parts = [
    typeof state === 'string' ? state : '',
    typeof task === 'string' ? task : '',
    labels === undefined ? '' : `labels: ${list(labels)}`,
    needs({ needed }) ? `still needed: ${list(needed)}` : '',
    typeof accuracy === 'number'
      ? `accuracy ${percent(accuracy)} (95 %: ${percent(accuracyLow)} to ${percent(accuracyHigh)})`
      : '',
    typeof body.live === 'string'
      ? `served predictions right: ${body.live} (95 %: ${percent(body.liveLow)} to ${percent(body.liveHigh)}; chance ${percent(body.chance)})`
      : '',
    typeof body.folder === 'string' ? body.folder : '',
    typeof detail === 'string' ? detail : '',
  ];
  return parts.filter((part) => part !== '').join(' · ');
}
