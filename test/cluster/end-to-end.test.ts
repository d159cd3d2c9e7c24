/** Edge, workers and gateway on a real nats-server: the same predictions as one process makes. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Answers, Lab, labTasks, tinyModels } from './lab.js';
import { hasNats, NatsCluster, until } from './nats-cluster.js';

let nats: NatsCluster;
let lab: Lab;

describe.skipIf(!hasNats)('a cluster', () => {
  beforeAll(async () => {
    nats = await NatsCluster.start(1);
    await nats.ready();
    lab = new Lab({ nats, models: await tinyModels(['1', '2']) });
  });
  afterAll(async () => {
    await lab?.stop();
    await nats?.stop();
  });

  test('answers every window of two edges once and in order', async () => {
    await lab.worker('w1');
    const { gateway } = await lab.gateway();
    const answers = new Answers(gateway.events$);
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
    expect(answers.predictions.every(({ checkpoint }) => checkpoint === 'tiny@1')).toBe(true);
  });
});
