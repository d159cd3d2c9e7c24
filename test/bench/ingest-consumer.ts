/**
 * One consumer of the ingest benchmark, in a process of its own, so that its CPU time is its own:
 * `eegd` (driver and signal path), or `liblsl` (koffi, one worker that polls every 2 ms, the same
 * signal path in that worker). Arguments: kind, settings or addresses, streams, channels, rate.
 */

import type { Driver } from '../../drivers/driver.js';
import { parseLslConfig } from '../../drivers/lsl/config.js';
import { LslDriver } from '../../drivers/lsl/driver.js';
import { driverFor } from '../../drivers/registry.js';
import { spawnWorker } from '../../src/core/spawn.js';
import { type ConsumerReport, Meter, StreamTally } from './ingest-tally.js';

const [kind = '', where = '', streams = '1', channels = '32', rateHz = '500'] =
  process.argv.slice(2);

interface Consumer {
  /** From now on delays and CPU time count. */
  measure(): void;
  /** Until each stream's counter has come to `pushed`, or nothing comes any more. */
  finish(pushed: number): Promise<ConsumerReport>;
}

async function eegd(drivers: readonly Driver[]): Promise<Consumer> {
  const delaysMs: number[] = [];
  const tallies: StreamTally[] = [];
  let meter: Meter | undefined;
  const streaming = drivers.map(
    (driver) =>
      new Promise<void>((resolve, reject) => {
        let tally: StreamTally | undefined;
        driver.open(new AbortController().signal).subscribe({
          error: reject,
          next: (event) => {
            if (event.kind === 'info' && tally === undefined) {
              tally = new StreamTally(event.info, delaysMs);
              tallies.push(tally);
            } else if (event.kind === 'chunk') {
              tally?.take(event.chunk, meter !== undefined);
              resolve();
            } else tally?.push(event);
          },
        });
      }),
  );
  await Promise.all(streaming);
  return {
    measure: () => {
      delaysMs.length = 0;
      meter = new Meter();
    },
    finish: async (pushed) => {
      const report = meter?.report(tallies, delaysMs);
      const untilMs = Date.now() + 3000;
      while (tallies.some((one) => one.next >= 0 && one.next < pushed) && Date.now() < untilMs)
        await new Promise((resolve) => setTimeout(resolve, 10));
      const isShort = (one: StreamTally) => one.next >= 0 && one.next < pushed;
      const missing = tallies.reduce((sum, one) => sum + (isShort(one) ? pushed - one.next : 0), 0);
      const lost = tallies.reduce((sum, one) => sum + one.lost, missing);
      return { ...(report as ConsumerReport), lost };
    },
  };
}

async function liblsl(): Promise<Consumer> {
  const url = new URL('./ingest-liblsl.js', import.meta.url);
  const worker = spawnWorker(url, { workerData: { streams, channels, rateHz } });
  const next = () => new Promise((resolve) => worker.once('message', resolve));
  await next();
  // liblsl of 2014 looks for its settings in the working directory only.
  process.chdir(where);
  worker.postMessage('go');
  await next();
  return {
    measure: () => worker.postMessage('measure'),
    finish: async (pushed) => {
      const report = next();
      worker.postMessage(pushed);
      return (await report) as ConsumerReport;
    },
  };
}

function lslDrivers(): Driver[] {
  const config = parseLslConfig(where);
  return Array.from(
    { length: Number(streams) },
    (_, k) => new LslDriver(`lsl:bench-${k}`, { config }),
  );
}

async function open(): Promise<Consumer> {
  if (kind === 'liblsl') return liblsl();
  if (kind === 'eegd') return eegd(lslDrivers());
  return eegd(await Promise.all(where.split(',').map((one) => driverFor(one))));
}

const consumer = await open();
process.on('message', (order: { measure?: true; pushed?: number }) => {
  if (order.measure) consumer.measure();
  if (order.pushed !== undefined)
    void consumer.finish(order.pushed).then((report) => process.send?.(report));
});
process.on('disconnect', () => process.exit(0));
process.send?.({ ready: true });
