/** Which windows are drawn and judged, and that small changes leave what they should. */
import { describe, expect, test } from 'vitest';
import { Rng } from '../../src/core/rng.js';
import { augment, type Cut } from '../../src/training/augment.js';
import { judgedWindows } from '../../src/training/judge.js';
import type { PreparedRecording } from '../../src/training/prepared.js';
import { augmentationSchema, type RecipeTask } from '../../src/training/recipe-schema.js';
import {
  evaluationWindows,
  type Material,
  secondEnds,
  WindowPool,
} from '../../src/training/windows.js';

const seed = 8;

function material(seconds: number, spans: [number, number, string][], subject = 'p'): Material {
  return {
    ref: {
      set: 's',
      id: subject,
      subject,
      run: '',
      side: 'train',
      gain: 1,
      spans: spans.map(([startS, endS, label]) => ({ startS, endS, label })),
      open: () => Promise.reject(new Error('not opened here')),
    },
    prepared: { samples: seconds * 200 } as PreparedRecording,
  };
}

function task(more: Partial<RecipeTask['sources'][0]> = {}): RecipeTask {
  const source = {
    set: 's',
    labels: { a: 'x', b: 'y' },
    align: 'stream' as const,
    share: 0.6,
    weight: 1,
    channelsMax: 8,
    judged: true,
    ...more,
  };
  return {
    name: 't',
    classes: ['x', 'y'],
    windowS: 4,
    hopS: 2,
    contextWindows: 0,
    minValid: 0.5,
    smoothing: 1,
    balance: 0.5,
    sources: [source],
  };
}

test('a set that is learned from twice is judged once', () => {
  const one = material(60, [[0, 60, 'a']]);
  const [source] = task().sources as [RecipeTask['sources'][0]];
  const spec = { ...task(), sources: [source, { ...source, channelsMax: 2, judged: false }] };
  const found = judgedWindows(0, spec, [one], { sets: ['s'] });
  expect(found.map(({ windows }) => windows.length)).toEqual([15]);
});

const judged = (one: Material, spec: RecipeTask, step?: 'hop' | 'window') =>
  evaluationWindows(one, 0, spec, spec.sources[0], step).map(({ endSample, label }) => [
    endSample / 200,
    label,
  ]);

describe('windows to judge', () => {
  const one = material(21, [
    [0, 9, 'a'],
    [9, 12, 'other'],
    [12, 21, 'b'],
  ]);

  test('lie on the hops of the stream, under the label that covers enough of them', () => {
    expect(judged(one, task())).toEqual([
      [4, 0],
      [8, 0],
      [16, 1],
      [20, 1],
    ]);
    expect(judged(one, task(), 'hop')).toEqual([
      [4, 0],
      [6, 0],
      [8, 0],
      [10, 0],
      [16, 1],
      [18, 1],
      [20, 1],
    ]);
  });

  test('of trials begin with the trial, on the grid', () => {
    const trials = material(30, [
      [3.1, 7.3, 'a'],
      [10, 12, 'b'],
      [27, 31, 'b'],
    ]);
    const spec = task({ align: 'span', share: 0.9 });
    expect(judged(trials, spec)).toEqual([[7.25, 0]]);
  });

  test('of a whole recording need no label; untilS cuts both classes alike', () => {
    expect(judged(material(9, []), task({ labels: { '*': 'y' } }))).toEqual([
      [4, 1],
      [8, 1],
    ]);
    expect(judged(one, task({ untilS: 10 }))).toEqual([
      [4, 0],
      [8, 0],
    ]);
    expect(secondEnds(1000, 3)).toEqual([600, 800, 1000]);
  });
});

