import { describe, expect, test } from 'vitest';
import type { TaskSpec } from '../../src/core/tasks.js';
import { Past } from '../../src/windows/past.js';
import { Serving, type WindowAnswer } from '../../src/windows/serving.js';
import { FakeEngine, taskSpec } from '../support/fake-engine.js';
import { FakeSource } from '../support/fake-source.js';

const rateHz = 200;

function pastOf(source: FakeSource, seconds: number): Past {
  const past = new Past();
  for (let end = rateHz; end <= seconds * rateHz; end += rateHz) past.see(source, end);
  return past;
}

describe('what is kept of the past', () => {
  test('is one second each 10 s of the last minutes, fewer of before, and never more than 72', () => {
    const source = new FakeSource('s', 2);
    for (const hours of [0.05, 1, 8]) {
      const ends = pastOf(source, hours * 3600)
        .seconds()
        .map(({ endSample }) => endSample / rateHz);
      expect(ends.length).toBeLessThanOrEqual(72);
      expect(ends).toEqual([...ends].sort((a, b) => a - b));
      const last = ends.filter((end) => end > hours * 3600 - 170);
      expect(last.slice(1).every((end, i) => end - (last[i] as number) === 10)).toBe(true);
      const steps = ends.slice(1).map((end, i) => end - (ends[i] as number));
      // No stretch is missing: older ones lie at most two strides apart.
      expect(Math.max(...steps)).toBeLessThanOrEqual((hours * 3600) / 12);
    }
  });

  test('leaves out what is not usable', () => {
    const source = new FakeSource('s', 2);
    source.gaps.push([0, 25 * rateHz]);
    const [first] = pastOf(source, 60).seconds();
    expect(first?.endSample).toBe(26 * rateHz);
  });

  test('counts a pause of hours as no more than the step', () => {
    const source = new FakeSource('s', 2);
    source.gaps.push([60 * rateHz, 3600 * rateHz]);
    const kept = pastOf(source, 3660).seconds();
    const usable = kept.map(({ usableSamples }) => usableSamples / rateHz);
    expect(Math.max(...usable.slice(1).map((one, i) => one - (usable[i] as number)))).toBe(10);
    expect(usable.at(-1)).toBeLessThan(140);
  });
});

describe('a checkpoint that takes over', () => {
  /** Levels that change slowly, so that few seconds tell what a window's average is. */
  class Slow extends FakeSource {
    override patches(endSample: number, out: Float32Array, mask: Float32Array): void {
      mask.fill(1);
      for (let i = 0; i < out.length; i++)
        out[i] = 1 + Math.sin(endSample / rateHz / 200 + (i % 6)) + endSample / rateHz / 1000;
    }
  }

  async function play(task: TaskSpec, fromS: number, past?: Past): Promise<WindowAnswer[]> {
    const answers: WindowAnswer[] = [];
    const serving = new Serving(new FakeEngine([task]), {
      onAnswer: (answer) => answers.push(answer),
      pace: 'offline',
    });
    serving.attach(new Slow('s', 2));
    if (past !== undefined) serving.remember('s', past.seconds());
    for (let end = fromS * rateHz; end <= 900 * rateHz; end += rateHz) {
      serving.tick('s', end);
      if (end % (30 * rateHz) === 0 && end >= (fromS + 29) * rateHz) {
        const request = { stream: 's', task: 0, seq: 0, endSample: end, stampS: 0, arrivalS: 0 };
        serving.window(request);
      }
      await serving.idle();
    }
    return answers.filter(({ request }) => request.endSample > 630 * rateHz);
  }

  const apart = (a: readonly WindowAnswer[], b: readonly WindowAnswer[]) =>
    a.map(({ logits }, i) =>
      Math.max(...(logits ?? []).map((value, k) => Math.abs(value - (b[i]?.logits?.[k] ?? NaN)))),
    );

  test.each([
    ['context', { contextWindows: 2 }],
    ['history', { history: true as const }],
    ['both', { contextWindows: 6, history: true as const }],
  ])('knows what the one before it knew: %s', async (_, looks) => {
    const task = taskSpec('sleep', { windowS: 30, hopS: 30, ...looks });
    const all = await play(task, 1);
    const after = await play(task, 601, pastOf(new Slow('s', 2), 630));
    const blank = await play(task, 601);
    expect(after).toHaveLength(all.length);
    const [first] = apart(all, after) as [number];
    const [without] = apart(all, blank) as [number];
    expect(first).toBeLessThan(without / 5);
  });

  test('computes nothing of it where no task looks back', async () => {
    const engine = new FakeEngine([taskSpec('a')]);
    const serving = new Serving(engine, { onAnswer: () => undefined });
    serving.attach(new Slow('s', 2));
    serving.remember('s', pastOf(new Slow('s', 2), 100).seconds());
    await serving.idle();
    expect(engine.trunkRows).toBe(0);
  });
});
