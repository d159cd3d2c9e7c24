/**
 * What breaks in a cluster of three servers while windows are answered: a worker, a server. Each
 * window sent is answered once and in order; what outlives the stale limit is said to be stale.
 * Prints the figures.
 */
import { fork } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Gateway } from '../../src/cluster/gateway.js';
import { Answers, Lab, tinyModels } from './lab.js';
import { hasNats, NatsCluster, pause, until } from './nats-cluster.js';

/** A leader's election takes nats-server 4 to 9 s (its raft timeouts), and windows may wait so long. */
const staleS = 45;
const stream = (seed: number) => `synthetic:?channels=2&rateHz=250&seed=${seed}`;

const names = ['EEGD_LAB_STEPS', 'EEGD_LAB_RESULTS'];

let nats: NatsCluster;
let lab: Lab;
let gateway: Gateway;
let answers: Answers;
const stops: (() => Promise<unknown> | unknown)[] = [];

/** Predictions of the stream so far. */
const count = (id = 'bed-1.synthetic') => answers.predictions.filter((p) => p.stream === id).length;

const figures = () =>
  JSON.stringify({
    gateway: gateway.counters.all(),
    workers: gateway.workers,
    edges: gateway.edges().map((each) => each.counters),
  });

/** Breaks something, and tells how long nothing was predicted. */
async function afterBreaking(what: string, act: () => Promise<unknown> | unknown) {
  const staleBefore = answers.stale();
  const startMs = Date.now();
  await act();
  let last = Date.now();
  let longestMs = 0;
  let seen = count();
  const endMs = startMs + 3000;
  while (Date.now() < endMs || Date.now() - last > 500) {
    if (count() > seen) {
      longestMs = Math.max(longestMs, Date.now() - last);
      seen = count();
      last = Date.now();
    }
    if (Date.now() - startMs > 90_000) throw new Error(`${what}: nothing came back; ${figures()}`);
    await pause(10);
  }
  const { twice, missing } = answers.faults();
  const stale = answers.stale() - staleBefore;
  console.log(
    `${what}: lost ${missing}, stale ${stale}, answered twice ${twice}, longest pause ${longestMs} ms`,
  );
  expect(answers.faults(), what).toEqual({ twice: 0, disordered: 0, missing: 0 });
  return { stale, longestMs };
}

type Signal = (name: NodeJS.Signals) => void;

function forkWorker(name: string): Promise<Signal> {
  const file = join(mkdtempSync(join(tmpdir(), 'eegd-worker-')), 'worker.json');
  writeFileSync(file, JSON.stringify(lab.config(name)));
  const path = new URL('./worker-process.ts', import.meta.url).pathname;
  const child = fork(path, [file], { execArgv: ['--import', 'tsx'] });
  const signal: Signal = (name) => void child.kill(name);
  stops.push(() => signal('SIGKILL'));
  return new Promise((resolve) => child.once('message', () => resolve(signal)));
}

describe.skipIf(!hasNats)('three servers, two workers and an edge', () => {
  beforeAll(async () => {
    nats = await NatsCluster.start(3);
    await nats.ready();
    lab = new Lab({ nats, models: await tinyModels(['1']), staleS });
  });
  afterAll(async () => {
    for (const stop of stops) await stop();
    await lab?.stop();
    await nats?.stop();
  });

  test('a worker is killed', async () => {
    const killers = [await forkWorker('w1'), await forkWorker('w2')] as const;
    ({ gateway } = await lab.gateway());
    answers = new Answers(gateway.events$);
    await lab.edge('bed-1', { streams: [stream(1)] });
    await lab.edge('bed-2', { streams: [stream(2)] });
    await until(() => count() > 8 && count('bed-2.synthetic') > 8, 'predictions', 60_000);
    // One of the two serves the first bed: both die, one after the other.
    const { stale } = await afterBreaking('worker killed', () => killers[0]('SIGKILL'));
    expect(stale).toBe(0);
    await forkWorker('w3');
    const second = await afterBreaking('the other worker killed', () => killers[1]('SIGKILL'));
    expect(second.stale).toBe(0);
  });

  test('a server that leads nothing of ours is killed', async () => {
    const leader = await nats.leaderOf('EEGD_LAB_STEPS');
    const other = nats.nodes.find(({ name }) => name !== leader)?.name as string;
    const { stale } = await afterBreaking(`server ${other} killed`, () => nats.kill(other));
    expect(stale).toBe(0);
    nats.revive(other);
    await nats.settled(names);
  });
});
