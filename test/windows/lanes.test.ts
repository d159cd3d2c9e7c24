import { describe, expect, test } from 'vitest';
import { EegError } from '../../src/core/errors.js';
import { Rng } from '../../src/core/rng.js';
import { Schedule } from '../../src/windows/schedule.js';
import { Serving, type WindowAnswer } from '../../src/windows/serving.js';
import { FakeEngine, threeTasks } from '../support/fake-engine.js';
import { FakeSource } from '../support/fake-source.js';

const clock = { now: () => 1000, wallMs: () => 0, setTimeout: () => () => undefined };
const ids = ['s', 'ss', 'sss'];

interface Played {
  readonly answers: WindowAnswer[];
  readonly engine: FakeEngine;
  readonly asked: number;
  readonly atOnceMax: number;
}

/** Three streams of 62 s through an engine whose runs end in any order. */
async function play(parallel: number, seed: number, failures = 0): Promise<Played> {
  const rng = new Rng(seed);
  const engine = new FakeEngine(threeTasks);
  engine.parallel = parallel;
  let atOnce = 0;
  let atOnceMax = 0;
  const run = async <T>(compute: () => Promise<T>): Promise<T> => {
    atOnceMax = Math.max(atOnceMax, ++atOnce);
    try {
      for (let turns = rng.below(6); turns > 0; turns--) await turn();
      if (rng.uniform() < failures) throw new EegError('EEG_ENGINE_FAILED', 'gone');
      return await compute();
    } finally {
      atOnce--;
    }
  };
  const { trunk, tasks } = engine;
  // As a worker takes a batch: from then on it is no more its owner's.
  engine.trunk = (batch) => {
    const taken = structuredClone(batch);
    batch.patches.fill(Number.NaN);
    return run(() => trunk.call(engine, taken));
  };
  engine.tasks = (batch) => {
    const taken = structuredClone(batch);
    batch.latents.fill(Number.NaN);
    return run(() => tasks.call(engine, taken));
  };
  const answers: WindowAnswer[] = [];
  const onAnswer = (answer: WindowAnswer) => answers.push(answer);
  const serving = new Serving(engine, { onAnswer, clock, pace: 'offline' });
  for (const id of ids) serving.attach(new FakeSource(id, 2 + id.length));
  const schedule = new Schedule(threeTasks);
  let asked = 0;
  for (let endSample = 50; endSample <= 62 * 200; endSample += 50) {
    for (const stream of ids) {
      if (schedule.needs(endSample)) serving.tick(stream, endSample);
      for (const { task, k } of schedule.windowsAt(endSample)) {
        const times = { stampS: endSample / 200, arrivalS: endSample / 200 };
        serving.window({ stream, task, seq: k, endSample, ...times });
        asked++;
      }
      if (rng.below(3) === 0) await turn();
      while (serving.pending > 40) await turn();
    }
  }
  await serving.idle();
  expect(serving.pending).toBe(0);
  return { answers, engine, asked, atOnceMax };
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const key = ({ request }: WindowAnswer) => `${request.stream}/${request.task}/${request.seq}`;

describe('an engine that does several runs at once', () => {
  test.each([1, 2, 3, 4, 5])(
    'answers each window once, as one run at a time does (seed %i)',
    async (seed) => {
      const one = await play(1, seed);
      const three = await play(3, seed);
      expect(one.atOnceMax).toBe(1);
      expect(three.atOnceMax).toBe(3);
      expect(three.answers).toHaveLength(three.asked);
      expect(three.engine.trunkRows).toBe(one.engine.trunkRows);
      const expected = new Map(one.answers.map((answer) => [key(answer), answer]));
      expect(new Set(three.answers.map(key)).size).toBe(three.asked);
      for (const answer of three.answers) {
        expect(answer.validity).toBe(1);
        expect(expected.get(key(answer))).toMatchObject({ validity: 1 });
        expect(answer.logits).toEqual(expected.get(key(answer))?.logits);
      }
    },
  );

  test('loses none where runs fail', async () => {
    const { answers, asked } = await play(3, 6, 0.1);
    expect(new Set(answers.map(key)).size).toBe(asked);
    expect(answers).toHaveLength(asked);
    const refused = answers.filter(({ reason }) => reason !== undefined);
    expect(refused.length).toBeGreaterThan(0);
    for (const { reason } of refused) expect(reason).toBe('engine_failed');
    for (const { logits } of answers)
      if (logits !== undefined) expect(logits.every(Number.isFinite)).toBe(true);
  });
});

test('one that gives way makes longer runs where much waits', async () => {
  const quick = {
    ...clock,
    setTimeout: (callback: () => void) => {
      setImmediate(callback);
      return () => undefined;
    },
  };
  const options = { onAnswer: () => undefined, clock: quick, pace: 'offline' as const };
  const serving = new Serving(new FakeEngine(threeTasks), options);
  const runsFor = async (streams: number) => {
    const engine = new FakeEngine(threeTasks);
    const candidate = new Serving(engine, options);
    candidate.giveWayTo(serving);
    for (let i = 0; i < streams; i++) candidate.attach(new FakeSource(`s${i}`, 8));
    for (let end = 200; end <= 100 * 200; end += 200)
      for (let i = 0; i < streams; i++) candidate.tick(`s${i}`, end);
    await candidate.idle();
    expect(engine.trunkRows).toBe(100 * streams);
    return engine.trunkRuns;
  };
  // 16 rows of 8 channels in a run, where the seconds are few.
  expect(await runsFor(1)).toBe(7);
  // At that size it would take 625.
  expect(await runsFor(100)).toBeLessThan(300);
});
