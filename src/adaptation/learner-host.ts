/**
 * The daemon's side of the learner process: starts it, tells it everything again after it died,
 * and gives it up for a while when it keeps dying. Nothing it does can throw into the daemon.
 */
import type { ChildProcess } from 'node:child_process';
import { setPriority } from 'node:os';
import { forkProcess } from '../core/spawn.js';
import type { Clock } from '../core/time.js';
import type { FromLearner, LearnerStart, ToLearner, TrialMessage } from './learner-protocol.js';

export interface LearnerHostOptions {
  readonly start: LearnerStart;
  /** Everything labelled so far, for a learner that was started anew. */
  readonly known: () => AsyncIterable<TrialMessage>;
  readonly onMessage: (message: FromLearner) => void;
  /** Why it stopped, and whether it is started again. */
  readonly onExit: (why: string, again: boolean) => void;
  readonly clock: Clock;
  /** Heap of the process, MB, and twice of it in all; beyond, it ends, not the daemon. */
  readonly memoryMb?: number;
  /** Replaced in tests. */
  readonly fork?: () => ChildProcess;
}

const memoryMbDefault = 1024;
const restartsMax = 3;
const withinMs = 60_000;
const pauseMs = 1000;

export class LearnerHost {
  readonly #options: LearnerHostOptions;
  #child: ChildProcess | undefined;
  #ready = false;
  /** Why it could not open its checkpoint; such a process is ended, it would wait for ever. */
  #unopened: string | undefined;
  #opened = false;
  #closed = false;
  #learnWanted = false;
  /** Messages that came before it was ready. */
  #waiting: ToLearner[] = [];
  #deathsMs: number[] = [];
  #cancelRestart: () => void = () => undefined;

  constructor(options: LearnerHostOptions) {
    this.#options = options;
  }

  get running(): boolean {
    return this.#child !== undefined;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  start(): void {
    if (this.#closed || this.#child !== undefined) return;
    const child = this.#options.fork?.() ?? forkLearner(this.#options.memoryMb ?? memoryMbDefault);
    this.#child = child;
    this.#ready = false;
    this.#opened = false;
    this.#unopened = undefined;
    child.on('message', (message: FromLearner) => this.#take(child, message));
    child.on('error', () => child.kill('SIGKILL'));
    child.once('exit', (code, signal) => this.#exited(child, signal ?? `exit code ${code}`));
    this.#post({ kind: 'start', start: this.#options.start });
  }

  send(message: Exclude<ToLearner, { kind: 'start' }>): void {
    if (message.kind === 'learn') this.#learnWanted = true;
    if (this.#ready) this.#post(message);
    else if (this.#child !== undefined) this.#waiting.push(message);
  }

  /** After it was given up: try again. */
  revive(): void {
    this.#deathsMs = [];
    this.#cancelRestart();
    this.start();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelRestart();
    const child = this.#child;
    if (child === undefined) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  }

  #take(child: ChildProcess, message: FromLearner): void {
    if (child !== this.#child) return;
    if (message.kind === 'ready') {
      this.#opened = true;
      void this.#brief(child);
    } else if (message.kind === 'refused' && !this.#opened) {
      this.#unopened = message.why;
      child.kill('SIGKILL');
    } else {
      if (message.kind === 'learned' || message.kind === 'refused') this.#learnWanted = false;
      this.#options.onMessage(message);
    }
  }

  /** Tell a new learner all that is known. Labels that come meanwhile may be told twice. */
  async #brief(child: ChildProcess): Promise<void> {
    const ids = new Set<number>();
    for await (const message of this.#options.known()) {
      if (child !== this.#child) return;
      ids.add(message.id);
      // One after the other: many at once would keep the daemon from its windows.
      await new Promise((resolve) => child.send(message, resolve));
    }
    if (child !== this.#child) return;
    const waiting = this.#waiting.splice(0);
    this.#ready = true;
    for (const message of waiting) {
      if (message.kind !== 'trial' || !ids.has(message.id)) this.#post(message);
    }
    const asked = waiting.some(({ kind }) => kind === 'learn');
    if (this.#learnWanted && !asked) this.#post({ kind: 'learn' });
    this.#options.onMessage({ kind: 'ready' });
  }

  #post(message: ToLearner): void {
    // A process that is just dying takes no message; its exit is told by its own event.
    this.#child?.send(message, () => undefined);
  }

  #exited(child: ChildProcess, how: string): void {
    if (child !== this.#child) return;
    this.#child = undefined;
    this.#ready = false;
    this.#waiting = [];
    if (this.#closed) return;
    const now = this.#options.clock.now() * 1000;
    this.#deathsMs = [...this.#deathsMs.filter((at) => now - at < withinMs), now];
    const again = this.#deathsMs.length <= restartsMax;
    const unopened = this.#unopened;
    const why = unopened === undefined ? `ended (${how})` : `could not start: ${unopened}`;
    this.#options.onExit(`the learner ${why}`, again);
    if (again) this.#cancelRestart = this.#options.clock.setTimeout(() => this.start(), pauseMs);
  }
}

const lowestPriority = 19;

function forkLearner(memoryMb: number): ChildProcess {
  const child = forkProcess(new URL('./learner.js', import.meta.url), [], {
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    execArgv: [`--max-old-space-size=${memoryMb}`],
    env: { ...process.env, MALLOC_ARENA_MAX: '2', EEGD_LEARNER_MB: String(2 * memoryMb) },
  });
  // At once: loading Node and the engine is work too, and threads keep what they were born with.
  if (child.pid !== undefined) setPriority(child.pid, lowestPriority);
  return child;
}
