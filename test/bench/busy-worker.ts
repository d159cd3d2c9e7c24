/** Keeps one thread busy for a share of each period, as the rest of a daemon does. */
import { workerData } from 'node:worker_threads';

const periodMs = 10;
const share = workerData as number;

function work(): void {
  const untilMs = performance.now() + share * periodMs;
  while (performance.now() < untilMs);
}

setInterval(work, periodMs);
