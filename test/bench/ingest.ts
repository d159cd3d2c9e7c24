/**
 * `npm run bench:ingest [-- --json] [--seconds N] [--only 32x32x500]`: what it costs to take in amplifiers, and what
 * delay that adds, next to liblsl on the same outlets in the same run. Times are from the push of a
 * sample to the end of its conditioning; the sender, each consumer and liblsl have processes of
 * their own.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { localClock } from '../../drivers/lsl/clock.js';
import { LslDriver } from '../../drivers/lsl/driver.js';
import { forkProcess } from '../../src/core/spawn.js';
import { PtyBoard, socatIsHere } from '../support/fake-pty.js';
import { hasLiblsl, loopbackSettings } from '../support/liblsl-process.js';
import { type ConsumerReport, percentile } from './ingest-tally.js';

interface Load {
  readonly streams: number;
  readonly channels: number;
  readonly rateHz: number;
}

const loads: readonly Load[] = [
  { streams: 1, channels: 32, rateHz: 500 },
  { streams: 8, channels: 32, rateHz: 500 },
  { streams: 1, channels: 256, rateHz: 2000 },
  { streams: 32, channels: 32, rateHz: 500 },
];
const warmUpMs = 3000;

const { values: flags } = parseArgs({
  options: {
    json: { type: 'boolean' },
    seconds: { type: 'string', default: '8' },
    only: { type: 'string' },
  },
});
const measuredMs = Number(flags.seconds) * 1000;
const settings = loopbackSettings();
const folder = mkdtempSync(join(tmpdir(), 'eegd-ingest-'));
writeFileSync(join(folder, 'lsl_api.cfg'), settings.text);

function say(text: string): void {
  if (!flags.json) process.stdout.write(`${text}\n`);
}

async function launch(name: string, args: readonly (string | number)[]): Promise<ChildProcess> {
  const url = new URL(`./${name}.js`, import.meta.url);
  const env = { ...process.env, LSLAPICFG: join(folder, 'lsl_api.cfg') };
  const stdio: ('ignore' | 'inherit' | 'ipc')[] = ['ignore', 'inherit', 'inherit', 'ipc'];
  const child = forkProcess(url, args.map(String), { env, stdio });
  await new Promise<void>((resolve, reject) => {
    child.once('message', () => resolve());
    child.once('exit', (code) => reject(new Error(`${name} ended with ${code}`)));
  });
  return child;
}

async function stop(child: ChildProcess): Promise<void> {
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function measure(kind: 'eegd' | 'liblsl', load: Load): Promise<ConsumerReport> {
  const shape = [load.streams, load.channels, load.rateHz];
  const source = await launch('ingest-source', [settings.text, ...shape]);
  const where = kind === 'liblsl' ? folder : settings.text;
  const consumer = await launch('ingest-consumer', [kind, where, ...shape]);
  await wait(warmUpMs);
  consumer.send({ measure: true });
  await wait(measuredMs);
  const stopped = once(source, 'message');
  source.send('stop');
  const [{ pushed, dropped }] = (await stopped) as [{ pushed: number; dropped: number }];
  const answer = once(consumer, 'message');
  consumer.send({ pushed });
  const [report] = (await answer) as [ConsumerReport];
  await Promise.all([stop(source), stop(consumer)]);
  say(line(`${kind} ${load.streams} x ${load.channels} ch x ${load.rateHz} Hz`, report));
  return { ...report, lost: report.lost + dropped };
}

function line(what: string, one: ConsumerReport): string {
  const delays = `p50 ${one.p50Ms.toFixed(2)} ms, p99 ${one.p99Ms.toFixed(2)} ms`;
  const cost = `${one.cores.toFixed(3)} cores, ${one.rssMb.toFixed(0)} MB`;
  return `${what.padEnd(28)} lost ${one.lost}, ${cost}, ${delays}`;
}

/** Four boards at ptys: samples the boards made against samples that came. */
async function cytons(): Promise<{ lost: number; cores: number } | undefined> {
  if (!socatIsHere) return undefined;
  const boards = Array.from({ length: 4 }, () => new PtyBoard('cyton'));
  for (const one of boards) await one.plug();
  const addresses = boards.map((one) => `cyton:${one.path}`).join(',');
  const consumer = await launch('ingest-consumer', ['serial', addresses]);
  await wait(warmUpMs);
  consumer.send({ measure: true });
  await wait(measuredMs);
  const answer = once(consumer, 'message');
  consumer.send({ pushed: 0 });
  const [report] = (await answer) as [ConsumerReport];
  await stop(consumer);
  for (const one of boards) await one.remove();
  say(`cyton 4 x 8 ch x 250 Hz      lost ${report.lost}, ${report.cores.toFixed(3)} cores`);
  return { lost: report.lost, cores: report.cores };
}

/** Outlet killed and started again: until the loss is told, and until samples come again. */
async function recovery(): Promise<{ lossToldMs: number; resumedMs: number }> {
  const told: number[] = [];
  const resumed: number[] = [];
  for (let i = 0; i < 5; i++) {
    let source = await launch('ingest-source', [settings.text, 1, 8, 250]);
    const seen = { chunks: 0, lostS: 0, firstS: 0 };
    const abort = new AbortController();
    const driver = new LslDriver('lsl:bench-0', { config: settings.config });
    driver.open(abort.signal).subscribe((event) => {
      if (event.kind === 'status' && event.state === 'lost') seen.lostS = localClock();
      if (event.kind !== 'chunk') return;
      seen.chunks++;
      if (seen.lostS > 0 && seen.firstS === 0) seen.firstS = localClock();
    });
    while (seen.chunks < 100) await wait(10);
    const killedS = localClock();
    await stop(source);
    while (seen.lostS === 0) await wait(1);
    told.push((seen.lostS - killedS) * 1000);
    source = await launch('ingest-source', [settings.text, 1, 8, 250]);
    const backS = localClock();
    while (seen.firstS === 0) await wait(5);
    resumed.push((seen.firstS - backS) * 1000);
    abort.abort();
    await stop(source);
  }
  const median = (list: number[]) =>
    percentile(
      [...list].sort((a, b) => a - b),
      0.5,
    );
  const out = { lossToldMs: median(told), resumedMs: median(resumed) };
  say(
    `loss told after ${out.lossToldMs.toFixed(1)} ms, resumed after ${out.resumedMs.toFixed(0)} ms`,
  );
  return out;
}

try {
  let lost = 0;
  const eegd: Record<string, ConsumerReport> = {};
  const liblsl: Record<string, ConsumerReport> = {};
  for (const load of loads) {
    const key = `${load.streams}x${load.channels}x${load.rateHz}`;
    if (flags.only !== undefined && flags.only !== key) continue;
    eegd[key] = await measure('eegd', load);
    if (hasLiblsl) liblsl[key] = await measure('liblsl', load);
    lost += eegd[key].lost;
  }
  const boards = await cytons();
  const times = await recovery();
  const most = eegd['32x32x500'];
  const base = liblsl['32x32x500'];
  const result = {
    lost: lost + (boards?.lost ?? 0),
    cores32x32x500: most?.cores,
    addedMsP99: most?.p99Ms,
    /** Our p99 delay over liblsl's: below 1 is better. */
    overBareLiblsl: most && base ? most.p99Ms / base.p99Ms : null,
    ...times,
    ...{ eegd, liblsl, cytons: boards },
  };
  if (flags.json) process.stdout.write(`${JSON.stringify(result)}\n`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
