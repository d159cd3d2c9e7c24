/** The commands of adaptation, with a made-up daemon and learner and a clock of the test's. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Adaptation } from '../../src/adaptation/adaptation.js';
import { verifyAudit } from '../../src/adaptation/audit-log.js';
import { EegError } from '../../src/core/errors.js';
import { FakeHost } from '../support/fake-adaptation-host.js';
import { FakeClock } from '../support/fake-clock.js';
import { FakeLearner } from '../support/fake-learner.js';

const begin = { task: 'fists', classes: ['left', 'right'], windowS: 1 };
let folder = '';
let clock: FakeClock;
let host: FakeHost;
let learners: FakeLearner[];
let adaptation: Adaptation;

function open(): Adaptation {
  return new Adaptation({
    folder,
    host,
    clock,
    fork: () => {
      const learner = new FakeLearner();
      learners.push(learner);
      return learner.child;
    },
  });
}

const learner = () => learners.at(-1) as FakeLearner;
const audit = () => readFileSync(join(folder, 'audit.jsonl'), 'utf8');

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'eegd-adapt-'));
  clock = new FakeClock();
  host = new FakeHost(clock);
  learners = [];
  adaptation = open();
});
afterEach(async () => {
  await adaptation.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Marks `count` spans, left and right in turn, and lets their signal come. */
async function mark(count: number): Promise<void> {
  const before = labels();
  for (let i = 0; i < count; i++) {
    await adaptation.command('label', { label: i % 2 === 0 ? 'left' : 'right' });
    await clock.advance(1300);
  }
  await clock.until(() => labels() >= before + count);
}

const labels = (): number => {
  const counts = adaptation.status().labels as Record<string, number> | undefined;
  return Object.values(counts ?? {}).reduce((a, b) => a + b, 0);
};
const told = () => learner().received.filter(({ kind }) => kind === 'trial');

