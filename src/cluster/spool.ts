/**
 * What an edge keeps in case the link goes down: every stream is recorded in short files, which
 * are thrown away while the link holds. Files that overlap an outage are sent to the site's
 * recordings once the link is back, then removed here; a process that was killed meanwhile sends
 * them when it starts again.
 */
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { toEegError } from '../core/errors.js';
import type { DaemonEvent } from '../core/events.js';
import type { Logger } from '../core/log.js';
import type { DriverEvent } from '../core/stream.js';
import { Recordings } from '../sinks/recordings.js';

export interface SpoolOptions {
  readonly folder: string;
  readonly log: Logger;
  /** Stores one file; rejects where the link is down. */
  readonly send: (name: string, bytes: Uint8Array) => Promise<void>;
  /** Length of one file, s. */
  readonly fileS?: number;
}

const defaultFileS = 60;

interface Current {
  readonly stream: string;
  /** The file's name, once it is there. */
  readonly id: Promise<string>;
  missed: boolean;
}

export class Spool {
  readonly #options: SpoolOptions;
  readonly #recordings: Recordings;
  readonly #current = new Map<string, Current>();
  readonly #timer: NodeJS.Timeout;
  #linked = true;
  /** Changes of files, one after the other. */
  #work: Promise<void> = Promise.resolve();

  constructor(options: SpoolOptions) {
    this.#options = options;
    this.#recordings = new Recordings({ folder: options.folder });
    this.#timer = setInterval(
      () => this.#queue(() => this.#rotate()),
      (options.fileS ?? defaultFileS) * 1000,
    );
    // What an earlier process left was missed: it had no time to say otherwise.
    this.#queue(() => this.#sendAll());
  }

  driverEvent(stream: string, event: DriverEvent): void {
    this.#recordings.driverEvent(stream, event);
    if (event.kind === 'info' && !this.#current.has(stream)) this.#begin(stream);
  }

  daemonEvent(event: DaemonEvent): void {
    if (event.kind === 'status' && (event.state === 'ended' || event.state === 'failed'))
      this.#queue(() => this.#end(event.stream));
    else this.#recordings.daemonEvent(event);
  }

  linked(isUp: boolean): void {
    this.#linked = isUp;
    for (const current of this.#current.values()) current.missed ||= !isUp;
    if (isUp) this.#queue(() => this.#rotate());
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    for (const stream of [...this.#current.keys()]) this.#queue(() => this.#end(stream));
    await this.#work;
    await this.#recordings.close();
  }

  #begin(stream: string): void {
    const id = this.#recordings.start(stream, 'xdf').then((listing) => listing.id);
    id.catch((error: unknown) => this.#options.log.error(toEegError(error).line));
    this.#current.set(stream, { stream, id, missed: !this.#linked });
  }

  /** A new file for each stream; the old ones are sent or thrown away. */
  async #rotate(): Promise<void> {
    const old = [...this.#current.values()];
    for (const { stream } of old) this.#begin(stream);
    for (const current of old) await this.#finish(current);
    if (this.#linked) await this.#sendAll();
  }

  async #end(stream: string): Promise<void> {
    const current = this.#current.get(stream);
    this.#current.delete(stream);
    if (current !== undefined) await this.#finish(current);
    if (this.#linked) await this.#sendAll();
  }

  async #finish({ id, missed }: Current): Promise<void> {
    const name = await id;
    await this.#recordings.stop(name);
    if (!missed) await rm(join(this.#options.folder, name), { force: true });
  }

  /** Everything in the folder that is not being written. */
  async #sendAll(): Promise<void> {
    const { folder, send, log } = this.#options;
    const writing = await Promise.all([...this.#current.values()].map(({ id }) => id));
    const names = await readdir(folder).catch(() => []);
    for (const name of names.filter((each) => each.endsWith('.xdf') && !writing.includes(each))) {
      await send(name, await readFile(join(folder, name)));
      await rm(join(folder, name));
      log.info({ name }, 'a recording of the time without a link was sent');
    }
  }

  #queue(work: () => Promise<void>): void {
    this.#work = this.#work.then(work).catch((error: unknown) => {
      this.#options.log.warn(`recordings of an outage wait: ${toEegError(error).message}`);
    });
  }
}
