/**
 * MNE-Python is the witness: what it reads from the same files (expected_by_mne.py keeps it)
 * equals what we read.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openRecording } from '../../src/formats/recording.js';
import { dataFolder, fixtures } from './fixture.js';

interface Expected {
  rateHz: number;
  frames: number;
  channels: string[];
  startWallMs: number | null;
  at: number[];
  /** `[at][channel]`, volts. */
  values: number[][];
  annotations: { onsetS: number; durationS: number; text: string }[];
}

const read = (name: string): Record<string, Expected> =>
  JSON.parse(readFileSync(join(fixtures, name), 'utf8'));

async function compare(path: string, expected: Expected): Promise<void> {
  const recording = await openRecording(path);
  expect(recording.rateHz).toBeCloseTo(expected.rateHz, 9);
  expect(recording.frames).toBe(expected.frames);
  if (expected.startWallMs !== null) {
    expect(recording.startWallMs).toBeCloseTo(expected.startWallMs, 0);
  }
  // MNE tells labels that stand twice apart by a running number.
  const names = expected.channels.map((name) => name.replace(/(-Ref)-\d$/, '$1'));
  const width = recording.channels.length;
  const leftOut = recording.notes.filter((note) => note.includes('left out'));
  expect(recording.channels.length + leftOut.length).toBe(names.length);
  let compared = 0;
  for (const [row, frame] of expected.at.entries()) {
    const values = recording.read(frame, 1);
    for (const [c, channel] of recording.channels.entries()) {
      if (channel.kind === 'trigger') continue;
      const column = width === names.length ? c : names.indexOf(channel.label);
      expect(names[column]).toBe(channel.label);
      const theirs = expected.values[row]?.[column] ?? NaN;
      const scale = /^[uµ]/.test(channel.unit) ? 1e6 : 1;
      const tolerance = Math.max(1e-6, Math.abs(theirs * scale) * 3e-7);
      expect(Math.abs((values[c] ?? NaN) - theirs * scale)).toBeLessThanOrEqual(tolerance);
      compared++;
    }
  }
  expect(compared).toBeGreaterThan(0);
  // MNE leaves out what lies after the last sample.
  const endS = expected.frames / expected.rateHz;
  const annotations = recording.annotations.filter(({ onsetS }) => onsetS < endS);
  expect(annotations.map(({ text }) => text)).toEqual(expected.annotations.map(({ text }) => text));
  for (const [i, { onsetS, durationS }] of expected.annotations.entries()) {
    expect(annotations[i]?.onsetS).toBeCloseTo(onsetS, 6);
    const own = annotations[i]?.durationS ?? NaN;
    // MNE gives GDF events of no length one sample.
    const theirs = recording.format === 'gdf' ? Math.max(own, 1 / expected.rateHz) : own;
    expect(theirs).toBeCloseTo(durationS, 6);
  }
  recording.close();
}

describe('equal to MNE', () => {
  test.each(Object.entries(read('expected-by-mne.json')))('%s', (name, expected) =>
    compare(join(fixtures, name), expected),
  );

  const folder = dataFolder === undefined ? '' : join(dataFolder, 'fixtures/mne');
  test.skipIf(!existsSync(folder)).each(Object.entries(read('expected-by-mne-more.json')))(
    'data folder: %s',
    (name, expected) => compare(join(folder, name), expected),
  );
});
