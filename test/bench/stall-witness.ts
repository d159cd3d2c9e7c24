/**
 * When the machine itself stood still: one process pinned to each CPU wakes every millisecond and
 * notes when it was late. On a shared virtual machine the host takes CPUs away for tens of
 * milliseconds (`steal` in /proc/stat); what then happens to a window says nothing of eegd. Only
 * for light loads: under a heavy one the witness would be late by our own doing.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { cpus } from 'node:os';
import type { WindowTime } from './live-load.js';

const lateS = 0.003;

const heartbeat = `
const now = () => Number(process.hrtime.bigint()) / 1e9;
let last = now();
setInterval(() => {
  const at = now();
  if (at - last > 0.001 + ${lateS}) process.send([last, at]);
  last = at;
}, 1);
process.on('disconnect', () => process.exit(0));`;

export class StallWitness {
  readonly #stalls: (readonly [fromS: number, toS: number])[] = [];
  readonly #beats: readonly ChildProcess[];

  constructor() {
    this.#beats = cpus().map((_, cpu) => {
      const node = [process.execPath, '-e', heartbeat];
      const beat = spawn('taskset', ['-c', String(cpu), ...node], {
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      });
      beat.on('message', (stall) => this.#stalls.push(stall as [number, number]));
      return beat;
    });
  }

  /** The windows during which no CPU stood still for more than 3 ms. */
  undisturbed(times: readonly WindowTime[]): WindowTime[] {
    return times.filter(
      ({ totalMs, receivedS }) =>
        !this.#stalls.some(([from, to]) => from < receivedS && to > receivedS - totalMs / 1000),
    );
  }

  close(): void {
    for (const beat of this.#beats) beat.disconnect();
  }
}
