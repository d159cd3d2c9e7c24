/**
 * A gateway's side of adaptation: a stream's commands go to the worker that teaches it, the first
 * one to whichever hashing names. What the workers say of their sessions is told to clients.
 */
import { EegError } from '../core/errors.js';
import type { AdaptationUpdate } from '../core/events.js';
import type { AdaptRequest } from './adapt-jobs.js';
import { adaptRequest } from './adapt-jobs.js';
import type { Link } from './connection.js';
import type { GatewayStream } from './gateway-stream.js';
import { ownerOf } from './membership.js';
import { fnv, keyOf, subjects } from './names.js';
import { ask } from './replies.js';
import { toWallS } from './wall-time.js';

export interface TeachingOptions {
  readonly link: Link;
  readonly workers: () => readonly string[];
  readonly onUpdate: (update: AdaptationUpdate) => void;
}

interface Session {
  readonly stream: GatewayStream;
  readonly worker: string;
  /** What was told last. */
  told: string;
}

type Status = Record<string, unknown>;

const askEveryMs = 1000;
const statusMs = 2000;

export class Teaching {
  readonly #options: TeachingOptions;
  readonly #sessions = new Map<string, Session>();
  readonly #timer: NodeJS.Timeout;

  constructor(options: TeachingOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.#look(), askEveryMs);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async command(stream: GatewayStream, name: string, args: Status): Promise<Status> {
    const command = adaptRequest.shape.command.safeParse(name);
    if (!command.success)
      throw new EegError('EEG_USAGE', `expected ${name} at a single daemon: eegd serve`);
    if (stream.person === '') {
      const hint = 'say whose it is: cluster.people in the configuration of the edge';
      throw new EegError('EEG_ADAPT_STATE', `${stream.id} is nobody's stream`, { hint });
    }
    const worker = await this.#workerOf(stream, command.data === 'start');
    if (worker === undefined) return { state: 'idle' };
    const { startS } = args;
    const sent = typeof startS === 'number' ? { ...args, startS: toWallS(startS) } : args;
    const status = await this.#ask(stream, worker, { command: command.data, args: sent });
    const session = { stream, worker, told: '' };
    this.#sessions.set(stream.id, session);
    this.#tell(session, status);
    return status;
  }

  /** Where the stream is being taught, also where another gateway began that. */
  async #workerOf(stream: GatewayStream, begins: boolean): Promise<string | undefined> {
    const live = this.#options.workers();
    const known = this.#sessions.get(stream.id)?.worker;
    if (known !== undefined && live.includes(known)) return known;
    this.#sessions.delete(stream.id);
    const status = { command: 'status', args: {} } as const;
    const asked = live.map(async (worker) => {
      const { state } = await this.#ask(stream, worker, status, statusMs);
      return state === 'idle' ? [] : [worker];
    });
    const answers = await Promise.allSettled(asked);
    const [found] = answers.flatMap((each) => (each.status === 'fulfilled' ? each.value : []));
    if (found !== undefined || !begins) return found;
    const chosen = ownerOf(stream.address.site, fnv(keyOf(stream.address)), live);
    if (chosen !== undefined) return chosen;
    throw new EegError('EEG_CLUSTER_UNREACHABLE', 'expected a worker, none is running');
  }

  async #ask(
    { id, address, person }: GatewayStream,
    worker: string,
    asked: Pick<AdaptRequest, 'command' | 'args'>,
    timeoutMs?: number,
  ): Promise<Status> {
    const to = { who: `the worker ${worker}`, subject: subjects.adapt(address.site, worker) };
    const options = timeoutMs === undefined ? to : { ...to, timeoutMs };
    const request: AdaptRequest = { version: 1, ...address, person, ...asked };
    const status = await ask<Status>(this.#options.link, options, request);
    // A worker has a name of its own for it.
    return 'stream' in status ? { ...status, stream: id } : status;
  }

  async #look(): Promise<void> {
    const live = this.#options.workers();
    for (const session of [...this.#sessions.values()]) {
      const { stream, worker } = session;
      if (!live.includes(worker)) {
        this.#sessions.delete(stream.id);
        this.#tell(session, { state: 'idle', detail: `the worker ${worker} that taught is gone` });
        continue;
      }
      const status = { command: 'status', args: {} } as const;
      const body = await this.#ask(stream, worker, status, statusMs).catch(() => undefined);
      if (body !== undefined) this.#tell(session, body);
    }
  }

  #tell(session: Session, body: Status): void {
    const text = JSON.stringify(body);
    if (text === session.told) return;
    session.told = text;
    this.#options.onUpdate({ kind: 'adaptation', stream: session.stream.id, body });
  }
}
