/** What training judges is what the daemon serves, window for window, with context and history. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadCheckpoint } from '../../src/model/checkpoint.js';
import { Predictor } from '../../src/training/predictor.js';
import type { PreparedRecording } from '../../src/training/prepared.js';
import type { TaskWindow } from '../../src/training/windows.js';
import { Schedule } from '../../src/windows/schedule.js';
import { Serving, type WindowAnswer } from '../../src/windows/serving.js';
import { taskSpec } from '../support/fake-engine.js';
import { FakeSource } from '../support/fake-source.js';
import { openTiny, tinyStore } from '../support/tiny-checkpoint.js';

const tasks = [
  taskSpec('slow', { windowS: 3, hopS: 3, contextWindows: 2, history: true, apart: true }),
  taskSpec('plain', { windowS: 2, hopS: 1 }),
];

/** The source, as a prepared recording has it. */
function recorded(source: FakeSource): PreparedRecording {
  const { channels, positions } = source;
  const floats = channels * 200;
  return {
    channels,
    positions,
    patches: (ends: readonly number[], out: Float32Array, mask: Float32Array) => {
      for (const [i, end] of ends.entries())
        source.patches(
          end,
          out.subarray(i * floats, (i + 1) * floats),
          mask.subarray(i * channels, (i + 1) * channels),
        );
    },
  } as unknown as PreparedRecording;
}

test('a recording judged is the stream served, also where seconds are missing', async () => {
  const { folder } = await tinyStore(['1'], () => tasks);
  const source = new FakeSource('s', 3);
  source.gaps.push([5000, 5700], [40_000, 42_000]);
  const engine = await openTiny(join(folder, 'tiny@1'));
  const answers: WindowAnswer[] = [];
  const serving = new Serving(engine, { onAnswer: (a) => answers.push(a), pace: 'offline' });
  serving.attach(source);
  const schedule = new Schedule(tasks);
  // Longer than a history remembers: 120 windows of 3 s.
  for (let end = 50; end <= 400 * 200; end += 50) {
    if (schedule.needs(end)) serving.tick('s', end);
    for (const { task, k } of schedule.windowsAt(end))
      serving.window({ stream: 's', task, seq: k, endSample: end, stampS: 0, arrivalS: 0 });
    await serving.idle();
  }
  await engine.close();

  const { arch, weights } = await loadCheckpoint(join(folder, 'tiny@1'));
  const predictor = await Predictor.open(arch, weights);
  for (const [task, { name }] of tasks.entries()) {
    const live = answers.filter(({ request, logits }) => request.task === task && logits);
    const windows = live.map(
      ({ request }) => ({ endSample: request.endSample, task }) as unknown as TaskWindow,
    );
    const judged = await predictor.predict(recorded(source), task, windows);
    expect(judged).toHaveLength(live.length);
    expect(live.length).toBeGreaterThan(name === 'slow' ? 125 : 380);
    for (const [i, { logits }] of judged.entries())
      for (const [c, value] of logits.entries()) {
        const served = live[i]?.logits?.[task * 2 + c] ?? Number.NaN;
        expect(Math.abs(value - served)).toBeLessThan(2e-6);
      }
  }
  await predictor.close();
});
