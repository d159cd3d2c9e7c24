/** Alarms counted in evaluation are those that the daemon raises. */
import { describe, expect, test } from 'vitest';
import { Rng } from '../../src/core/rng.js';
import type { TaskSpec } from '../../src/core/tasks.js';
import { Decision } from '../../src/daemon/decision.js';
import { detectEvents } from '../../src/training/detection.js';

const task: TaskSpec = {
  name: 'seizure',
  classes: ['background', 'seizure'],
  windowS: 10,
  hopS: 1,
  contextWindows: 0,
  minValid: 0.5,
  temperature: 1.3,
  smoothing: 0.4,
  event: { label: 'seizure', on: 0.7, off: 0.4, hold: 3 },
};

describe('alarms', () => {
  test.each([1, 2, 3])('equal the daemon, seed %i', (seed) => {
    const rng = new Rng(seed);
    let drift = 0;
    const windows = Array.from({ length: 2000 }, (_, i) => {
      drift = 0.95 * drift + rng.normal();
      return { logits: Float32Array.of(0, drift), endS: 10 + i };
    });
    const decision = new Decision(task);
    const expected: { startS: number; endS: number }[] = [];
    let startS = Number.NaN;
    for (const { logits, endS } of windows) {
      const { event } = decision.decide(logits, endS);
      if (event?.phase === 'begin') startS = event.stampS;
      if (event?.phase === 'end') expected.push({ startS, endS: event.stampS });
    }
    const last = decision.finish(2010);
    if (last !== undefined) expected.push({ startS, endS: 2010 });
    expect(expected.length).toBeGreaterThan(20);
    expect(detectEvents(task, windows, 2010)).toEqual(expected);
  });

  test('a task without events raises none', () => {
    const { event: _event, ...silent } = task;
    expect(detectEvents(silent, [{ logits: Float32Array.of(0, 9), endS: 10 }], 20)).toEqual([]);
  });
});
