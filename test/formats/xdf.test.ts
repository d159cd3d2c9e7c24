/**
 * XDF. The expectations for minimal.xdf and empty_streams.xdf are those that pyxdf's own tests
 * state for these example files.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { ByteFile } from '../../src/formats/byte-file.js';
import { openRecording } from '../../src/formats/recording.js';
import { readXdf } from '../../src/formats/xdf.js';
import { clockSpans, robustLine } from '../../src/formats/xdf-time.js';
import { dataFolder, fixtures, scratchFile } from './fixture.js';
import { boundary, clockOffset, header, samples, streamHeader, xdfBytes } from './xdf-file.js';

function read(path: string) {
  const file = ByteFile.open(path);
  onTestFinished(() => file.close());
  return readXdf(file);
}

const near = (actual: Float64Array | undefined, expected: number[], digits = 9): void => {
  expect(actual?.length).toBe(expected.length);
  for (const [i, value] of expected.entries()) expect(actual?.[i]).toBeCloseTo(value, digits);
};

describe('XDF example files, as pyxdf reads them', () => {
  test('minimal.xdf', async () => {
    const { streams } = read(join(fixtures, 'xdf/minimal.xdf'));
    const [data, text] = streams;
    expect([data?.name, data?.type, data?.format, data?.rateHz]).toEqual([
      'SendDataC',
      'EEG',
      'int16',
      10,
    ]);
    near(data?.stamps, [5, 5.1, 5.2, 5.3, 5.4, 5.5, 5.6, 5.7, 5.8]);
    near(text?.stamps, [5.1, 5.2, 5.3, 5.4, 5.5, 5.6, 5.7, 5.8, 5.9]);
    expect(text?.texts.slice(1, 5)).toEqual([['Hello'], ['World'], ['from'], ['LSL']]);
    const recording = await openRecording(join(fixtures, 'xdf/minimal.xdf'));
    expect([...recording.read(0, 3)]).toEqual([192, 255, 238, 12, 22, 32, 13, 23, 33]);
    expect([...recording.read(8, 1)]).toEqual([15, 25, 35]);
    expect(recording.annotations[1]).toMatchObject({ text: 'Hello' });
    expect(recording.annotations[1]?.onsetS).toBeCloseTo(0.2, 9);
  });

  test('empty_streams.xdf', () => {
    const { streams } = read(join(fixtures, 'xdf/empty_streams.xdf'));
    expect(streams.map(({ id, samples: count }) => [id, count])).toEqual([
      [3, 0],
      [4, 10],
      [1, 1],
      [2, 0],
    ]);
    expect(streams[2]?.texts).toEqual([['{"state": 2}']]);
    near(streams[2]?.stamps, [91725.01400425], 4);
    expect([...(streams[1]?.read(0, 10) ?? [])]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  const resets = join(dataFolder ?? '', 'fixtures/xdf/clock_resets.xdf');
  test.skipIf(!existsSync(resets))('clock_resets.xdf: one line a clock', () => {
    const { streams } = read(resets);
    const eeg = streams.find(({ name }) => name === 'BioSemi');
    const markers = streams.find(({ name }) => name === 'MyMarkerStream');
    expect([eeg?.samples, markers?.samples, eeg?.starts]).toEqual([27815, 175, [0, 12876]]);
    for (const { stamps } of [eeg, markers].filter((s) => s !== undefined)) {
      expect(stamps.every((t, i) => i === 0 || t > (stamps[i - 1] as number))).toBe(true);
    }
    // 12876 and 14939 samples of a device that really ran at 93.2 and 92.7 Hz.
    const [first = 0, last = 0] = [eeg?.stamps[0], eeg?.stamps[12875]];
    expect(12875 / (last - first)).toBeCloseTo(93.24, 1);
  });
});

describe('XDF', () => {
  const eeg = { id: 7, name: 'Amp', type: 'EEG', channels: 2, rateHz: 10 };

  test.each([
    ['int8', [-128, 127]],
    ['int16', [-32768, 32767]],
    ['int32', [-2147483648, 2147483520]],
    ['int64', [-9007199254740992, 4294967296]],
    ['float32', [-1.5, 0.125]],
    ['double64', [-1.5, 2 ** 70]],
  ] as const)('values of %s', async (format, values) => {
    const path = scratchFile(
      'a.xdf',
      xdfBytes(header(), streamHeader({ ...eeg, format }), samples(7, format, [[5, [...values]]])),
    );
    const recording = await openRecording(path);
    expect([...recording.read(0, 1)]).toEqual([...values]);
  });

  test('scales volts to microvolts by the channel metadata', async () => {
    const desc =
      '<channels><channel><label>C3</label><unit>volts</unit><type>EEG</type></channel>' +
      '<channel><label>ECG &lt;1&gt;</label><unit>mV</unit><type>ECG</type></channel></channels>';
    const path = scratchFile(
      'a.xdf',
      xdfBytes(
        header(),
        streamHeader({ ...eeg, format: 'float32', desc }),
        samples(7, 'float32', [[1, [0.5, 2]]]),
      ),
    );
    const recording = await openRecording(path);
    expect(recording.channels).toEqual([
      { label: 'C3', kind: 'eeg', unit: 'uV' },
      { label: 'ECG <1>', kind: 'ecg', unit: 'uV' },
    ]);
    expect([...recording.read(0, 1)]).toEqual([5e5, 2000]);
  });

  test('clock offsets move the stamps to the clock of the recorder', async () => {
    const path = scratchFile(
      'a.xdf',
      xdfBytes(
        header(),
        streamHeader({ ...eeg, format: 'int16' }),
        clockOffset(7, 50, 1000.5),
        samples(7, 'int16', [
          [50, [1, 2]],
          [undefined, [3, 4]],
        ]),
        clockOffset(7, 55, 1000.5),
      ),
    );
    near((await openRecording(path)).stamps?.(0, 2), [1050.5, 1050.6]);
  });

  test('a hole in the stamps is a gap; jitter is not', async () => {
    const rows: [number | undefined, number[]][] = [];
    for (let i = 0; i < 40; i++) rows.push([100 + i / 10 + 0.004 * Math.sin(i * 3), [i, -i]]);
    for (let i = 0; i < 40; i++) rows.push([164 + i / 10, [i, -i]]);
    const path = scratchFile(
      'a.xdf',
      xdfBytes(
        header(),
        streamHeader({ ...eeg, format: 'int32' }),
        samples(7, 'int32', rows.slice(0, 33)),
        samples(7, 'int32', rows.slice(33)),
      ),
    );
    const recording = await openRecording(path);
    expect(recording.gaps).toEqual([{ frame: 40, missing: 600 }]);
    const stamps = recording.stamps?.(0, 80) ?? new Float64Array();
    for (const i of [0, 20, 39])
      expect(Math.abs((stamps[i] ?? 0) - 100 - i / 10)).toBeLessThan(3e-3);
    expect([...recording.read(31, 4)]).toEqual([31, -31, 32, -32, 33, -33, 34, -34]);
  });

  test('a damaged chunk costs what stands before the next boundary', async () => {
    const part = (from: number): Buffer =>
      samples(7, 'int16', [
        [from, [from, 0]],
        [undefined, [from + 1, 0]],
      ]);
    const damaged = part(3);
    damaged[9] = 77;
    const path = scratchFile(
      'a.xdf',
      xdfBytes(
        header(),
        streamHeader({ ...eeg, format: 'int16' }),
        part(1),
        damaged,
        part(5),
        boundary(),
        part(7),
        part(9).subarray(0, 12),
      ),
    );
    const recording = await openRecording(path);
    expect([...recording.read(0, recording.frames)].filter((_, i) => i % 2 === 0)).toEqual([
      1, 2, 7, 8,
    ]);
    expect(recording.notes).toEqual([
      'the file ends inside a chunk: 12 bytes lost',
      expect.stringMatching(/^\d+ damaged bytes were skipped$/),
    ]);
  });

  test('chooses the EEG stream, or the one asked for; says what there is', async () => {
    const path = scratchFile(
      'a.xdf',
      xdfBytes(
        header(),
        streamHeader({ ...eeg, format: 'int16' }),
        streamHeader({ ...eeg, id: 8, name: 'Gyro', type: 'ACC', format: 'int16', rateHz: 50 }),
        streamHeader({ ...eeg, id: 9, name: 'Empty', format: 'int16' }),
        samples(7, 'int16', [[1, [1, 2]]]),
        samples(8, 'int16', [
          [1, [3, 4]],
          [2, [3, 4]],
        ]),
      ),
    );
    expect((await openRecording(path)).rateHz).toBe(10);
    expect((await openRecording(path, { stream: 'Gyro' })).rateHz).toBe(50);
    await expect(openRecording(path, { stream: 'Nose' })).rejects.toThrow(
      /regular numeric stream "Nose", came "Amp" \(EEG, int16, 10 Hz, 1 samples\), "Gyro"/,
    );
  });

  test('headers that lie', async () => {
    const lie = (extra: object): Promise<unknown> =>
      openRecording(
        scratchFile(
          'a.xdf',
          xdfBytes(header(), streamHeader({ ...eeg, format: 'int16', ...extra })),
        ),
      );
    await expect(lie({})).rejects.toMatchObject({ code: 'EEG_FILE_EMPTY' });
    await expect(lie({ format: 'float99' })).rejects.toThrow(/channel_format: expected int8/);
    await expect(lie({ channels: -3 })).rejects.toThrow(/channel_count: expected a whole number/);
    await expect(lie({ rateHz: 'fast' })).rejects.toThrow(/nominal_srate: expected a rate/);
  });

  test('clock offsets: an outlier does not bend the line, a reset begins another', () => {
    const x = Array.from({ length: 50 }, (_, i) => 1000 + 5 * i);
    const y = x.map((t, i) => 3 + 2e-5 * (t - 1000) + (i === 20 ? 0.05 : 0));
    const line = robustLine(x, y);
    expect(line.slope).toBeCloseTo(2e-5, 6);
    expect(line.intercept + line.slope * 1000).toBeCloseTo(3, 4);
    const offsets = [
      ...x.map((timeS, i) => ({ timeS, offsetS: -900, sample: i * 50 })),
      ...x.map((timeS, i) => ({ timeS: timeS - 990, offsetS: 450, sample: 2500 + i * 50 })),
    ];
    const stamps = Float64Array.from({ length: 5000 }, (_, i) =>
      i < 2480 ? 1000 + i / 10 : 10 + (i - 2500) / 10,
    );
    const spans = clockSpans(stamps, offsets, 10);
    expect(spans.map(({ sample }) => sample)).toEqual([0, 2480]);
    expect(spans[1]?.intercept).toBeCloseTo(450, 6);
  });
});
