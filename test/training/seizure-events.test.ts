/** SzCORE's counting, case by case from its definition. */
import { describe, expect, test } from 'vitest';
import { countEvents, eventFigures } from '../../src/training/seizure-events.js';

const span = (startS: number, endS: number): { startS: number; endS: number } => ({ startS, endS });
const count = (truth: [number, number][], alarms: [number, number][]) =>
  countEvents(
    truth.map(([a, b]) => span(a, b)),
    alarms.map(([a, b]) => span(a, b)),
    7200,
  );

describe('SzCORE event counting', () => {
  test('any overlap finds the event', () => {
    expect(count([[100, 160]], [[159, 300]])).toMatchObject({ found: 1, falseAlarms: 0 });
  });

  test('30 s before and 60 s after count, a second more does not', () => {
    expect(count([[1000, 1060]], [[960, 971]])).toMatchObject({ found: 1, falseAlarms: 0 });
    expect(count([[1000, 1060]], [[960, 970]])).toMatchObject({ found: 0, falseAlarms: 1 });
    expect(count([[1000, 1060]], [[1119, 1130]])).toMatchObject({ found: 1, falseAlarms: 0 });
    expect(count([[1000, 1060]], [[1120, 1130]])).toMatchObject({ found: 0, falseAlarms: 1 });
  });

  test('events under 90 s apart are one, at 90 s they are two', () => {
    const near: [number, number][] = [
      [100, 110],
      [199, 210],
    ];
    const apart: [number, number][] = [
      [100, 110],
      [200, 210],
    ];
    expect(count(near, []).reference).toBe(1);
    expect(count(apart, []).reference).toBe(2);
    expect(count([], near).falseAlarms).toBe(1);
    expect(count([], apart).falseAlarms).toBe(2);
  });

  test('an event over 5 minutes is cut into pieces', () => {
    expect(count([[0, 601]], []).reference).toBe(3);
    expect(count([], [[0, 600]]).falseAlarms).toBe(2);
  });

  test('figures of pooled recordings', () => {
    const figures = eventFigures([
      count([[100, 160]], [[120, 130]]),
      count([[100, 160]], [[3000, 3010]]),
    ]);
    expect(figures).toMatchObject({ sensitivity: 0.5, precision: 0.5, f1: 0.5 });
    expect(figures.falseAlarmsPer24h).toBe(6);
  });
});
