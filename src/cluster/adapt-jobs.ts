/**
 * Adaptation as jobs on workers: a gateway sends a stream's `adapt.*` commands to one worker. That
 * keeps the labels with their signal on its disk and trains in its learner process. The job ends
 * with the worker; what it taught stays.
 */
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import type { Subscription } from '@nats-io/transport-node';
import { z } from 'zod';
import { Adaptation } from '../adaptation/adaptation.js';
import { EegError } from '../core/errors.js';
import type { EngineKind } from '../engine/worker-protocol.js';
import { AdaptStream, type AdaptStreamOptions } from './adapt-stream.js';
import { isAddress, isPerson, keyOf, subjects } from './names.js';
import { parseJson, replyOf } from './replies.js';
import { toLslS } from './wall-time.js';

export const adaptRequest = z.strictObject({
  version: z.literal(1),
  site: z.string(),
  edge: z.string(),
  stream: z.string(),
  person: z.string(),
  command: z.enum(['start', 'label', 'undo', 'status', 'commit', 'rollback']),
  /** As clients send them, but for `startS`, which is in wall clock seconds. */
  args: z.record(z.string(), z.unknown()),
});
export type AdaptRequest = z.infer<typeof adaptRequest>;

export interface AdaptJobsOptions extends Omit<AdaptStreamOptions, 'address' | 'person'> {
  readonly worker: string;
  readonly sites: readonly string[];
  /** Where sessions and the audit log go. */
  readonly folder: string;
  readonly threads: number;
  readonly engine: EngineKind;
  /** Replaced in tests. */
  readonly fork?: () => ChildProcess;
}

interface Job {
  readonly stream: AdaptStream;
  readonly adaptation: Adaptation;
}

/** Each has a learner process of its own. */
const jobsMax = 2;

export class AdaptJobs {
  readonly #options: AdaptJobsOptions;
  readonly #jobs = new Map<string, Job>();
  #subscriptions: Subscription[] = [];
  /** Commands, one after the other: two of them never open the same job. */
  #busy: Promise<unknown> = Promise.resolve();

  constructor(options: AdaptJobsOptions) {
    this.#options = options;
  }

  start(): void {
    const { link, sites, worker, counters } = this.#options;
    this.#subscriptions = sites.map((site) => {
      const subject = subjects.adapt(site, worker);
      return link.nats.subscribe(subject, {
        callback: (error, message) => {
          if (error !== null) return;
          const asked = adaptRequest.safeParse(parseJson(message.data));
          const isFine = asked.success && isAddress(asked.data) && isPerson(asked.data.person);
          if (!isFine)
            counters.refuse('invalid', { subject }, 'expected a command of this version');
          else if (asked.data.site !== site) counters.refuse('site', { subject }, asked.data.site);
          else void replyOf(() => this.#queue(asked.data)).then((reply) => message.respond(reply));
        },
      });
    });
  }

  async close(): Promise<void> {
    for (const subscription of this.#subscriptions.splice(0)) subscription.unsubscribe();
    await this.#busy;
    await Promise.all([...this.#jobs.values()].map(closeJob));
  }

  #queue(asked: AdaptRequest): Promise<Record<string, unknown>> {
    if (asked.command === 'status')
      return Promise.resolve(
        this.#jobs.get(keyOf(asked))?.adaptation.status() ?? { state: 'idle' },
      );
    const done = this.#busy.then(() => this.#command(asked));
    this.#busy = done.catch(() => undefined);
    return done;
  }

  async #command(asked: AdaptRequest): Promise<Record<string, unknown>> {
    const key = keyOf(asked);
    const known = this.#jobs.get(key);
    if (known === undefined && asked.command !== 'start') {
      const hint = 'name a task and its classes first: adapt.start';
      throw new EegError('EEG_ADAPT_STATE', 'no task is being taught', { hint });
    }
    const job = known ?? (await this.#open(asked));
    const { stream: _, startS, ...rest } = asked.args;
    const args = typeof startS === 'number' ? { ...rest, startS: toLslS(startS) } : rest;
    try {
      const status = await job.adaptation.command(asked.command, args);
      this.#jobs.set(key, job);
      return status;
    } catch (error) {
      if (known === undefined) await closeJob(job);
      throw error;
    }
  }

  async #open(asked: AdaptRequest): Promise<Job> {
    if (this.#jobs.size >= jobsMax) {
      const taught = [...this.#jobs.keys()].join(', ');
      const message = `expected at most ${jobsMax} sessions on a worker, it teaches ${taught}`;
      throw new EegError('EEG_ADAPT_STATE', message);
    }
    const { site, edge, stream: id, person } = asked;
    const { folder, threads, engine, fork } = this.#options;
    const address = { site, edge, stream: id };
    const stream = new AdaptStream({ ...this.#options, address, person });
    await stream.start();
    const adaptation = new Adaptation({
      folder: join(folder, site, edge, id),
      ...{ host: stream, threads, engine },
      ...(fork === undefined ? {} : { fork }),
    });
    return { stream, adaptation };
  }
}

async function closeJob({ stream, adaptation }: Job): Promise<void> {
  await adaptation.close();
  stream.close();
}
