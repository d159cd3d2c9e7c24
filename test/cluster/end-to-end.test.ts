/** Edges, workers and gateway on a real nats-server: answers in order, checkpoints exchanged. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Gateway } from '../../src/cluster/gateway.js';
import { openOperator } from '../../src/cluster/roles.js';
import { silentLogger } from '../../src/core/log.js';
import { Answers, Lab, labTasks, saveTiny, tinyModels } from './lab.js';
import { hasNats, NatsCluster, until } from './nats-cluster.js';

let nats: NatsCluster;
let lab: Lab;
let gateway: Gateway;
let answers: Answers;

const by = (checkpoint: string) =>
  answers.predictions.filter((each) => each.checkpoint === checkpoint);

describe.skipIf(!hasNats)('a cluster', () => {
  beforeAll(async () => {
    nats = await NatsCluster.start(1);
    await nats.ready();
    const models = await tinyModels(['1', '2']);
    await saveTiny(models, 'bad', '1');
    const weights = join(models, 'bad@1', 'model.safetensors');
    const bytes = await readFile(weights);
    await writeFile(weights, bytes.fill(0, bytes.length - 1).fill(7, bytes.length - 3));
    // On a machine that does much else besides no window is to be stale.
    lab = new Lab({ nats, models, staleS: 20 });
  });
  afterAll(async () => {
    await lab?.stop();
    await nats?.stop();
  });

  test('answers every window of two edges once and in order', async () => {
    await lab.worker('w1');
    // It has nothing but what the cluster has.
    await lab.worker('w2', { models: undefined });
    ({ gateway } = await lab.gateway());
    answers = new Answers(gateway.events$);
    for (const name of ['bed-1', 'bed-2'])
      await lab.edge(name, {
        streams: [`synthetic:?channels=4&rateHz=250&seed=${name.at(-1)}`],
      });
    await until(
      () => answers.of('bed-2.synthetic', 'motor_imagery').length >= 20,
      'twenty windows',
    );
    expect(answers.faults()).toEqual({ twice: 0, disordered: 0, missing: 0 });
    for (const stream of ['bed-1.synthetic', 'bed-2.synthetic'])
      for (const { name } of labTasks) {
        const [first] = answers.of(stream, name);
        expect(first?.seq, `${stream} ${name}`).toBe(0);
      }
    expect(answers.predictions.length).toBeGreaterThan(30);
    expect(by('tiny@1').length).toBe(answers.predictions.length);
  });

  test('warms a checkpoint on all workers, then flips all streams at one window', async () => {
    const { checkpoint, previous } = await gateway.activate('tiny@2');
    expect({ checkpoint, previous }).toEqual({ checkpoint: 'tiny@2', previous: 'tiny@1' });
    await until(() => by('tiny@2').length > 20, 'predictions by the new one');
    const streams = new Set(by('tiny@2').map(({ stream }) => stream));
    expect([...streams].sort()).toEqual(['bed-1.synthetic', 'bed-2.synthetic']);
    const lastOld = Math.max(...by('tiny@1').map(({ windowEndS }) => windowEndS));
    const firstNew = Math.min(...by('tiny@2').map(({ windowEndS }) => windowEndS));
    expect(lastOld).toBeLessThan(firstNew);
    expect(firstNew - lastOld).toBeLessThan(0.6);
    expect(by('tiny@1').length + by('tiny@2').length).toBe(answers.predictions.length);
    expect(answers.faults()).toEqual({ twice: 0, disordered: 0, missing: 0 });
    expect(answers.stale()).toBe(0);
  });

  test('refuses one that a worker cannot load, and goes on with the old one', async () => {
    await expect(gateway.activate('tiny@9')).rejects.toMatchObject({ code: 'EEG_MODEL_NOT_FOUND' });
    await expect(gateway.activate('bad@1')).rejects.toMatchObject({
      code: 'EEG_CLUSTER_REFUSED',
      message: expect.stringMatching(/^w[12] refused bad@1: EEG_MODEL_/),
    });
    expect(gateway.snapshot().checkpoint).toBe('tiny@2');
    const before = by('tiny@2').length;
    await until(() => by('tiny@2').length > before + 8, 'predictions by the old one');
  });

  test('takes an exchange back as a revision of its own, and tells every gateway', async () => {
    const { gateway: other } = await lab.gateway({ cluster: { name: 'gate-2' } });
    const told = new Answers(other.events$);
    const { checkpoint } = await gateway.rollback();
    expect(checkpoint).toBe('tiny@1');
    const before = by('tiny@1').length;
    await until(() => by('tiny@1').length > before + 8, 'predictions by the first one again');
    expect(answers.faults()).toEqual({ twice: 0, disordered: 0, missing: 0 });
    const changes = ({ others }: Answers) =>
      others.flatMap((each) =>
        each.kind === 'checkpoint' ? [`${each.phase} ${each.checkpoint}`] : [],
      );
    expect(changes(told)).toEqual(['rolled_back tiny@1']);
    expect(changes(answers)).toEqual([
      ...['loading tiny@2', 'verified tiny@2', 'active tiny@2', 'loading tiny@9', 'failed tiny@9'],
      ...['loading bad@1', 'failed bad@1', 'loading tiny@1', 'verified tiny@1'],
      'rolled_back tiny@1',
    ]);
    const operator = await openOperator(lab.config('op'), silentLogger);
    const { active } = operator.board.state;
    expect(active).toMatchObject({ revision: 4, previous: { checkpoint: 'tiny@2' } });
    await operator.close();
  });
});
