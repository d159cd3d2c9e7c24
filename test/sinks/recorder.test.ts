import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Prediction } from '../../src/core/events.js';
import { ByteFile } from '../../src/formats/byte-file.js';
import { openRecording } from '../../src/formats/recording.js';
import { readXdf } from '../../src/formats/xdf.js';
import { Recorder } from '../../src/sinks/recorder.js';
import { scratch } from '../formats/fixture.js';
import { VirtualClock } from '../support/virtual-clock.js';
import { chunks, streamInfo, valuesOf } from './streams.js';

const seed = Math.floor(Math.random() * 2 ** 31);
const clock = new VirtualClock();

const prediction = (windowEndS: number, left: number): Prediction => ({
  kind: 'prediction',
  stream: 'amp',
  task: 'motor_imagery',
  seq: 0,
  windowStartS: windowEndS - 4,
  windowEndS,
  startSample: 0,
  endSample: 800,
  validity: 1,
  probabilities: { right: 1 - left, left },
  smoothed: { right: 1 - left, left },
  label: left > 0.5 ? 'left' : 'right',
  checkpoint: 'base@1',
  trained: false,
  latency: { queueMs: 1, runMs: 2, totalMs: 3 },
});

describe(`recorder (seed ${seed})`, () => {
  test('XDF: samples, stamps, gaps, markers and predictions of two streams come back', async () => {
    const path = join(scratch(), 'a.xdf');
    const amp = streamInfo();
    const other = streamInfo({ id: 'b', name: 'B', rateHz: 100, channels: amp.channels.slice(1) });
    const recorder = await Recorder.open(path, [amp, other], { clock });
    const before = chunks(amp, 0, 700, seed);
    const after = chunks(amp, 737, 1500, seed + 1);
    const second = chunks(other, 0, 300, seed + 2);
    for (const chunk of before) recorder.chunk('amp', chunk);
    recorder.marker('amp', { stampS: 5001.25, text: 'eyes "closed" & größer', durationS: 3 });
    for (const chunk of second) recorder.chunk('b', chunk);
    clock.advance(12);
    for (const chunk of after) recorder.chunk('amp', chunk);
    recorder.prediction(prediction(5004, 0.75));
    recorder.prediction(prediction(5004.25, 0.25));
    await recorder.close();

    const recording = await openRecording(path, { stream: 'Amp & <Co>' });
    expect([...recording.read(0, recording.frames)]).toEqual(valuesOf([...before, ...after]));
    expect(recording.gaps).toEqual([{ frame: 700, missing: 37 }]);
    const stamps = recording.stamps?.(0, recording.frames) ?? [];
    const expected = [...before, ...after].flatMap((chunk) => [...(chunk.stamps ?? [])]);
    for (const [i, stamp] of expected.entries()) expect(stamps[i]).toBeCloseTo(stamp, 7);
    expect(recording.annotations).toEqual([
      { onsetS: expect.closeTo(1.25, 7), durationS: 0, text: 'eyes "closed" & größer' },
    ]);
    expect(recording.channels).toEqual(amp.channels);
    const twin = await openRecording(path, { stream: 'B' });
    expect([...twin.read(0, 300)]).toEqual(valuesOf(second));

    const { streams } = readXdf(ByteFile.open(path));
    const task = streams.find(({ type }) => type === 'Prediction');
    expect(task?.channels.map(({ label }) => label)).toEqual(['left', 'right']);
    expect([...(task?.stamps ?? [])]).toEqual([5004, 5004.25]);
    expect([...(task?.read(0, 2) ?? [])]).toEqual([0.75, 0.25, 0.25, 0.75]);
    const footer = streams[0]?.footer?.children.find(({ name }) => name === 'sample_count');
    expect(footer?.text).toBe('1463');
  });

  test.each([
    ['edf', 0.1],
    ['bdf', 262143 / 8388607],
  ])('%s: samples to half a step, stamps and markers come back', async (extension, step) => {
    const path = join(scratch(), `a.${extension}`);
    const amp = streamInfo();
    const recorder = await Recorder.open(path, [amp], { clock });
    const parts = chunks(amp, 40, 40 + 1300, seed);
    recorder.marker('amp', { stampS: 5000.16, text: 'start' });
    for (const chunk of parts) recorder.chunk('amp', chunk);
    recorder.marker('amp', { stampS: 5003.5, text: 'größer', durationS: 2 });
    recorder.prediction(prediction(5004, 0.75));
    recorder.prediction(prediction(5004.25, 0.8));
    recorder.prediction(prediction(5004.5, 0.25));
    await recorder.close();
    const recording = await openRecording(path);
    expect([recording.rateHz, recording.gaps, recorder.totals.clippedValues]).toEqual([250, [], 0]);
    const values = recording.read(0, recording.frames);
    for (const [i, value] of valuesOf(parts).entries()) {
      expect(Math.abs((values[i] ?? NaN) - value)).toBeLessThanOrEqual(step / 2 + 1e-3);
    }
    // The last record is filled up with "no value".
    expect(recording.frames).toBe(1500);
    expect([...values.subarray(1300 * 3)].every(Number.isNaN)).toBe(true);
    expect(recording.annotations).toEqual([
      { onsetS: expect.closeTo(0, 6), durationS: 0, text: 'start' },
      { onsetS: expect.closeTo(3.34, 6), durationS: 2, text: 'größer' },
      { onsetS: expect.closeTo(3.84, 6), durationS: 0, text: 'motor_imagery: left (0.75)' },
      { onsetS: expect.closeTo(4.34, 6), durationS: 0, text: 'motor_imagery: right (0.75)' },
    ]);
  });

  test.each([1, 30, 249, 250, 251, 600])('EDF: a gap of %d frames is a gap', async (missing) => {
    const amp = streamInfo();
    for (const at of [100, 250, 400, 500]) {
      const path = join(scratch(), 'a.edf');
      const recorder = await Recorder.open(path, [amp], { clock });
      const parts = [
        ...chunks(amp, 0, at, seed),
        ...chunks(amp, at + missing, at + missing + 600, seed + 1),
      ];
      for (const chunk of parts) recorder.chunk('amp', chunk);
      await recorder.close();
      const recording = await openRecording(path);
      const values = recording.read(0, recording.frames);
      let shift = 0;
      const seen = new Map<number, number>();
      for (let frame = 0; frame < recording.frames; frame++) {
        for (const gap of recording.gaps) if (gap.frame === frame) shift += gap.missing;
        const value = values[frame * 3] as number;
        if (!Number.isNaN(value)) seen.set(frame + shift, value);
      }
      for (const { index, frames, data } of parts) {
        for (let i = 0; i < frames; i++) {
          const difference = (seen.get(index + i) ?? NaN) - (data[i * 3] as number);
          expect(Math.abs(difference), `frame ${index + i}`).toBeLessThan(0.0501);
        }
      }
      expect(seen.size).toBe(at + 600);
      const bad = recording.annotations.find(({ text }) => text === 'BAD_gap');
      expect(bad?.onsetS).toBeCloseTo(at / 250, 6);
      expect(bad?.durationS).toBeCloseTo(missing / 250, 6);
    }
  });

  test('a stream without stamps gets a line through its arrivals', async () => {
    const path = join(scratch(), 'a.xdf');
    const amp = streamInfo();
    const recorder = await Recorder.open(path, [amp], { clock });
    for (const { stamps, ...chunk } of chunks(amp, 0, 20_000, seed)) {
      const late = ((chunk.index * 7919) % 8) / 1000;
      recorder.chunk('amp', { ...chunk, arrivalS: (stamps?.at(-1) ?? 0) + late });
    }
    await recorder.close();
    const recording = await openRecording(path);
    const stamps = recording.stamps?.(0, 20_000) ?? [];
    for (const i of [0, 5000, 19_999]) {
      expect(Math.abs((stamps[i] ?? 0) - (5000 + i / 250) - 0.0035)).toBeLessThan(0.002);
    }
  });

  test('refuses what the format cannot hold, and a file that is there', async () => {
    const folder = scratch();
    const amp = streamInfo();
    const refused = (name: string, streams = [amp]) => Recorder.open(join(folder, name), streams);
    await expect(refused('a.txt')).rejects.toMatchObject({ code: 'EEG_USAGE' });
    await expect(refused('a.edf', [amp, amp])).rejects.toThrow(/expected 1 stream, came 2/);
    await expect(refused('none/a.xdf')).rejects.toMatchObject({ code: 'EEG_STORE_FAILED' });
    await (await refused('a.xdf')).close();
    await expect(refused('a.xdf')).rejects.toThrow(/a file of that name is there already/);
  });
});
