/** Sides of the split, and the refusal of leakage. */
import { describe, expect, test } from 'vitest';
import { isEegError } from '../../src/core/errors.js';
import type { RecordingRef } from '../../src/training/datasets/dataset.js';
import { assignSides, matches, refuseSharedFiles } from '../../src/training/split.js';

const ref = (subject: string, id: string, path = id): RecordingRef => ({
  set: 's',
  id,
  subject,
  run: id,
  spans: [],
  path,
  open: () => Promise.reject(new Error('not opened here')),
});

const sidesOf = (...args: Parameters<typeof assignSides>) =>
  assignSides(...args).map(({ id, side }) => `${id}:${side}`);

describe('split', () => {
  const people = [ref('a', 'a1'), ref('a', 'a2'), ref('b', 'b1'), ref('c', 'c1')];

  test('by subject, the rest trains; with train given, the rest is left out', () => {
    const rules = { by: 'subject' as const, validation: ['b'], test: [] };
    expect(sidesOf('s', people, rules)).toEqual([
      'a1:train',
      'a2:train',
      'b1:validation',
      'c1:train',
    ]);
    expect(sidesOf('s', people, { ...rules, train: ['c'] })).toEqual(['b1:validation', 'c1:train']);
  });

  test('a person named on two sides is refused', () => {
    const leak = () => assignSides('s', people, { by: 'subject', validation: ['b'], test: ['*'] });
    expect(leak).toThrow(/subject b is named for validation and test/);
    try {
      leak();
    } catch (error) {
      expect(isEegError(error, 'EEG_DATA_LEAKAGE')).toBe(true);
    }
  });

  test('recordings of one person on two sides are refused where there are more people', () => {
    const split = { by: 'recording' as const, validation: ['a2'], test: [] };
    expect(() => assignSides('s', people, split)).toThrow(
      /subject a are in train and in validation/,
    );
    expect(sidesOf('s', people.slice(0, 2), split)).toEqual(['a1:train', 'a2:validation']);
  });

  test('a pattern that names nobody is a mistake', () => {
    const split = { by: 'subject' as const, validation: ['d*'], test: [] };
    expect(() => assignSides('s', people, split)).toThrow(/names d\\*|names d\*/);
    expect(matches(['a*', 'x.y'], 'a7')).toBe(true);
    expect(matches(['x.y'], 'xzy')).toBe(false);
    expect(matches(['S07[1-9]'], 'S075') && !matches(['S07[1-9]'], 'S070')).toBe(true);
  });

  test('one file in two sets must be on one side', () => {
    const one = { ...ref('a', 'a1', '/d/a1.edf'), side: 'train' as const };
    const two = { ...one, set: 't', side: 'test' as const };
    expect(() => refuseSharedFiles([one, two])).toThrow(/a1\.edf is in train of set s and in test/);
    expect(() => refuseSharedFiles([one, { ...two, side: 'train' }])).not.toThrow();
  });
});
