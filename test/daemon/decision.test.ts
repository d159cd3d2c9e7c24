import { describe, expect, test } from 'vitest';
import { Decision, softmax } from '../../src/daemon/decision.js';
import { Sequencer } from '../../src/daemon/sequencer.js';
import { taskSpec } from '../support/fake-engine.js';

/** Logits of two classes whose softmax gives the second the probability `p`. */
const logits = (p: number) => Float32Array.of(0, Math.log(p / (1 - p)));

describe('softmax', () => {
  test('divides by the temperature', () => {
    const cool = softmax(Float32Array.of(1, 2, 3), 1);
    expect([...cool].map((p) => p.toFixed(4))).toEqual(['0.0900', '0.2447', '0.6652']);
    const warm = softmax(Float32Array.of(2, 4, 6), 2);
    for (const [i, p] of warm.entries()) expect(p).toBeCloseTo(cool[i] as number, 9);
  });

  test('survives huge logits', () => {
    expect([...softmax(Float32Array.of(1000, 0, -1000), 1)]).toEqual([1, 0, 0]);
  });
});

describe('a decision', () => {
  test('smooths over windows and labels by what was smoothed', () => {
    const decision = new Decision(taskSpec('a', { smoothing: 0.25 }));
    expect(decision.decide(logits(0.2), 1).label).toBe('no');
    const second = decision.decide(logits(0.8), 2);
    expect(second.probabilities[1]).toBeCloseTo(0.8, 6);
    expect(second.smoothed[1]).toBeCloseTo(0.25 * 0.8 + 0.75 * 0.2, 6);
    expect(second.label).toBe('no');
  });

  const event = { label: 'yes', on: 0.8, off: 0.5, hold: 3 };

  test('opens an event when held and closes it below the lower threshold', () => {
    const decision = new Decision(taskSpec('seizure', { event }));
    const row = [0.9, 0.9, 0.1, 0.9, 0.85, 0.95, 0.6, 0.99, 0.4, 0.9];
    const events = row.map((p, i) => decision.decide(logits(p), i).event);
    const [begin, end] = events.filter((e) => e !== undefined);
    expect(begin).toMatchObject({ id: 0, phase: 'begin', label: 'yes', stampS: 3 });
    expect(events[5]).toBe(begin);
    expect(end).toMatchObject({ id: 0, phase: 'end', stampS: 8 });
    expect(end?.peak).toBeCloseTo(0.99, 6);
    expect(events.filter((e) => e !== undefined)).toHaveLength(2);
  });

  test('begins the row anew after a missing window, but keeps an open event', () => {
    const decision = new Decision(taskSpec('seizure', { event }));
    const feed = (p: number, at: number) => decision.decide(logits(p), at).event;
    feed(0.9, 0);
    feed(0.9, 1);
    decision.miss();
    expect(feed(0.9, 3)).toBeUndefined();
    expect(feed(0.9, 4)).toBeUndefined();
    expect(feed(0.9, 5)?.phase).toBe('begin');
    decision.miss();
    expect(decision.finish(9)).toMatchObject({ phase: 'end', stampS: 9, id: 0 });
    expect(decision.finish(10)).toBeUndefined();
  });
});

describe('the sequencer', () => {
  test('lets answers out in the order of their windows, each lane for itself', () => {
    const sequencer = new Sequencer();
    const out: string[] = [];
    const give = (stream: string, seq: number) =>
      sequencer.answer({ stream, taskName: 't', seq }, () => out.push(`${stream}${seq}`));
    expect([0, 1, 2].map(() => sequencer.next('a', 't'))).toEqual([0, 1, 2]);
    sequencer.next('b', 't');
    give('a', 2);
    give('b', 0);
    give('a', 1);
    expect(out).toEqual(['b0']);
    give('a', 0);
    expect(out).toEqual(['b0', 'a0', 'a1', 'a2']);
  });
});