describe(`windows to learn from, seed ${seed}`, () => {
  test('hold enough of their label, on the grid, inside the recording, from all people', () => {
    const people = ['p', 'q', 'r'].map((name, i) =>
      material(
        40 + i,
        [
          [2, 20, 'a'],
          [25, 40, 'b'],
        ],
        name,
      ),
    );
    const spec = task();
    const pool = new WindowPool(0, spec, people);
    const rng = new Rng(seed);
    const seen = new Map<string, number>();
    for (let i = 0; i < 600; i++) {
      const window = pool.draw(rng);
      const { ref, prepared } = window.material;
      const [start, end] = [window.endSample / 200 - 4, window.endSample / 200];
      const wanted = window.label === 0 ? 'a' : 'b';
      const span = ref.spans.find(({ label }) => label === wanted);
      const inside = Math.min(end, span?.endS ?? 0) - Math.max(start, span?.startS ?? 0);
      expect(inside).toBeGreaterThanOrEqual(0.6 * 4 - 0.25);
      expect(window.endSample % 50).toBe(0);
      expect(start).toBeGreaterThanOrEqual(0);
      expect(window.endSample).toBeLessThanOrEqual(prepared.samples);
      const key = `${ref.subject}${window.label}`;
      seen.set(key, (seen.get(key) ?? 0) + 1);
    }
    expect(seen.size).toBe(6);
    for (const count of seen.values()) expect(count).toBeGreaterThan(50);
  });

  test('a rare class comes more often than its share, a common one still more often', () => {
    const one = material(1000, [
      [0, 900, 'a'],
      [950, 960, 'b'],
    ]);
    const pool = new WindowPool(0, task(), [one]);
    const rng = new Rng(seed);
    let rare = 0;
    for (let i = 0; i < 2000; i++) rare += pool.draw(rng).label;
    expect(rare / 2000).toBeGreaterThan(0.05);
    expect(rare / 2000).toBeLessThan(0.3);
  });
});

describe(`augmentation, seed ${seed}`, () => {
  const none = { channelDropout: 0, timeShiftS: 0, amplitudeSd: 0, rereference: 0, noiseSd: 0 };
  const cut = (channels: number): Cut => {
    const rng = new Rng(seed);
    return {
      seconds: 2,
      channels,
      patches: Float32Array.from({ length: 2 * channels * 200 }, () => rng.normal()),
      positions: new Float32Array(channels * 6).map((_, i) => (i % 6 < 3 ? i + 1 : 0)),
      mask: new Float32Array(2 * channels).fill(1),
    };
  };

  test('none changes nothing; dropout leaves one channel', () => {
    const one = cut(4);
    augment(one, augmentationSchema.parse(none), new Rng(seed));
    expect(one.patches).toEqual(cut(4).patches);
    for (let i = 0; i < 20; i++) {
      const bare = cut(4);
      augment(bare, augmentationSchema.parse({ ...none, channelDropout: 1 }), new Rng(i));
      expect(bare.mask.reduce((a, b) => a + b, 0)).toBe(2);
    }
  });

  test('another reference is told by its position and silences itself', () => {
    let against = 0;
    for (let i = 0; i < 20; i++) {
      const one = cut(3);
      augment(one, augmentationSchema.parse({ ...none, rereference: 1 }), new Rng(i));
      const silent = [0, 1, 2].filter((c) => one.mask[c] === 0);
      expect(silent.length).toBe(1);
      const [reference] = silent;
      const other = (reference + 1) % 3;
      const own = one.positions.slice(reference * 6, reference * 6 + 3);
      expect(one.positions.slice(other * 6 + 3, other * 6 + 6)).toEqual(own);
      against += reference;
    }
    expect(against).toBeGreaterThan(5);
  });

  test('a mirrored head keeps its signals; only some are mirrored', () => {
    const told = Array.from({ length: 40 }, (_, i) => {
      const one = cut(2);
      const mirrored = augment(one, augmentationSchema.parse({ ...none, mirror: 0.5 }), new Rng(i));
      const side = mirrored ? -1 : 1;
      expect(one.patches).toEqual(cut(2).patches);
      expect([...one.positions.subarray(0, 6)]).toEqual([side, 2, 3, 0, 0, 0]);
      return mirrored;
    });
    expect(new Set(told).size).toBe(2);
  });

  test('a bipolar montage keeps its references', () => {
    const one = cut(3);
    one.positions.fill(0.5);
    augment(one, augmentationSchema.parse({ ...none, rereference: 1 }), new Rng(seed));
    expect(one.patches).toEqual(cut(3).patches);
  });
});
