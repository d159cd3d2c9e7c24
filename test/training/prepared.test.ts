/** What training cuts is what the daemon sees: the same bits, by way of the disk. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { DriverEvent } from '../../src/core/stream.js';
import { openRecording } from '../../src/formats/recording.js';
import { SignalPath } from '../../src/signal/path.js';
import { prepareRecording } from '../../src/training/prepare.js';
import { PreparedRecording } from '../../src/training/prepared.js';
import { findRecordings, loadRecipe, type PlacedRecording } from '../../src/training/recipe.js';
import { scratch } from '../formats/fixture.js';
import { type MadeEdf, writeEdf, writeText } from './made-edf.js';

async function made(options: Partial<MadeEdf>, set = '{ layout: bids, path: a }') {
  const root = scratch();
  const path = writeEdf(root, 'a/sub-1/eeg/sub-1_task-x_eeg.edf', { seconds: 47, ...options });
  writeText(root, 'r.yaml', `name: r\nsets: { a: ${set} }\n`);
  const [ref] = await findRecordings(loadRecipe(join(root, 'r.yaml'), root));
  return { root, path, ref };
}

/** Pushes the file through a live path in chunks of 7 frames and cuts every second as it ends. */
async function live(
  path: string,
): Promise<Map<number, { patches: Float32Array; mask: Float32Array }>> {
  const recording = await openRecording(path);
  const info = {
    id: 'live',
    name: 'live',
    driver: 'test',
    rateHz: recording.rateHz,
    channels: recording.channels,
  };
  const signal = new SignalPath(info, { ringSeconds: 5 });
  const out = new Map<number, { patches: Float32Array; mask: Float32Array }>();
  let seen = 0;
  for (let index = 0; index < recording.frames; index += 7) {
    const frames = Math.min(7, recording.frames - index);
    const data = recording.read(index, frames);
    const event: DriverEvent = {
      kind: 'chunk',
      chunk: { index, frames, data, arrivalS: 100 + index },
    };
    signal.push(event);
    for (; seen + 50 <= signal.ring.nextIndex; seen += 50) {
      if (seen + 50 < 200) continue;
      const patches = new Float32Array(signal.channels.length * 200);
      const mask = new Float32Array(signal.channels.length);
      signal.ring.patches(seen + 50, patches, mask);
      out.set(seen + 50, { patches, mask });
    }
  }
  recording.close();
  return out;
}

describe('prepared recordings', () => {
  test.each([100, 173, 250])('patches equal the live ones to the bit at %i Hz', async (rateHz) => {
    // The second channel is flat for a while: its seconds must be masked alike.
    const gain = (channel: number, second: number) =>
      channel === 1 && second > 20 && second < 26 ? 0 : 1;
    const { root, path, ref } = await made({ rateHz, gain });
    const { key } = await prepareRecording(ref, { folder: join(root, 'store') });
    const prepared = new PreparedRecording(join(root, 'store'), key);
    const expected = await live(path);
    const ends = [...expected.keys()].filter((end) => end <= prepared.samples);
    expect(ends.length).toBeGreaterThan(170);
    const patches = new Float32Array(ends.length * 2 * 200);
    const mask = new Float32Array(ends.length * 2);
    prepared.patches(ends, patches, mask);
    let masked = 0;
    for (const [i, end] of ends.entries()) {
      const own = expected.get(end);
      expect(mask.slice(i * 2, i * 2 + 2), `mask at ${end}`).toEqual(own?.mask);
      expect(patches.slice(i * 400, i * 400 + 400), `patch at ${end}`).toEqual(own?.patches);
      masked += own?.mask.filter((value) => value === 0).length ?? 0;
    }
    expect(masked).toBeGreaterThan(10);
    expect(masked).toBeLessThan(ends.length);
    const one = new Float32Array(200);
    prepared.patches([ends[50]], one, new Float32Array(1), [1]);
    expect(one).toEqual(patches.slice(50 * 400 + 200, 50 * 400 + 400));
  });

  test('made once; again when the file or the gain changes', async () => {
    const { root, ref } = await made({ seconds: 12 });
    const folder = join(root, 'store');
    const first = await prepareRecording(ref, { folder });
    const second = await prepareRecording(ref, { folder });
    expect([first.made, second.made, second.key === first.key]).toEqual([true, false, true]);
    const louder = await prepareRecording({ ...ref, gain: 2 }, { folder });
    expect(louder.made).toBe(true);
    expect(louder.key).not.toBe(first.key);
  });

  test('gain hardly matters to the patches, much to the signal', async () => {
    const { root, ref } = await made({ seconds: 20 });
    const folder = join(root, 'store');
    const cut = async (one: PlacedRecording) => {
      const { key } = await prepareRecording(one, { folder });
      const prepared = new PreparedRecording(folder, key);
      const out = new Float32Array(400);
      prepared.patches([3000], out, new Float32Array(2));
      return { out, uv: prepared.signal(2800, 3000)[7] };
    };
    const [plain, loud] = [await cut(ref), await cut({ ...ref, gain: 4 })];
    expect(loud.uv / plain.uv).toBeCloseTo(4, 3);
    for (let i = 0; i < 400; i++) expect(loud.out[i]).toBeCloseTo(plain.out[i], 3);
  });

  test('missing electrodes and labels beyond the end are refused, and nothing is kept', async () => {
    const { root, ref } = await made({ seconds: 8 });
    const folder = join(root, 'store');
    await expect(prepareRecording(ref, { folder, channels: ['C3', 'Oz'] })).rejects.toThrow(
      /channels OZ are missing; it has C3, C4/,
    );
    const late = { ...ref, spans: [{ startS: 4, endS: 30, label: 'go' }] };
    await expect(prepareRecording(late, { folder })).rejects.toThrow(
      /label go lasts until 30\.0 s, but the recording ends at 8\.0 s/,
    );
    expect(readdirSync(folder).filter((name) => name.endsWith('.json'))).toEqual([]);
    const { key } = await prepareRecording(ref, { folder, channels: ['C4'] });
    expect(new PreparedRecording(folder, key).header.channels).toEqual(['C4']);
  });

  test('a reader that asks beyond the recording gets silence, masked', async () => {
    const { root, ref } = await made({ seconds: 8 });
    const { key } = await prepareRecording(ref, { folder: join(root, 'store') });
    const prepared = new PreparedRecording(join(root, 'store'), key);
    const mask = new Float32Array(2);
    prepared.patches([prepared.samples + 1000], new Float32Array(400), mask);
    expect([...mask]).toEqual([0, 0]);
    expect(prepared.signal(-10, 0).every((value) => value === 0)).toBe(true);
  });
});
