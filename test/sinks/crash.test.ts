/** Killed at any moment, a recording can be read up to the last second, by us and by MNE. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Rng } from '../../src/core/rng.js';
import { forkProcess } from '../../src/core/spawn.js';
import { openRecording } from '../../src/formats/recording.js';
import { Recorder } from '../../src/sinks/recorder.js';
import { scratch } from '../formats/fixture.js';
import { VirtualClock } from '../support/virtual-clock.js';
import { hasMne, readWithMne } from './mne.js';
import { chunks, streamInfo } from './streams.js';

const seed = Math.floor(Math.random() * 2 ** 31);
const rng = new Rng(seed);

/** Runs until a random number of reports has come, kills, and returns the last report. */
async function killedRecording(path: string): Promise<number> {
  const url = new URL('./record-until-killed.js', import.meta.url);
  const child: ChildProcess = forkProcess(url, [path, String(rng.below(1000))]);
  const killAfter = 3 + rng.below(60);
  let reports = 0;
  let frames = 0;
  child.on('message', (count) => {
    frames = Number(count);
    if (++reports === killAfter) child.kill('SIGKILL');
  });
  const [, signal] = await once(child, 'exit');
  expect(signal).toBe('SIGKILL');
  return frames;
}

describe(`a recording that is killed (seed ${seed})`, () => {
  test.each(['xdf', 'edf'])(
    '%s: is there up to the last second',
    async (extension) => {
      for (let round = 0; round < 3; round++) {
        const path = join(scratch(), `killed.${extension}`);
        const reported = await killedRecording(path);
        const recording = await openRecording(path);
        const missing = recording.gaps.reduce((sum, gap) => sum + gap.missing, 0);
        expect(recording.frames + missing).toBeGreaterThan(reported - 251);
        expect(recording.read(0, recording.frames).some((value) => value !== 0)).toBe(true);
        recording.close();
        if (extension === 'edf' && hasMne && round === 0) {
          expect(readWithMne(path).frames).toBe(recording.frames);
        }
      }
    },
    180_000,
  );

  test.each(['xdf', 'edf', 'bdf'])('%s: readable cut at any byte', async (extension) => {
    const folder = scratch();
    const path = join(folder, `a.${extension}`);
    const amp = streamInfo();
    const recorder = await Recorder.open(path, [amp], { clock: new VirtualClock() });
    for (const chunk of chunks(amp, 0, 1500, seed)) recorder.chunk('amp', chunk);
    await recorder.flush();
    const whole = readFileSync(path);
    await recorder.close();
    const first = extension === 'xdf' ? 3000 : 256 * 5 + 250 * 3 * 3 + 480;
    for (let round = 0; round < 40; round++) {
      const length = first + rng.below(whole.length - first);
      const cut = join(folder, `cut.${extension}`);
      writeFileSync(cut, whole.subarray(0, length));
      const recording = await openRecording(cut);
      const share = (length - first) / (whole.length - first);
      expect(recording.frames).toBeGreaterThanOrEqual(Math.floor(share * 1500) - 270);
      recording.close();
    }
  });
});
