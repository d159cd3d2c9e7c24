/**
 * A stream of steps that is full, and nobody who works: what is oldest goes, windows are said to be
 * stale in their time, and nothing is queued for later. Prints the figures of docs/scale.md.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openOperator } from '../../src/cluster/roles.js';
import { silentLogger } from '../../src/core/log.js';
import { localClock } from '../../src/core/time.js';
import { Answers, Lab, tinyModels } from './lab.js';
import { hasNats, NatsCluster, until } from './nats-cluster.js';

/** Some seven seconds of two streams with eight channels. */
const stepBytesMax = 2 ** 16;
const cluster = { stepBytesMax, partitions: 1 };

let nats: NatsCluster;
let lab: Lab;

describe.skipIf(!hasNats)('a full stream of steps', () => {
  beforeAll(async () => {
    nats = await NatsCluster.start(1);
    await nats.ready();
    lab = new Lab({ nats, models: await tinyModels(['1']) });
  });
  afterAll(async () => {
    await lab?.stop();
    await nats?.stop();
  });

  test('loses what is stale, and no more', async () => {
    const operator = await openOperator(lab.config('op', { cluster }), silentLogger);
    const kept = async () =>
      (await (await operator.link.manager()).streams.info('EEGD_LAB_STEPS')).state;
    const signal = await lab.forkWorker('w1', { cluster });
    const { gateway } = await lab.gateway({ cluster });
    const answers = new Answers(gateway.events$);
    for (const n of [1, 2]) {
      const streams = [`synthetic:?channels=8&rateHz=250&seed=${n}`];
      await lab.edge(`bed-${n}`, { streams, cluster });
    }
    const isFull = async () => (await kept()).first_seq > 1;
    await until(() => answers.predictions.length > 20, 'predictions');
    await until(isFull, 'the stream to be full');
    // A stream that is full all the time costs nothing while somebody works.
    const before = answers.predictions.length;
    await until(() => answers.predictions.length > before + 20, 'predictions');
    expect(answers.stale()).toBeLessThan(answers.all.length / 10);

    const staleBefore = answers.stale();
    signal('SIGSTOP');
    const { last_seq: stoppedAt } = await kept();
    await until(async () => (await kept()).first_seq > stoppedAt + 8, 'steps to be lost');
    expect((await kept()).bytes).toBeLessThanOrEqual(stepBytesMax);
    const staleMeanwhile = answers.stale() - staleBefore;
    expect(staleMeanwhile).toBeGreaterThan(40);
    signal('SIGCONT');
    const onS = localClock();
    const isNew = () => answers.predictions.some(({ windowEndS }) => windowEndS > onS);
    await until(isNew, 'predictions of new windows');
    const backMs = Math.round((localClock() - onS) * 1000);
    const { twice } = answers.faults();
    console.log(
      `full stream, worker stopped: stale ${staleMeanwhile}, answered twice ${twice}, ` +
        `the first new window ${backMs} ms after it went on`,
    );
    expect(answers.faults()).toEqual({ twice: 0, disordered: 0, missing: 0 });
    await operator.close();
  });
});
