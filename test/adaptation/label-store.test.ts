import {
  copyFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { LabelStore, type SessionHead } from '../../src/adaptation/label-store.js';
import { encodeTrial, type TrialSignal } from '../../src/adaptation/trial-signal.js';
import { Rng } from '../../src/core/rng.js';

const top = mkdtempSync(join(tmpdir(), 'eegd-labels-'));
afterAll(() => rmSync(top, { recursive: true, force: true }));
let folders = 0;
const folder = () => join(top, String(folders++));

const head: SessionHead = {
  session: 's1',
  stream: 'cyton-1',
  task: 'fists',
  classes: ['left', 'right', 'rest'],
  windowS: 1,
  hopS: 0.25,
  channels: ['C3', 'C4'],
  positions: new Array<number>(12).fill(0.5),
  raw: {
    rateHz: 250,
    channels: ['C3', 'C4', 'x'].map((label) => ({ label, kind: 'eeg', unit: 'uV' })),
  },
  checkpoint: 'base@1',
  wallMs: 0,
};
const rng = new Rng(5);

function signal(seconds = 1): TrialSignal {
  const samples = 200 * seconds;
  return {
    data: Float32Array.from({ length: 2 * samples }, () => 30 * rng.normal()),
    valid: Uint8Array.from({ length: 2 * samples }, () => rng.below(2)),
    scale: Float32Array.from({ length: 2 * 4 * seconds }, () => 20 * rng.uniform()),
    references: Array.from({ length: seconds }, (_, i) => ({
      from: 200 * i - 100,
      covariance: Float32Array.from({ length: 4 }, () => rng.normal()),
    })),
    raw: {
      frames: 260 * seconds,
      lead: 10 * seconds,
      data: Float32Array.from({ length: 3 * 260 * seconds }, () => rng.normal()),
    },
  };
}

const at = (label: string, i: number) => ({
  label,
  startS: 10 + i,
  startSample: 200 * i,
  wallMs: i,
});

async function filled(path: string, trials: number): Promise<TrialSignal[]> {
  const store = await LabelStore.open(path, head);
  const signals: TrialSignal[] = [];
  for (let i = 0; i < trials; i++) {
    signals.push(signal(1 + (i % 2)));
    await store.add(at(head.classes[i % 3] as string, i), signals[i] as TrialSignal);
  }
  await store.close();
  return signals;
}

describe('labels', () => {
  test('come back with their samples, undone and renamed ones as they stand', async () => {
    const path = folder();
    const signals = await filled(path, 5);
    const store = await LabelStore.open(path);
    expect(store.head).toEqual(head);
    await store.undo(1);
    await store.relabel(2, 'left');
    await store.undo();
    expect(store.counts()).toEqual({ left: 3, right: 0, rest: 0 });
    await store.close();
    const again = await LabelStore.open(path);
    expect(again.trials.map(({ id, label }) => [id, label])).toEqual([
      [0, 'left'],
      [2, 'left'],
      [3, 'left'],
    ]);
    for (const trial of again.trials) expect(await again.signal(trial)).toEqual(signals[trial.id]);
    // Numbers are never given twice.
    expect((await again.add(at('right', 9), signal())).id).toBe(5);
    await again.close();
  });

  test('of no class of the task, and ones that are not there, are refused', async () => {
    const store = await LabelStore.open(folder(), head);
    expect(() => store.add(at('feet', 0), signal())).toThrow(/expected one of left, right, rest/);
    await expect(store.undo()).rejects.toThrow(/no label to take back/);
    await expect(store.relabel(3, 'left')).rejects.toThrow(/no label 3/);
    await store.close();
  });

  test('are taken one after the other however they are sent', async () => {
    const path = folder();
    const store = await LabelStore.open(path, head);
    await Promise.all(Array.from({ length: 20 }, (_, i) => store.add(at('left', i), signal())));
    await store.undo();
    await store.close();
    const again = await LabelStore.open(path);
    expect(again.trials.map(({ id }) => id)).toEqual(Array.from({ length: 19 }, (_, i) => i));
    for (const trial of again.trials) await again.signal(trial);
    await again.close();
  });

  test('survive a crash wherever it cuts: all that were acknowledged, and the store goes on', async () => {
    const whole = folder();
    const signals = await filled(whole, 4);
    const text = readFileSync(join(whole, 'labels.jsonl'));
    const bytes = readFileSync(join(whole, 'signal.bin'));
    const ends = [...text.entries()].flatMap(([i, byte]) => (byte === 10 ? [i + 1] : []));
    for (let cut = ends[0] as number; cut <= text.length; cut += 7) {
      const path = folder();
      await (await LabelStore.open(path, head)).close();
      writeFileSync(join(path, 'labels.jsonl'), text.subarray(0, cut));
      // Samples are written first: with the record of trial k on the disk, all of its samples are.
      const acknowledged = ends.filter((end) => end <= cut).length - 1;
      copyFileSync(join(whole, 'signal.bin'), join(path, 'signal.bin'));
      const until = signals.slice(0, acknowledged).reduce((sum, s) => sum + sizeOf(s), 0);
      truncateSync(join(path, 'signal.bin'), Math.min(bytes.length, until + rng.below(2000)));
      const store = await LabelStore.open(path);
      expect(store.damaged).toBe(0);
      expect(store.trials.length).toBe(acknowledged);
      for (const trial of store.trials)
        expect(await store.signal(trial)).toEqual(signals[trial.id]);
      const added = signal();
      const trial = await store.add(at('rest', 50), added);
      expect(await store.signal(trial)).toEqual(added);
      await store.close();
    }
  });

  test('that the disk damaged are noticed, and cost no other', async () => {
    const path = folder();
    const signals = await filled(path, 4);
    const text = readFileSync(join(path, 'labels.jsonl'));
    const lines = text.toString().split('\n');
    const second = text.indexOf(lines[2] as string);
    text[second + 40] = (text[second + 40] as number) ^ 1;
    writeFileSync(join(path, 'labels.jsonl'), text);
    const samples = readFileSync(join(path, 'signal.bin'));
    samples[10] = (samples[10] as number) ^ 1;
    writeFileSync(join(path, 'signal.bin'), samples);
    const store = await LabelStore.open(path);
    expect(store.damaged).toBe(1);
    expect(store.trials.map(({ id }) => id)).toEqual([0, 2, 3]);
    const [first, third] = store.trials;
    if (first === undefined || third === undefined) throw new Error('no trials');
    await expect(store.signal(first)).rejects.toThrow(/samples of label 0 .* damaged/);
    expect(await store.signal(third)).toEqual(signals[2]);
    await store.close();
  });
});

const sizeOf = (trial: TrialSignal): number => encodeTrial(trial).length;
