/**
 * A worker that loads and warms gives way to the threads that serve. On Linux each thread has a
 * priority of its own, and `setpriority` of 0 means the thread that calls (setpriority(2)); elsewhere
 * it would be that of the whole process, and is left alone. Nor is it lowered where it could not be
 * raised again: that takes root, or a limit as systemd/eegd.service sets it.
 */
import { readFileSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';

const backgroundSteps = 10;
const priorityMax = 19;
const capSysNice = 23n;

let usual: number | undefined;

export function toBackground(): void {
  if (process.platform !== 'linux' || usual !== undefined) return;
  const own = getPriority();
  if (!mayReturnTo(own)) return;
  setPriority(Math.min(priorityMax, own + backgroundSteps));
  usual = own;
}

export function toForeground(): void {
  if (usual === undefined) return;
  setPriority(usual);
  usual = undefined;
}

/** getrlimit(2): a limit of n lets a thread go down to the nice value 20 - n. */
function mayReturnTo(nice: number): boolean {
  const status = readFileSync('/proc/self/status', 'utf8');
  const capabilities = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? '0'}`);
  if (((capabilities >> capSysNice) & 1n) === 1n) return true;
  const limits = readFileSync('/proc/self/limits', 'utf8');
  return Number(/^Max nice priority\s+(\d+)/m.exec(limits)?.[1] ?? 0) >= 20 - nice;
}
