/**
 * `eegd tail`: what the daemon predicts, a line each, or JSON lines with `--json`. Data go to stdout,
 * the connection's ups and downs to stderr.
 */
import type { Command } from 'commander';
import { Client, type ClientEvent, type ConnectionState, type Topic } from '../client/client.js';
import { EegError } from '../core/errors.js';
import type { DaemonEvent } from '../core/events.js';
import { topics } from '../server/topics.js';
import { readToken } from './token.js';

export interface TailOptions {
  /** `ws://127.0.0.1:8765/ws`. */
  readonly url: string;
  readonly json?: boolean;
  readonly topics?: readonly Topic[];
  readonly stream?: readonly string[];
  readonly task?: readonly string[];
  readonly tokenFile?: string;
  /** End after so many lines; absent: until interrupted. */
  readonly count?: number;
}

interface TailFlags {
  readonly url: string;
  readonly json?: boolean;
  readonly topic?: string[];
  readonly stream?: string[];
  readonly task?: string[];
  readonly tokenFile?: string;
  readonly count?: string;
}

export function define(command: Command): void {
  command
    .option('--url <url>', 'where the daemon listens', 'ws://127.0.0.1:8765/ws')
    .option('--json', 'one JSON object a line')
    .option('--topic <names...>', `of ${topics.filter((name) => name !== 'signal').join(', ')}`)
    .option('--stream <ids...>', 'only these streams')
    .option('--task <names...>', 'only these tasks')
    .option('--token-file <file>', 'the token, where the daemon asks for one')
    .option('-n, --count <lines>', 'end after so many lines')
    .addHelpText(
      'after',
      `
Examples:
  eegd tail --task sleep
  eegd tail --json --topic events | jq .label`,
    )
    .action(runTail);
}

async function runTail({ topic, count, ...flags }: TailFlags): Promise<void> {
  const chosen = topic?.map((name) => {
    const known = topics.find((each) => each === name && each !== 'signal');
    if (known === undefined) throw new EegError('EEG_USAGE', `no topic "${name}"`);
    return known;
  });
  if (count !== undefined && !/^[1-9]\d*$/.test(count))
    throw new EegError('EEG_USAGE', `expected --count 1 or more, got "${count}"`);
  const abort = new AbortController();
  process.once('SIGINT', () => abort.abort());
  process.once('SIGTERM', () => abort.abort());
  const options = {
    ...flags,
    ...(chosen && { topics: chosen }),
    ...(count !== undefined && { count: Number(count) }),
  };
  await tail(options, abort.signal);
}

interface Output {
  write(text: string): unknown;
}

/**
 * Runs until `signal` aborts or `count` lines were written. Rejects with `EEG_DEVICE_UNAVAILABLE`
 * where no daemon answers, `EEG_WS_UNAUTHENTICATED` where the token is wrong.
 */
export async function tail(
  options: TailOptions,
  signal: AbortSignal,
  out: Output = process.stdout,
  err: Output = process.stderr,
): Promise<void> {
  let lines = 0;
  await new Promise<void>((resolve, reject) => {
    const finish = () => {
      client.close();
      resolve();
    };
    const client = new Client(options.url, {
      ...(options.tokenFile && { token: readToken(options.tokenFile) }),
      onEvent(event) {
        if (event.kind === 'signal' || lines === options.count) return;
        out.write(`${options.json ? JSON.stringify(event) : eventLine(event)}\n`);
        lines += 1;
        if (lines === options.count) finish();
      },
      onLagged: (dropped) => err.write(`this reader was too slow: ${dropped} messages left out\n`),
      onState(state) {
        const line = stateLine(state, options.url);
        if (line !== undefined) err.write(`${line}\n`);
      },
    });
    signal.addEventListener('abort', finish, { once: true });
    const { topics = ['predictions', 'events', 'markers', 'checkpoints'], stream, task } = options;
    client
      .open()
      .then(() =>
        client.subscribe({
          topics,
          ...(stream && { streams: stream }),
          ...(task && { tasks: task }),
        }),
      )
      .catch((error: unknown) => {
        client.close();
        reject(refused(error, options.url));
      });
  });
}

/** One line of an event for people. */
export function eventLine(event: ClientEvent | Exclude<DaemonEvent, { kind: 'signal' }>): string {
  switch (event.kind) {
    case 'prediction': {
      const share = event.smoothed[event.label] ?? 0;
      const mark = event.trained ? '' : '  UNTRAINED';
      return (
        `${place(event.stream, event.task, event.windowEndS)}${event.label.padEnd(12)} ` +
        `${(100 * share).toFixed(0).padStart(3)} %  ${event.latency.totalMs.toFixed(1)} ms${mark}`
      );
    }
    case 'no_prediction': {
      const why = event.detail === undefined ? event.reason : `${event.reason}: ${event.detail}`;
      return `${place(event.stream, event.task, event.windowEndS)}- (${why})`;
    }
    case 'event':
      return `${place(event.stream, event.task, event.stampS)}${event.label} ${event.phase}s`;
    case 'marker':
      return `${place(event.stream, 'marker', event.stampS)}${event.text}`;
    case 'checkpoint':
      return `checkpoint ${event.checkpoint} ${event.phase}${event.detail ? `: ${event.detail}` : ''}`;
    case 'status':
      return `${event.stream} ${event.state}${event.detail ? `: ${event.detail}` : ''}`;
    default:
      return JSON.stringify(event);
  }
}

function place(stream: string, what: string, stampS: number): string {
  return `${stampS.toFixed(2).padStart(12)}  ${stream.padEnd(16)} ${what.padEnd(14)} `;
}

function stateLine(state: ConnectionState, url: string): string | undefined {
  if (state.state === 'open') return `${url}: ${state.hello.server}`;
  if (state.state === 'closed' && state.retryMs !== undefined)
    return `connection lost (${state.code}); next try in ${(state.retryMs / 1000).toFixed(1)} s`;
  return undefined;
}

function refused(error: unknown, url: string): EegError {
  const message = error instanceof Error ? error.message : String(error);
  const isToken = message.includes('token');
  if (isToken) return new EegError('EEG_WS_UNAUTHENTICATED', message, { hint: 'use --token-file' });
  return new EegError('EEG_DEVICE_UNAVAILABLE', `no daemon answers at ${url}: ${message}`, {
    hint: 'start one: eegd serve',
  });
}