describe('a session', () => {
  test('keeps what is marked when its signal is complete, with the samples of that time', async () => {
    await clock.advance(5000);
    expect(await adaptation.command('start', begin)).toMatchObject({
      state: 'collecting',
      stream: 'amp',
      labels: { left: 0, right: 0 },
      needed: { left: 10, right: 10 },
    });
    const pressedS = clock.now();
    expect(await adaptation.command('label', { label: 'left' })).toMatchObject({ pending: 1 });
    await clock.advance(800);
    expect(adaptation.status()).toMatchObject({ labels: { left: 0 }, pending: 1 });
    await clock.advance(500);
    await clock.until(() => told().length === 1);
    expect(adaptation.status()).toMatchObject({ labels: { left: 1 }, pending: 0 });
    const trial = learner().received.find((message) => message.kind === 'trial');
    if (trial?.kind !== 'trial') throw new Error('no trial');
    expect(trial.signal.data.length).toBe(400);
    // The made-up signal is its own sample number.
    const expected = (pressedS - host.startS) * 200;
    expect(Math.abs((trial.signal.data[0] as number) - expected)).toBeLessThanOrEqual(25);
    expect(trial.signal.scale.length).toBe(8);
  });

  test('takes markers for labels, shifted by the latency of the amplifier', async () => {
    await clock.advance(5000);
    const markers = { '769': 'left', '770': 'right' };
    await adaptation.command('start', { ...begin, markers, latencyS: 0.5 });
    const stampS = clock.now() - 2;
    const say = (text: string) => host.events$.next({ kind: 'marker', stream: 'm', stampS, text });
    say('769');
    say('right');
    say('boundary');
    await clock.until(() => told().length === 2);
    expect(adaptation.status()).toMatchObject({ labels: { left: 1, right: 1 } });
    const trial = learner().received.find((message) => message.kind === 'trial');
    if (trial?.kind !== 'trial') throw new Error('no trial');
    expect(trial.signal.data[0]).toBe((stampS + 0.5 - host.startS) * 200);
  });

  test('learns of itself, activates what passes, and both stand in the audit log', async () => {
    await adaptation.command('start', begin);
    await mark(20);
    expect(learner().kinds()).toContain('learn');
    learner().say({ kind: 'progress', phase: 'learning', share: 0.4 });
    expect(adaptation.status()).toMatchObject({ state: 'learning', progress: 0.4 });
    learner().learned(18, 20);
    await clock.until(() => adaptation.status().state === 'active');
    expect(adaptation.status()).toMatchObject({ state: 'active', heldOut: '18/20' });
    expect(host.activated[0]?.pack.bytes).toEqual(Uint8Array.of(1, 2, 3));
    expect(host.activated[0]?.metrics).toMatchObject({ accuracy: 0.9, trials: 20 });
    expect(audit()).toMatch(/adapt\.promote.*"from":"base@1"/);
    expect(await adaptation.command('rollback', { actor: 'anna' })).toMatchObject({
      state: 'collecting',
      checkpoint: 'base@1',
    });
    expect(audit()).toMatch(/"actor":"anna","action":"adapt\.rolled_back"/);
    expect((await verifyAudit(join(folder, 'audit.jsonl'))).ok).toBe(true);
  });

  test('does not activate what is not above chance, or would change old tasks', async () => {
    await adaptation.command('start', begin);
    await mark(20);
    learner().learned(11, 20);
    expect(adaptation.status()).toMatchObject({ state: 'collecting' });
    expect(adaptation.status().detail).toMatch(/not above chance/);
    await expect(adaptation.command('commit', {})).rejects.toThrow(/not above chance/);
    learner().learned(20, 20, { changedTasks: ['sleep'] });
    await expect(adaptation.command('commit', {})).rejects.toThrow(/change the outputs of sleep/);
    expect(host.activated).toEqual([]);
  });

  test('says so when the swap fails, and can be committed again', async () => {
    host.failure = new EegError('EEG_MODEL_BUSY', 'a swap is under way');
    await adaptation.command('start', begin);
    await mark(20);
    learner().learned(19, 20);
    await clock.until(() => /swap is under way/.test(String(adaptation.status().detail)));
    expect(adaptation.status()).toMatchObject({ state: 'ready' });
    host.failure = undefined;
    expect(await adaptation.command('commit', {})).toMatchObject({ state: 'active' });
  });

  test('changes nothing where the audit log cannot be written', async () => {
    await adaptation.command('start', { ...begin, auto: false });
    await mark(20);
    learner().learned(20, 20);
    expect(adaptation.status()).toMatchObject({ state: 'ready' });
    await adaptation.close();
    adaptation = open();
    rmSync(join(folder, 'audit.jsonl'), { force: true });
    mkdirSync(join(folder, 'audit.jsonl'));
    await adaptation.resume();
    await clock.advance(100);
    learner().learned(20, 20);
    await expect(adaptation.command('commit', {})).rejects.toThrow(/audit log/);
    expect(host.activated).toEqual([]);
  });

  test('outlives the daemon: labels are there again, and the learner is told them', async () => {
    await adaptation.command('start', { ...begin, auto: false });
    await mark(8);
    await adaptation.command('undo', {});
    await adaptation.command('label', { label: 'right', id: 0 });
    await adaptation.close();
    adaptation = open();
    await adaptation.resume();
    expect(adaptation.status()).toMatchObject({ task: 'fists', labels: { left: 3, right: 4 } });
    await clock.until(() => told().length === 7);
    expect(told().map((message) => (message.kind === 'trial' ? message.label : -1))).toEqual([
      1, 1, 0, 1, 0, 1, 0,
    ]);
  });

  test('says what is wrong with a command', async () => {
    await expect(adaptation.command('label', { label: 'left' })).rejects.toThrow(
      /no task is being taught/,
    );
    await expect(adaptation.command('start', { task: 'x' })).rejects.toThrow(/classes/);
    await expect(adaptation.command('start', { ...begin, stream: 'none' })).rejects.toThrow(/amp/);
    await expect(adaptation.command('sing', {})).rejects.toThrow(/no command "sing"/);
    await adaptation.command('start', begin);
    await expect(adaptation.command('label', { label: 'up' })).rejects.toThrow(/left, right/);
    await clock.advance(90_000);
    await adaptation.command('label', { label: 'left', startS: host.startS + 1 });
    expect(adaptation.status().detail).toMatch(/no longer held \(60 s are\)/);
  });
});

describe('a learner that dies', () => {
  test('is started again, told everything, and goes on learning; labels are kept', async () => {
    await adaptation.command('start', begin);
    await mark(20);
    const first = learner();
    first.emit('exit', null, 'SIGKILL');
    expect(adaptation.status().detail).toMatch(/learner ended \(SIGKILL\); labels are kept/);
    await mark(2);
    await clock.until(() => learner() !== first && learner().kinds().includes('learn'));
    await clock.until(() => told().length === 22);
  });

  test('again and again is given up until somebody asks', async () => {
    await adaptation.command('start', begin);
    for (let i = 0; i < 4; i++) {
      learner().emit('exit', 1, null);
      await clock.advance(1500);
    }
    expect(learners.length).toBe(4);
    expect(adaptation.status()).toMatchObject({ learnerRunning: false, state: 'collecting' });
    await adaptation.command('commit', {});
    expect(learners.length).toBe(5);
  });
});
