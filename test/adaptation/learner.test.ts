/** The learner as a process: killed in the middle of learning, it is started again and finishes. */
import { mkdtempSync, rmSync } from 'node:fs';
import { getPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { LearnerHost } from '../../src/adaptation/learner-host.js';
import type { FromLearner, ToLearner } from '../../src/adaptation/learner-protocol.js';
import { Rng } from '../../src/core/rng.js';
import { systemClock } from '../../src/core/time.js';
import { saveCheckpoint } from '../../src/model/checkpoint.js';
import { initialWeights } from '../../src/model/serving.js';
import { madeTrial, trialChannels, trialPositions } from '../support/labelled-trials.js';
import { tinyMoe } from '../support/model-fixture.js';

const folder = mkdtempSync(join(tmpdir(), 'eegd-learner-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('a learner killed while it learns is told everything again and learns it', async () => {
  const weights = initialWeights(tinyMoe, new Rng(1));
  const parts = { name: 'tiny', release: '1', trained: true, arch: tinyMoe, weights };
  await saveCheckpoint(join(folder, 'base'), parts);
  const rng = new Rng(3);
  const trials = Array.from({ length: 24 }, (_, id) => {
    const signal = madeTrial(id % 2, rng, { seconds: 2 });
    return { kind: 'trial' as const, id, label: id % 2, signal };
  }) satisfies ToLearner[];
  const messages: FromLearner[] = [];
  const exits: string[] = [];
  const wanted = new Map<string, () => void>();
  const heard = (kind: string) => new Promise<void>((resolve) => wanted.set(kind, resolve));
  const host = new LearnerHost({
    start: {
      checkpoint: join(folder, 'base'),
      task: {
        ...{ name: 'fists', classes: ['left', 'right'], windowS: 2, hopS: 0.5 },
        ...{ contextWindows: 0, minValid: 0.75, temperature: 1, smoothing: 1 },
      },
      ...{
        pack: 'fists',
        experts: 1,
        positions: trialPositions,
        channels: trialChannels,
        seed: 1,
        threads: 1,
      },
    },
    known: async () => trials,
    onMessage(message) {
      messages.push(message);
      wanted.get(message.kind)?.();
    },
    onExit: (why) => exits.push(why),
    clock: systemClock,
  });
  const progress = heard('progress');
  host.start();
  host.send({ kind: 'learn' });
  await progress;
  const pid = host.pid as number;
  expect(getPriority(pid)).toBe(19);
  const learned = heard('learned');
  process.kill(pid, 'SIGKILL');
  await learned;
  expect(exits).toEqual(['the learner ended (SIGKILL)']);
  expect(host.pid).not.toBe(pid);
  const result = messages.find((message) => message.kind === 'learned');
  expect(result).toMatchObject({ total: 24, changedTasks: [] });
  await host.close();
}, 120_000);
