import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { SyntheticDriver } from '../../drivers/synthetic/driver.js';
import { openRecording } from '../../src/formats/recording.js';
import { recordStream } from '../../src/sinks/record-stream.js';
import { scratch } from '../formats/fixture.js';
import { JumpingClock } from '../support/jumping-clock.js';
import { VirtualClock } from '../support/virtual-clock.js';

const driver = (changes: object = {}) =>
  new SyntheticDriver({ clock: new JumpingClock(), speed: Infinity, durationS: 20, ...changes });

describe('recordStream', () => {
  test.each(['xdf', 'edf', 'bdf'])('%s: all of a stream with losses', async (extension) => {
    const path = join(scratch(), `a.${extension}`);
    const source = driver({ gaps: [{ atS: 7.3, durationS: 2.5 }] });
    const clock = new VirtualClock();
    const { info, totals } = await recordStream(source, path, new AbortController(), { clock });
    expect([info.rateHz, totals.frames, totals.droppedFrames]).toEqual([250, 4375, 0]);
    const recording = await openRecording(path);
    const values = recording.read(0, recording.frames);
    let real = 0;
    for (let i = 0; i < recording.frames; i++) if (!Number.isNaN(values[i * 8])) real++;
    expect(real).toBe(4375);
    expect(recording.annotations.some(({ text }) => text === 'eyes closed')).toBe(true);
  });

  test('stops after the seconds asked for, to the sample', async () => {
    const path = join(scratch(), 'a.xdf');
    const stop = new AbortController();
    const { totals } = await recordStream(driver(), path, stop, {
      seconds: 3.5,
      clock: new VirtualClock(),
    });
    expect([totals.frames, stop.signal.aborted]).toEqual([875, true]);
    expect((await openRecording(path)).frames).toBe(875);
  });

  test('what fails is told: the driver, or the file', async () => {
    const folder = scratch();
    const run = (source: SyntheticDriver, name: string) =>
      recordStream(source, join(folder, name), new AbortController());
    await expect(run(driver({ rateHz: 0 }), 'a.xdf')).rejects.toMatchObject({ code: 'EEG_USAGE' });
    expect(existsSync(join(folder, 'a.xdf'))).toBe(false);
    await expect(run(driver(), 'none/a.xdf')).rejects.toMatchObject({ code: 'EEG_STORE_FAILED' });
    await expect(run(driver(), 'a.txt')).rejects.toMatchObject({ code: 'EEG_USAGE' });
  });
});
