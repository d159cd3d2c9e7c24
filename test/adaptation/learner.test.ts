/** The learner as a process: killed while it learns, and by an engine other than ours. */
import { mkdtempSync, rmSync } from 'node:fs';
import { getPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LearnerHost } from '../../src/adaptation/learner-host.js';
import type { FromLearner, TrialMessage } from '../../src/adaptation/learner-protocol.js';
import { Rng } from '../../src/core/rng.js';
import { systemClock } from '../../src/core/time.js';
import type { EngineKind } from '../../src/engine/worker-protocol.js';
import { saveCheckpoint } from '../../src/model/checkpoint.js';
import { initialWeights } from '../../src/model/serving.js';
import { madeTrial, trialChannels, trialPositions } from '../support/labelled-trials.js';
import { largestDifference, tinyMoe } from '../support/model-fixture.js';

const folder = mkdtempSync(join(tmpdir(), 'eegd-learner-'));
beforeAll(async () => {
  const weights = initialWeights(tinyMoe, new Rng(1));
  const parts = { name: 'tiny', release: '1', trained: true, arch: tinyMoe, weights };
  await saveCheckpoint(join(folder, 'base'), parts);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A learner that knows 24 trials; `heard` waits for a message of a kind. */
function openLearner(engine: EngineKind) {
  const rng = new Rng(3);
  const trials = Array.from({ length: 24 }, (_, id) => {
    const signal = madeTrial(id % 2, rng, { seconds: 2 });
    return { kind: 'trial' as const, id, label: id % 2, signal };
  }) satisfies TrialMessage[];
  const exits: string[] = [];
  const wanted = new Map<string, (message: FromLearner) => void>();
  const heard = <K extends FromLearner['kind']>(kind: K) =>
    new Promise<Extract<FromLearner, { kind: K }>>((resolve) =>
      wanted.set(kind, resolve as (message: FromLearner) => void),
    );
  const host = new LearnerHost({
    start: {
      checkpoint: join(folder, 'base'),
      task: {
        ...{ name: 'fists', classes: ['left', 'right'], windowS: 2, hopS: 0.5 },
        ...{ contextWindows: 0, minValid: 0.75, temperature: 1, smoothing: 1 },
      },
      ...{ pack: 'fists', experts: 1, positions: trialPositions, channels: trialChannels },
      ...{ seed: 1, threads: 1, engine },
    },
    async *known() {
      yield* trials;
    },
    onMessage: (message) => wanted.get(message.kind)?.(message),
    onExit: (why) => exits.push(why),
    clock: systemClock,
  });
  return { host, heard, exits };
}

test('a learner killed while it learns is told everything again and learns it', async () => {
  const { host, heard, exits } = openLearner('onnx');
  const progress = heard('progress');
  host.start();
  host.send({ kind: 'learn' });
  await progress;
  const pid = host.pid as number;
  expect(getPriority(pid)).toBe(19);
  const learned = heard('learned');
  process.kill(pid, 'SIGKILL');
  const result = await learned;
  expect(exits).toEqual(['the learner ended (SIGKILL)']);
  expect(host.pid).not.toBe(pid);
  expect(result).toMatchObject({ total: 24, changedTasks: [] });
  await host.close();
}, 120_000);

test('a learner on TensorFlow.js learns what the one on ONNX Runtime learns', async () => {
  const packs = [];
  for (const engine of ['onnx', 'tfjs'] as const) {
    const { host, heard } = openLearner(engine);
    const learned = heard('learned');
    host.start();
    host.send({ kind: 'learn' });
    packs.push(await learned);
    await host.close();
  }
  const [ours, theirs] = packs;
  expect(theirs).toMatchObject({ correct: ours?.correct, total: 24, changedTasks: [] });
  expect(largestDifference(theirs?.pack.logits ?? [], ours?.pack.logits ?? [])).toBeLessThan(1e-3);
  expect(theirs?.pack.bytes.length).toBe(ours?.pack.bytes.length);
}, 120_000);

test('a learner whose engine is not installed says what to install', async () => {
  const { host, exits } = openLearner('tfjs-node-gpu');
  host.start();
  await expect
    .poll(() => exits[0], { timeout: 60_000 })
    .toMatch(/could not start: .*npm i @tensorflow\/tfjs-node-gpu/);
  await host.close();
}, 120_000);
