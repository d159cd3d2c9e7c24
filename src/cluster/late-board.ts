/**
 * The board of an edge, which may come late or go away: what was active last is kept on disk, so
 * that an edge that starts without a link knows which windows are due.
 */
import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Kvm } from '@nats-io/kv';
import { toEegError } from '../core/errors.js';
import type { Logger } from '../core/log.js';
import type { Link } from './connection.js';
import { ModelBoard, modelOf, type Revision } from './model-board.js';
import { buckets } from './names.js';

const againMs = 1000;

export class LateBoard {
  readonly #file: string;
  readonly #log: Logger;
  #kept: Revision | undefined;
  #board: ModelBoard | undefined;
  #closed = false;

  constructor(file: string, log: Logger) {
    this.#file = file;
    this.#log = log;
    this.#kept = read(file);
  }

  /** As `ModelBoard.modelAt`; undefined until something is known. */
  modelAt(stampWallS: number, person = ''): ReturnType<ModelBoard['modelAt']> {
    const kept = this.#kept && modelOf(this.#kept, stampWallS);
    return this.#board?.modelAt(stampWallS, person) ?? kept;
  }

  /** Reads from now on, trying again where it cannot. */
  follow(link: Link): void {
    this.#open(link).catch((error: unknown) => {
      if (this.#closed) return;
      this.#log.warn(`what the cluster serves is not known yet: ${toEegError(error).message}`);
      setTimeout(() => this.follow(link), againMs).unref();
    });
  }

  close(): void {
    this.#closed = true;
    this.#board?.close();
  }

  async #open(link: Link): Promise<void> {
    const board = new ModelBoard(await new Kvm(link.js).open(buckets.models), this.#log);
    await board.start();
    this.#board = board;
    board.state$.subscribe(({ active }) => {
      if (active === undefined || active.revision === this.#kept?.revision) return;
      this.#kept = active;
      keep(this.#file, active).catch((error: unknown) => this.#log.warn(toEegError(error).message));
    });
  }
}

function read(file: string): Revision | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Revision;
  } catch {
    return undefined;
  }
}

async function keep(file: string, active: Revision): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, JSON.stringify(active));
}
