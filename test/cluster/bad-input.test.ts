/** Messages not to be believed, on a real server: refused, counted, one log line a reason. */
import pino from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openLink } from '../../src/cluster/connection.js';
import type { Counters } from '../../src/cluster/counters.js';
import { subjects } from '../../src/cluster/names.js';
import { encodeResult } from '../../src/cluster/result-message.js';
import { startGateway, startWorker } from '../../src/cluster/roles.js';
import { encodeStep } from '../../src/cluster/step-message.js';
import { wallNowS } from '../../src/cluster/wall-time.js';
import { silentLogger } from '../../src/core/log.js';
import { Rng } from '../../src/core/rng.js';
import { Lab, tinyModels } from './lab.js';
import { madeResult, madeStep } from './made-step.js';
import { hasNats, NatsCluster, until } from './nats-cluster.js';

const reasons = ['version', 'site', 'oversized', 'truncated'] as const;
const address = { site: 'lab', edge: 'bed-1', stream: 'cyton.1' };
const cluster = { partitions: 1 };

/** The log's lines, and the logger that writes them. */
function listen() {
  const lines: { reason?: string }[] = [];
  const log = pino({ level: 'warn' }, { write: (line: string) => lines.push(JSON.parse(line)) });
  return {
    log,
    linesOf: (reason: string) => lines.filter((each) => each.reason === reason).length,
  };
}

/** One of each kind, made from a good message and the same of another site. */
function spoilt(good: Uint8Array, otherSite: Uint8Array): Uint8Array[] {
  const otherVersion = Uint8Array.from(good);
  otherVersion[2] = 9;
  const [longer, shorter] = [Buffer.concat([good, Buffer.of(0)]), good.subarray(0, -1)];
  return [otherVersion, otherSite, longer, shorter];
}

const refusals = (counters: Counters) =>
  Object.fromEntries(reasons.map((reason) => [reason, counters.get(`refused_${reason}`)]));
const each = (count: number) => Object.fromEntries(reasons.map((reason) => [reason, count]));

let nats: NatsCluster;
let lab: Lab;
const close: (() => Promise<void>)[] = [];

describe.skipIf(!hasNats)('messages that must not be believed', () => {
  beforeAll(async () => {
    nats = await NatsCluster.start(1);
    await nats.ready();
    lab = new Lab({ nats, models: await tinyModels(['1']) });
  });
  afterAll(async () => {
    for (const stop of close.reverse()) await stop();
    await nats?.stop();
  });

  test('of another schema version or site, too long or too short are refused', async () => {
    const [workerLog, gatewayLog] = [listen(), listen()];
    const { worker, ...running } = await startWorker(lab.config('w1', { cluster }), workerLog.log);
    close.push(running.close);
    const gate = await startGateway(lab.config('gate', { cluster }), gatewayLog.log);
    close.push(gate.close);
    const { gateway } = gate;
    const who = { role: 'operator', site: 'lab', name: 'test', log: silentLogger } as const;
    const link = await openLink({ servers: nats.urls }, who);
    close.push(link.close);

    const rng = new Rng(1);
    const steps = subjects.steps(address, 0);
    const step = madeStep(rng, { ...address, channels: 2, ticks: 1 });
    const stepOf = (site: string) => encodeStep({ ...step, site });
    const bad = spoilt(stepOf('lab'), stepOf('other'));
    for (const bytes of [...bad, ...bad]) await link.js.publish(steps, bytes);
    await until(() => worker.counters.get('steps') === 8, 'the worker to meet all');
    expect(refusals(worker.counters)).toEqual(each(2));
    expect(refusals(gateway.counters)).toEqual(each(2));

    const resultOf = (site: string) => encodeResult(madeResult(rng, { ...address, site }));
    const results = spoilt(resultOf('lab'), resultOf('other'));
    for (const bytes of results) await link.js.publish(subjects.result(address), bytes);
    await until(() => gateway.counters.get('refused_truncated') === 3, 'the gateway to meet all');
    expect(refusals(gateway.counters)).toEqual(each(3));

    for (const reason of reasons) {
      expect(workerLog.linesOf(reason), reason).toBe(1);
      expect(gatewayLog.linesOf(reason), reason).toBe(1);
    }

    // None comes again, and what is good is answered.
    const stampWallS = wallNowS();
    const fine = { ...step, startSample: 0, previousEnd: 0, stampWallS, arrivalWallS: stampWallS };
    const windows = [{ task: 'seizure', seq: 0, endSample: 50 }];
    await link.js.publish(steps, encodeStep({ ...fine, windows }));
    await until(() => worker.counters.get('results') === 1, 'an answer to a good step');
    expect(worker.counters.get('redelivered')).toBe(0);
    expect(gateway.snapshot().streams).toEqual([]);
  });

  test('events of an edge that are another’s, or no events, are refused', async () => {
    const { log, linesOf } = listen();
    const { gateway, ...gate } = await startGateway(lab.config('gate-2', { cluster }), log);
    close.push(gate.close);
    const who = { role: 'operator', site: 'lab', name: 'test', log: silentLogger } as const;
    const link = await openLink({ servers: nats.urls }, who);
    close.push(link.close);
    const good = { version: 1, edge: 'bed-1', wallBaseS: 0, counters: {}, events: [] };
    const subject = subjects.event('lab', 'bed-1');
    link.nats.publish(subject, JSON.stringify({ ...good, edge: 'bed-2' }));
    link.nats.publish(subject, JSON.stringify({ ...good, version: 2 }));
    link.nats.publish(subject, JSON.stringify(good).slice(0, -1));
    link.nats.publish(subject, JSON.stringify({ ...good, events: [{ kind: 'status' }] }));
    await until(() => gateway.counters.get('refused_invalid') === 3, 'all to be refused');
    expect(gateway.counters.get('refused_site')).toBe(1);
    expect([linesOf('invalid'), linesOf('site')]).toEqual([1, 1]);
    expect(gateway.edges()).toEqual([]);
    link.nats.publish(subject, JSON.stringify(good));
    await until(() => gateway.edges().length === 1, 'what is good to be heard');
  });
});
