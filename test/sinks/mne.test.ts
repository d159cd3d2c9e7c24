import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Recorder } from '../../src/sinks/recorder.js';
import { scratch } from '../formats/fixture.js';
import { VirtualClock } from '../support/virtual-clock.js';
import { hasMne, readWithMne } from './mne.js';
import { chunks, streamInfo } from './streams.js';

const seed = Math.floor(Math.random() * 2 ** 31);

test.skipIf(!hasMne).each([
  ['edf', 0.1],
  ['bdf', 262143 / 8388607],
])(
  `MNE reads our %s equal to half a step (seed ${seed})`,
  async (extension, step) => {
    const path = join(scratch(), `a.${extension}`);
    const amp = streamInfo({ rateHz: 128 });
    const clock = new VirtualClock();
    const recorder = await Recorder.open(path, [amp], { clock });
    const parts = chunks(amp, 0, 1280, seed);
    for (const chunk of parts) recorder.chunk('amp', chunk);
    recorder.marker('amp', { stampS: 5002.5, text: 'größer', durationS: 1.5 });
    await recorder.close();
    const read = readWithMne(path);
    // One more record for the annotation that came after the last sample.
    expect([read.rateHz, read.frames]).toEqual([128, 1408]);
    expect(read.labels).toEqual(['Fp1', 'C3', 'O2']);
    const startS = 5000 - clock.now();
    expect(Math.abs(read.startWallMs - clock.wallMs() - startS * 1000)).toBeLessThanOrEqual(1000);
    for (const { index, frames, data } of parts) {
      for (let i = 0; i < frames * 3; i++) {
        const theirs = read.values[i % 3]?.[index + Math.floor(i / 3)] ?? NaN;
        expect(Math.abs(theirs - (data[i] as number))).toBeLessThanOrEqual(step / 2 + 1e-3);
      }
    }
    expect(read.annotations).toEqual([
      { onsetS: expect.closeTo(2.5, 1), durationS: 1.5, text: 'größer' },
    ]);
  },
  120_000,
);
