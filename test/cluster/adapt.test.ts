/**
 * Adaptation in a cluster: a gateway's commands become a job on a worker, which labels the stream's
 * own signal; what is learned serves the stream's person, and nobody else, at once.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Gateway } from '../../src/cluster/gateway.js';
import { Rng } from '../../src/core/rng.js';
import { localClock } from '../../src/core/time.js';
import { loadCheckpoint } from '../../src/model/checkpoint.js';
import { grow } from '../../src/model/growing.js';
import { encodePack } from '../../src/model/pack-checkpoint.js';
import { taskSpec } from '../support/fake-engine.js';
import { FakeLearner } from '../support/fake-learner.js';
import { Answers, Lab, tinyModels } from './lab.js';
import { hasNats, NatsCluster, until } from './nats-cluster.js';

const fists = taskSpec('fists', { windowS: 1, hopS: 0.5, classes: ['left', 'right'] });
const begin = { task: 'fists', classes: ['left', 'right'], windowS: 1 };
const hers = { stream: 'bed-1.hers' };
const synthetic = (id: string) => `synthetic:${id}?channels=4&rateHz=250&seed=3`;

let nats: NatsCluster;
let lab: Lab;
let models: string;
let gateway: Gateway;
let answers: Answers;
const learners: FakeLearner[] = [];
const workers: Awaited<ReturnType<Lab['worker']>>[] = [];

function fork() {
  const learner = new FakeLearner();
  learners.push(learner);
  return learner.child;
}

const by = (checkpoint: RegExp) =>
  answers.predictions.filter((each) => checkpoint.test(each.checkpoint));

describe.skipIf(!hasNats)('adaptation', () => {
  beforeAll(async () => {
    nats = await NatsCluster.start(1);
    await nats.ready();
    models = await tinyModels(['1']);
    lab = new Lab({ nats, models });
    for (const name of ['w1', 'w2'])
      workers.push(await lab.worker(name, { models: await tinyModels(['1']) }, fork));
    ({ gateway } = await lab.gateway());
    answers = new Answers(gateway.events$);
    const cluster = { people: { hers: 'anna' } };
    await lab.edge('bed-1', { streams: [synthetic('hers'), synthetic('his')], cluster });
    await until(() => answers.predictions.length > 20, 'predictions');
  });
  afterAll(async () => {
    await lab?.stop();
    await nats?.stop();
  });

  test('is for a stream that is somebody’s, and begins with a task', async () => {
    expect(await gateway.adapt('status', hers)).toEqual({ state: 'idle' });
    const wrong = [
      [{ stream: 'bed-1.his' }, 'EEG_ADAPT_STATE', 'bed-1.his is nobody'],
      [{ stream: 'bed-1.none' }, 'EEG_STREAM_UNKNOWN', 'expected one of'],
      [{}, 'EEG_STREAM_UNKNOWN', 'expected one of'],
      [{ ...hers, classes: ['left'] }, 'EEG_USAGE', 'classes'],
    ] as const;
    for (const [args, code, message] of wrong)
      await expect(gateway.adapt('start', { ...begin, ...args })).rejects.toMatchObject({
        code,
        message: expect.stringContaining(message),
      });
    await expect(gateway.adapt('export', hers)).rejects.toMatchObject({ code: 'EEG_USAGE' });
    expect(learners).toHaveLength(0);
  });

  test('keeps the signal of what is marked, also of what was before it began', async () => {
    expect(await gateway.adapt('start', { ...begin, ...hers })).toMatchObject({
      state: 'collecting',
      stream: 'bed-1.hers',
    });
    const label = { ...hers, label: 'left', startS: localClock() - 3 };
    expect(await gateway.adapt('label', label)).toMatchObject({ state: 'collecting' });
    await gateway.adapt('label', { ...hers, label: 'right' });
    const told = () => learners[0]?.received.filter(({ kind }) => kind === 'trial') ?? [];
    await until(() => told().length === 2, 'both to be learned from');
    expect(learners).toHaveLength(1);
    expect(await gateway.adapt('status', hers)).toMatchObject({ labels: { left: 1, right: 1 } });
    const [first] = told() as { signal: { data: Float32Array; valid: Uint8Array } }[];
    expect(first?.signal.data).toHaveLength(4 * 200);
    expect(first?.signal.valid.every((each) => each === 1)).toBe(true);
    expect(first?.signal.data.some((value) => Math.abs(value) > 1)).toBe(true);
  });

  test('serves what passes to the person, tells every gateway, and can be taken back', async () => {
    const { gateway: other } = await lab.gateway({ cluster: { name: 'gate-2' } });
    const base = await loadCheckpoint(join(models, 'tiny@1'));
    const pack = grow(base, { name: 'fists', task: fists, experts: 1 }, new Rng(1));
    learners[0]?.learned(20, 20, { pack: await encodePack(base, pack) });
    await until(() => by(/fists/).length > 8, 'predictions by what was learned');
    const own = by(/fists/);
    expect(own.every(({ stream }) => stream === 'bed-1.hers')).toBe(true);
    expect(own.every(({ checkpoint }) => /^tiny@1\+fists@\d+$/.test(checkpoint))).toBe(true);
    expect(own.some(({ task }) => task === 'fists')).toBe(true);
    expect(by(/^tiny@1$/).some(({ stream }) => stream === 'bed-1.his')).toBe(true);
    await until(
      () =>
        answers.others.some((each) => each.kind === 'adaptation' && each.body.state === 'active'),
      'clients to be told',
    );
    await until(() => other.snapshot().streams.length === 2, 'the other gateway to see both');
    await until(async () => (await other.adapt('status', hers)).state === 'active', 'it to know');
    const { checkpoint } = await other.adapt('rollback', hers);
    expect(checkpoint).toBe('tiny@1');
    const before = answers.predictions.length;
    await until(() => answers.predictions.length > before + 20, 'more predictions');
    const last = answers.predictions.slice(-5);
    expect(last.every((each) => each.checkpoint === 'tiny@1')).toBe(true);
    expect(answers.faults()).toEqual({ twice: 0, disordered: 0, missing: 0 });
  });

  test('ends with its worker, and clients are told', async () => {
    for (const worker of workers) {
      lab.forget(worker);
      await worker.close();
    }
    const gone = { state: 'idle', detail: expect.stringMatching(/^the worker w[12] .* is gone$/) };
    const last = () => answers.others.findLast(({ kind }) => kind === 'adaptation');
    await until(() => JSON.stringify(last()).includes('is gone'), 'clients to be told');
    expect(last()).toMatchObject({ stream: 'bed-1.hers', body: gone });
    expect(await gateway.adapt('status', hers)).toEqual({ state: 'idle' });
    await expect(gateway.adapt('start', { ...begin, ...hers })).rejects.toMatchObject({
      code: 'EEG_CLUSTER_UNREACHABLE',
    });
  });
});
