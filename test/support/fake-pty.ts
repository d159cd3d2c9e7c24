/**
 * A fake board in a process of its own at the far end of a pty pair made by socat: what is nearest
 * to hardware without hardware. Pulling the cable ends socat; stopping the board stops its process.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { forkProcess } from '../../src/core/spawn.js';
import type { Faults } from './fake-board.js';

export const socatIsHere = (() => {
  try {
    execFileSync('socat', ['-V'], { stdio: 'ignore' });
    return true;
  } catch {
    console.warn('SKIPPED: tests over ptys need socat (apt install socat)');
    return false;
  }
})();

/** What a board process is told. */
export interface BoardOrder {
  readonly faults?: Partial<Faults>;
  readonly power?: boolean;
  readonly burst?: number;
  /** Properties of the fake board, e.g. `daisy`. */
  readonly set?: Record<string, unknown>;
  /** Ask for a report. */
  readonly report?: true;
}

export interface BoardReport {
  readonly made: number;
  readonly dropped: number;
  readonly streaming: boolean;
}

export class PtyBoard {
  /** The port as the host sees it. */
  readonly path: string;
  readonly #family: string;
  readonly #set: Record<string, unknown>;
  readonly #folder: string;
  #socat: ChildProcess | undefined;
  #board: ChildProcess | undefined;

  constructor(family: string, set: Record<string, unknown> = {}) {
    this.#family = family;
    this.#set = set;
    this.#folder = mkdtempSync(join(tmpdir(), 'eegd-pty-'));
    this.path = join(this.#folder, 'host');
  }

  async plug(): Promise<void> {
    const far = join(this.#folder, 'board');
    const end = (link: string) => `pty,raw,echo=0,link=${link}`;
    this.#socat = spawn('socat', [end(far), end(this.path)], { stdio: 'ignore' });
    for (let i = 0; i < 2000 && !(existsSync(far) && existsSync(this.path)); i++) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const url = new URL('./fake-board-process.js', import.meta.url);
    const args = [this.#family, far, JSON.stringify(this.#set)];
    this.#board = forkProcess(url, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    await once(this.#board, 'message');
  }

  /** Pull the cable. */
  async unplug(): Promise<void> {
    const gone = this.#socat === undefined ? undefined : once(this.#socat, 'exit');
    this.#socat?.kill('SIGTERM');
    await gone;
    this.#board?.kill('SIGKILL');
    this.#socat = undefined;
    this.#board = undefined;
  }

  tell(order: BoardOrder): void {
    this.#board?.send(order);
  }

  async report(): Promise<BoardReport> {
    const board = this.#board as ChildProcess;
    const answer = once(board, 'message');
    board.send({ report: true });
    return (await answer)[0] as BoardReport;
  }

  stop(): void {
    this.#board?.kill('SIGSTOP');
  }

  resume(): void {
    this.#board?.kill('SIGCONT');
  }

  async remove(): Promise<void> {
    this.resume();
    await this.unplug();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
