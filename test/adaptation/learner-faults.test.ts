/**
 * What a learner may meet or become, and that serving never notices: out of memory, NaN, labels
 * that contradict each other, one class only, a trial that is all gaps. The daemon's side is real,
 * and so are the processes.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LearnerHost } from '../../src/adaptation/learner-host.js';
import type { FromLearner, Learned, TrialMessage } from '../../src/adaptation/learner-protocol.js';
import { judge } from '../../src/adaptation/promotion.js';
import { Rng } from '../../src/core/rng.js';
import { systemClock } from '../../src/core/time.js';
import { saveCheckpoint } from '../../src/model/checkpoint.js';
import { initialWeights } from '../../src/model/serving.js';
import { madeTrial, trialChannels, trialPositions } from '../support/labelled-trials.js';
import { tinyMoe } from '../support/model-fixture.js';

const folder = mkdtempSync(join(tmpdir(), 'eegd-faults-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeAll(async () => {
  const weights = initialWeights(tinyMoe, new Rng(1));
  const parts = { name: 'tiny', release: '1', trained: true, arch: tinyMoe, weights };
  await saveCheckpoint(join(folder, 'base'), parts);
});

function trials(count: number, label: (id: number) => number, seen = label): TrialMessage[] {
  const rng = new Rng(7);
  return Array.from({ length: count }, (_, id) => {
    const signal = madeTrial(seen(id), rng, { seconds: 2, strength: 4 });
    return { kind: 'trial' as const, id, label: label(id), signal };
  });
}

/** A learner told these trials and asked to learn: everything until it says how that went. */
async function learn(
  known: readonly TrialMessage[],
  { memoryMb, checkpoint = 'base' }: { memoryMb?: number; checkpoint?: string } = {},
) {
  const messages: FromLearner[] = [];
  const exits: { why: string; again: boolean }[] = [];
  let settle: () => void = () => undefined;
  const settled = new Promise<void>((resolve) => {
    settle = resolve;
  });
  const host = new LearnerHost({
    start: {
      checkpoint: join(folder, checkpoint),
      task: {
        ...{ name: 'fists', classes: ['left', 'right'], windowS: 2, hopS: 0.5 },
        ...{ contextWindows: 0, minValid: 0.75, temperature: 1, smoothing: 1 },
      },
      ...{ pack: 'fists', experts: 1, seed: 1, threads: 1 },
      ...{ positions: trialPositions, channels: trialChannels },
    },
    async *known() {
      yield* known;
    },
    onMessage(message) {
      messages.push(message);
      if (message.kind === 'learned' || message.kind === 'refused') settle();
    },
    onExit(why, again) {
      exits.push({ why, again });
      if (!again) settle();
    },
    // However slow the machine, it dies within a minute.
    clock: { ...systemClock, now: () => 0, setTimeout: (f, ms) => systemClock.setTimeout(f, ms) },
    ...(memoryMb === undefined ? {} : { memoryMb }),
  });
  host.start();
  host.send({ kind: 'learn' });
  await settled;
  await host.close();
  const learned = messages.find((message): message is Learned => message.kind === 'learned');
  const refused = messages.find((message) => message.kind === 'refused');
  return { messages, exits, learned, refused };
}

test('out of memory, it ends alone, is tried again, and given up', async () => {
  const { exits, learned } = await learn(
    trials(20, (id) => id % 2),
    { memoryMb: 20 },
  );
  expect(exits.length).toBe(4);
  expect(exits.map(({ again }) => again)).toEqual([true, true, true, false]);
  for (const { why } of exits) expect(why).toMatch(/ended/);
  expect(learned).toBeUndefined();
}, 120_000);

test('a checkpoint that cannot be opened is told as the reason, and given up', async () => {
  const { exits, refused } = await learn(
    trials(4, (id) => id % 2),
    { checkpoint: 'gone' },
  );
  expect(exits.map(({ again }) => again)).toEqual([true, true, true, false]);
  for (const { why } of exits) expect(why).toMatch(/could not start: .*gone/);
  expect(refused).toBeUndefined();
}, 120_000);

test('labels of one class are refused with what is missing', async () => {
  const { refused, exits } = await learn(trials(12, () => 0));
  expect(refused).toMatchObject({ code: 'EEG_ADAPT_REFUSED' });
  expect(JSON.stringify(refused)).toMatch(/left \d+, right 0/);
  expect(exits).toEqual([]);
}, 120_000);

test('labels that contradict the signal and each other never pass the gate', async () => {
  // Each rhythm is called left as often as right.
  const { learned, exits } = await learn(
    trials(
      32,
      (id) => id % 2,
      (id) => Math.floor(id / 2) % 2,
    ),
  );
  expect(exits).toEqual([]);
  const { correct, total, changedTasks } = learned as Learned;
  expect(total).toBe(32);
  const verdict = judge({ correct, total, chance: 0.5, changedTasks, finite: true });
  expect(verdict.promote).toBe(false);
  expect(verdict.why).toContain('is not above chance');
}, 120_000);

test('a trial of NaN, and one of gaps alone, are left out; the others are learned', async () => {
  const known = trials(26, (id) => id % 2);
  known[4]?.signal.data.fill(Number.NaN);
  known[5]?.signal.valid.fill(0);
  const { learned, messages, exits } = await learn(known);
  expect(exits).toEqual([]);
  const unusable = messages.flatMap((message) => (message.kind === 'unusable' ? message.id : []));
  expect(unusable).toEqual([4, 5]);
  const { total, pack } = learned as Learned;
  expect(total).toBe(24);
  expect(pack.logits.every(Number.isFinite)).toBe(true);
  expect(pack.readout?.weights.every(Number.isFinite)).toBe(true);
}, 120_000);
