import { describe, expect, test } from 'vitest';
import { BoundedQueue } from '../../src/windows/bounded-queue.js';
import { bucketByLength, packTasks, packTrunk } from '../../src/windows/pack.js';

/** Filled with its number of channels. */
const row = (channels: number) => ({
  channels,
  positions: new Float32Array(channels * 6).fill(channels),
  fill(patches: Float32Array, mask: Float32Array) {
    patches.fill(channels);
    mask.fill(1);
    return true;
  },
});

describe('packing', () => {
  test('pads channels with mask 0', () => {
    const { batch, packed } = packTrunk([row(3), row(1)]);
    expect(batch).toMatchObject({ rows: 2, channels: 3 });
    expect(packed.map(({ channels }) => channels)).toEqual([3, 1]);
    expect([...batch.mask]).toEqual([1, 1, 1, 1, 0, 0]);
    expect(batch.patches[3 * 200]).toBe(1);
    expect(batch.patches[4 * 200]).toBe(0);
  });

  test('leaves out a second without a usable channel', () => {
    const { batch, packed } = packTrunk([row(2), { ...row(2), fill: () => false }, row(1)]);
    expect(packed.map(({ channels }) => channels)).toEqual([2, 1]);
    expect(batch.rows).toBe(2);
    expect([...batch.mask]).toEqual([1, 1, 1, 0]);
    expect(batch.patches.length).toBe(2 * 2 * 200);
    expect(batch.patches[2 * 200]).toBe(1);
  });

  test('pads seconds and masks the missing ones', () => {
    const second = Float32Array.of(1, 2);
    const batch = packTasks(
      [
        { task: 1, seconds: [second, undefined, second], times: [-2, -1, 0] },
        { task: 0, seconds: [second], times: [0] },
      ],
      2,
    );
    expect([...batch.mask]).toEqual([1, 0, 1, 1, 0, 0]);
    expect([...batch.latents]).toEqual([1, 2, 0, 0, 1, 2, 1, 2, 0, 0, 0, 0]);
    expect([...batch.task]).toEqual([1, 0]);
  });

  test('buckets by length and size', () => {
    const buckets = bucketByLength([64, 60, 32, 32, 8, 8, 8], (n) => n, 128);
    expect(buckets).toEqual([
      [64, 60],
      [32, 32],
      [8, 8, 8],
    ]);
    expect(bucketByLength([8, 8, 8], (n) => n, 16)).toEqual([[8, 8], [8]]);
    expect(bucketByLength([500], (n) => n, 16)).toEqual([[500]]);
  });
});

describe('a bounded queue', () => {
  test('drops by its policy and counts', () => {
    const oldest = new BoundedQueue<number>('q', 2, 'drop-oldest');
    expect([1, 2, 3].map((n) => oldest.push(n))).toEqual([undefined, undefined, 1]);
    const newest = new BoundedQueue<number>('q', 2, 'drop-newest');
    expect([1, 2, 3].map((n) => newest.push(n))).toEqual([undefined, undefined, 3]);
    expect(newest.counters()).toMatchObject({ accepted: 2, dropped: 1, length: 2 });
    expect(oldest.clear()).toEqual([2, 3]);
  });

  test('keeps its order over many turns', () => {
    const queue = new BoundedQueue<number>('q', 100, 'drop-oldest');
    let next = 0;
    let expected = 0;
    for (let turn = 0; turn < 500; turn++) {
      for (let i = 0; i < 7; i++) queue.push(next++);
      for (let i = 0; i < 7; i++) expect(queue.shift()).toBe(expected++);
    }
    expect(queue.length).toBe(0);
  });
});
