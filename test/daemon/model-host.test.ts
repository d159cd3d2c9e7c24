import { expect, test } from 'vitest';
import { systemClock } from '../../src/core/time.js';
import { ModelHost } from '../../src/daemon/model-host.js';
import { SignalRing } from '../../src/signal/ring.js';
import { FakeEngine, taskSpec } from '../support/fake-engine.js';
import { FakeSource } from '../support/fake-source.js';

const rateHz = 200;
const gridSamples = 50;

test('a checkpoint that takes over has the context and the history of its first windows', async () => {
  const tasks = [taskSpec('sleep', { windowS: 30, hopS: 30, contextWindows: 6, history: true })];
  let now = 0;
  const oldest = () => Math.max(0, now - 60 * rateHz);
  const source = Object.assign(new FakeSource('s', 2), {
    newestSample: () => now,
    oldestSample: oldest,
    ring: new SignalRing(2, 60),
  });
  const host = new ModelHost(new FakeEngine(tasks), {
    onAnswer: () => undefined,
    clock: systemClock,
    pace: 'offline',
  });
  host.attach(source);
  const play = async (seconds: number) => {
    for (const end = now + seconds * rateHz; now < end; ) {
      now += gridSamples;
      const { needs, windowsAt } = host.due('s');
      const windows = windowsAt(now);
      if (!needs(now) && windows.length === 0) continue;
      host.take('s', { endSample: now, stampS: 0, arrivalS: 0, needed: true, windows });
      await host.idle();
    }
  };
  await play(600);
  const next = new FakeEngine(tasks, 'fake@2');
  const masks: number[][] = [];
  const run = next.tasks.bind(next);
  next.tasks = (batch) => {
    masks.push([...batch.mask]);
    return run(batch);
  };
  await host.prepare(next);
  host.flip();
  await play(60);
  // What is usual, six windows of context, thirty seconds.
  expect(masks).toEqual([new Array(37).fill(1), new Array(37).fill(1)]);
  await host.close();
});
