import { describe, expect, test } from 'vitest';
import { EegError } from '../../src/core/errors.js';
import { Rng } from '../../src/core/rng.js';
import type { TaskSpec } from '../../src/core/tasks.js';
import { Schedule } from '../../src/windows/schedule.js';
import {
  type EngineRun,
  type Pace,
  Serving,
  type WindowAnswer,
} from '../../src/windows/serving.js';
import { FakeEngine, taskSpec, threeTasks } from '../support/fake-engine.js';
import { FakeSource } from '../support/fake-source.js';

const clock = { now: () => 1000, wallMs: () => 0, setTimeout: () => () => undefined };

function setUp(engine: FakeEngine, sources: readonly FakeSource[], pace: Pace = 'offline') {
  const answers: WindowAnswer[] = [];
  const onAnswer = (answer: WindowAnswer) => answers.push(answer);
  const runs: EngineRun[] = [];
  const onRun = (run: EngineRun) => void runs.push(run);
  const serving = new Serving(engine, { onAnswer, onRun, clock, pace });
  for (const source of sources) serving.attach(source);
  return { serving, answers, runs };
}

/** Give one stream's grid point to the serving, as a pipeline would. */
function feed(serving: Serving, id: string, endSample: number, arrivalS = 1000): number {
  const schedule = new Schedule(serving.engine.info.tasks);
  if (schedule.needs(endSample)) serving.tick(id, endSample);
  const due = schedule.windowsAt(endSample);
  for (const { task, k } of due)
    serving.window({ stream: id, task, seq: k, endSample, stampS: endSample / 200, arrivalS });
  return due.length;
}

const key = ({ request }: WindowAnswer) => `${request.stream}/${request.task}/${request.seq}`;

describe('serving', () => {
  test('answers every window of many streams once, in order, in shared runs', async () => {
    const engine = new FakeEngine();
    const sources = [8, 2, 32, 8].map((channels, i) => new FakeSource(`s${i}`, channels));
    const { serving, answers } = setUp(engine, sources);
    let asked = 0;
    for (let end = 50; end <= 62 * 200; end += 50) {
      for (const source of sources) asked += feed(serving, source.id, end);
      await serving.idle();
    }
    expect(answers).toHaveLength(asked);
    expect(new Set(answers.map(key)).size).toBe(asked);
    expect(answers.every((answer) => answer.logits !== undefined)).toBe(true);
    expect(answers.every((answer) => answer.validity === 1)).toBe(true);
    for (const source of sources) {
      const seqs = answers
        .filter(({ request }) => request.stream === source.id && request.task === 2)
        .map(({ request }) => request.seq);
      expect(seqs).toEqual(seqs.map((_, i) => i));
    }
    expect(engine.taskRows).toBe(asked);
    expect(engine.taskRuns).toBeLessThan(asked / 2);
  });

  describe('windows that may wait longer than others', () => {
    const [sleep, , imagery] = threeTasks as [TaskSpec, TaskSpec, TaskSpec];
    const end = sleep.windowS * 200;

    /** All seconds and windows up to the first of sleep wait. */
    function waiting(streams: number) {
      const engine = new FakeEngine([sleep, imagery]);
      const sources = Array.from({ length: streams }, (_, i) => new FakeSource(`s${i}`, 2));
      const { serving, answers, runs } = setUp(engine, sources);
      for (let at = 50; at <= end; at += 50) for (const { id } of sources) feed(serving, id, at);
      return { engine, serving, answers, runs };
    }

    test.each([
      // A row has 64 tokens: short runs have three, an eighth of 64 rows is eight.
      { streams: 8, first: 3 },
      { streams: 64, first: 8 },
    ])('$streams of them go in runs of $first', async ({ streams, first }) => {
      const { serving, runs } = waiting(streams);
      await serving.idle();
      const all = runs.filter(({ graph }) => graph === 'tasks');
      const long = all.filter(({ rows, tokens }) => tokens / rows === 64);
      expect(long[0]?.rows).toBe(first);
      expect(long.reduce((sum, { rows }) => sum + rows, 0)).toBe(streams);
      // The others share as long a run as there is room for: each has 8 tokens.
      expect(all[0]?.rows).toBe(2048 / 8);
    });

    test('let what has come since go between', async () => {
      const { engine, serving, answers } = waiting(8);
      const isSleep = ({ request }: WindowAnswer) => request.task === 0;
      engine.before = () => {
        if (!answers.some(isSleep)) return;
        engine.before = () => undefined;
        feed(serving, 's0', end + 50);
      };
      await serving.idle();
      const came = answers.findIndex(({ request }) => request.endSample > end);
      expect(answers.slice(0, came).filter(isSleep)).toHaveLength(6);
      expect(answers.slice(came).filter(isSleep)).toHaveLength(2);
    });
  });

  test('computes each second once for all tasks', async () => {
    const engine = new FakeEngine();
    const source = new FakeSource('s', 4);
    const { serving } = setUp(engine, [source]);
    for (let end = 50; end <= 40 * 200; end += 50) {
      feed(serving, 's', end);
      await serving.idle();
    }
    // The first whole second ends at 200, then four a second: motor imagery needs them all.
    expect(engine.trunkRows).toBe(39 * 4 + 1);
    expect(source.reads).toBe(39 * 4 + 1);
  });

  test('gives cached and recomputed windows the same logits', async () => {
    const source = () => new FakeSource('s', 5);
    const live = setUp(new FakeEngine(), [source()]);
    for (let end = 50; end <= 62 * 200; end += 50) {
      feed(live.serving, 's', end);
      await live.serving.idle();
    }
    const rng = new Rng(7);
    for (let n = 0; n < 30; n++) {
      const answer = live.answers[rng.below(live.answers.length)] as WindowAnswer;
      if (answer.request.task === 0) continue;
      const fresh = setUp(new FakeEngine(), [source()]);
      for (let end = answer.request.endSample - 6000; end <= answer.request.endSample; end += 200)
        if (end >= 200) fresh.serving.tick('s', end);
      fresh.serving.window(answer.request);
      await fresh.serving.idle();
      const logits = fresh.answers[0]?.logits as Float32Array;
      for (const [i, value] of (answer.logits as Float32Array).entries())
        expect(Math.abs(value - (logits[i] as number))).toBeLessThan(1e-6);
    }
  });

  test('averages past windows as context', async () => {
    const tasks = [taskSpec('sleep', { windowS: 4, hopS: 4, contextWindows: 2 })];
    const engine = new FakeEngine(tasks);
    const seen: number[][] = [];
    const run = engine.tasks.bind(engine);
    engine.tasks = (batch) => {
      seen.push([...batch.mask], [...batch.times]);
      return run(batch);
    };
    const { serving } = setUp(engine, [new FakeSource('s', 2)]);
    for (let end = 50; end <= 12 * 200; end += 50) {
      feed(serving, 's', end);
      await serving.idle();
    }
    expect(seen).toEqual([
      [0, 0, 1, 1, 1, 1],
      [-8, -4, -3, -2, -1, 0],
      [0, 1, 1, 1, 1, 1],
      [-8, -4, -3, -2, -1, 0],
      [1, 1, 1, 1, 1, 1],
      [-8, -4, -3, -2, -1, 0],
    ]);
  });
});

