/** The cache with the real graphs: what was kept and what is computed again agree. */

import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Engine } from '../../src/engine/engine.js';
import { Schedule } from '../../src/windows/schedule.js';
import { Serving, type WindowAnswer } from '../../src/windows/serving.js';
import { FakeSource } from '../support/fake-source.js';
import { openTiny, tinyStore } from '../support/tiny-checkpoint.js';

let engine: Engine;
beforeAll(async () => {
  const { folder } = await tinyStore(['1']);
  engine = await openTiny(join(folder, 'tiny@1'));
});
afterAll(() => engine.close());

function serve(sources: readonly FakeSource[]) {
  const answers: WindowAnswer[] = [];
  const serving = new Serving(engine, { onAnswer: (a) => answers.push(a), pace: 'offline' });
  for (const source of sources) serving.attach(source);
  return { serving, answers };
}

describe('cached latents', () => {
  test('give the same predictions as computing the window again', async () => {
    const sources = [new FakeSource('s', 3), new FakeSource('tt', 5)];
    const live = serve(sources);
    const schedule = new Schedule(engine.info.tasks);
    for (let end = 50; end <= 33 * 200; end += 50) {
      for (const { id } of sources) {
        if (schedule.needs(end)) live.serving.tick(id, end);
        for (const { task, k } of schedule.windowsAt(end))
          live.serving.window({ stream: id, task, seq: k, endSample: end, stampS: 0, arrivalS: 0 });
      }
      await live.serving.idle();
    }
    let worst = 0;
    for (let n = 0; n < live.answers.length; n += 7) {
      const answer = live.answers[n] as WindowAnswer;
      const fresh = serve(sources);
      const { request } = answer;
      const seconds = engine.info.tasks[request.task]?.windowS ?? 0;
      for (let i = seconds - 1; i >= 0; i--)
        fresh.serving.tick(request.stream, request.endSample - 200 * i);
      fresh.serving.window(request);
      await fresh.serving.idle();
      const again = fresh.answers[0]?.logits as Float32Array;
      for (const [i, value] of (answer.logits as Float32Array).entries())
        worst = Math.max(worst, Math.abs(value - (again[i] as number)));
    }
    expect(live.answers.length).toBeGreaterThan(200);
    expect(worst).toBeLessThan(1e-6);
  });
});