describe('a window that cannot be answered', () => {
  const tasks = [taskSpec('a', { windowS: 4, hopS: 1, minValid: 0.75 })];

  async function play(source: FakeSource, engine = new FakeEngine(tasks), seconds = 12) {
    const { serving, answers } = setUp(engine, [source]);
    for (let end = 50; end <= seconds * 200; end += 50) {
      feed(serving, source.id, end);
      await serving.idle();
    }
    return answers;
  }

  test('says gap while too little of it is real', async () => {
    const source = new FakeSource('s', 2);
    source.gaps.push([1000, 1300]);
    const answers = await play(source);
    // Seconds ending at 1200 and 1400 are broken: windows with both are refused.
    const reasons = answers.map(({ request, reason }) => [request.endSample, reason]);
    expect(reasons.filter(([, reason]) => reason !== undefined)).toEqual([
      [1400, 'gap'],
      [1600, 'gap'],
      [1800, 'gap'],
    ]);
    expect(answers.find((a) => a.request.endSample === 1200)?.validity).toBe(0.75);
  });

  test('says no_usable_channel when all are bad', async () => {
    const source = new FakeSource('s', 2);
    source.badChannels.add(0).add(1);
    const answers = await play(source);
    expect(answers).toHaveLength(9);
    expect(answers.every((a) => a.reason === 'no_usable_channel')).toBe(true);
  });

  test('lowers validity when some channels are bad', async () => {
    const source = new FakeSource('s', 4);
    source.badChannels.add(2);
    const answers = await play(source);
    expect(answers.every((a) => a.validity === 0.75 && a.logits !== undefined)).toBe(true);
  });

  test('says engine_failed, and the next one is answered', async () => {
    const engine = new FakeEngine(tasks);
    let runs = 0;
    engine.before = (graph) => {
      if (graph === 'tasks' && ++runs === 3) throw new EegError('EEG_ENGINE_FAILED', 'gone');
    };
    const answers = await play(new FakeSource('s', 2), engine);
    expect(answers.map((a) => a.reason)).toEqual([
      undefined,
      undefined,
      'engine_failed',
      ...new Array(6).fill(undefined),
    ]);
    expect(answers[2]?.detail).toContain('EEG_ENGINE_FAILED');
  });

  test('survives one failed trunk run by trying again', async () => {
    const engine = new FakeEngine(tasks);
    let runs = 0;
    engine.before = (graph) => {
      if (graph === 'trunk' && ++runs === 5) throw new EegError('EEG_ENGINE_FAILED', 'gone');
    };
    const answers = await play(new FakeSource('s', 2), engine);
    expect(answers.every((a) => a.validity === 1)).toBe(true);
  });

  test('says stale when it waited too long, overload when newer ones pressed', async () => {
    const engine = new FakeEngine(tasks);
    const { serving, answers } = setUp(engine, [new FakeSource('s', 2)], 'live');
    for (let end = 50; end <= 1600; end += 50) feed(serving, 's', end, 990);
    await serving.idle();
    expect(answers.map((a) => [a.request.endSample, a.reason])).toEqual([
      [800, 'overload'],
      [1000, 'stale'],
      [1200, 'stale'],
      [1400, 'stale'],
      [1600, 'stale'],
    ]);
    expect(serving.counters().map((c) => c.dropped)).toEqual([0, 1]);
  });

  test('is answered when its stream goes', async () => {
    const { serving, answers } = setUp(new FakeEngine(tasks), [new FakeSource('s', 2)]);
    for (let end = 50; end <= 1000; end += 50) feed(serving, 's', end);
    serving.detach('s');
    await serving.idle();
    expect(answers.map((a) => a.reason)).toEqual(['gap', 'gap']);
  });
});
