import { describe, expect, test } from 'vitest';
import { frameTimeS, openRecording } from '../../src/formats/recording.js';
import { edfBytes, type FakeEdf, ramp, tal } from './edf-file.js';
import { scratchFile } from './fixture.js';

const open = (edf: FakeEdf, name = 'a.edf') => openRecording(scratchFile(name, edfBytes(edf)));

describe('EDF', () => {
  test('scales digital values and any voltage unit to microvolts', async () => {
    const recording = await open({
      signals: [
        {
          label: 'C3',
          unit: 'mV',
          physical: [-1, 1],
          digital: [-100, 100],
          perRecord: 4,
          samples: [-100, 0, 50, 100],
        },
        {
          label: 'EEG Cz',
          unit: 'uV',
          physical: [0, 10],
          digital: [0, 10],
          perRecord: 4,
          samples: [1, 2, 3, 4],
        },
        {
          label: 'C4',
          unit: 'V',
          physical: [1, -1],
          digital: [-1, 1],
          perRecord: 4,
          samples: [-1, 0, 1, 0],
        },
      ],
    });
    expect(recording.rateHz).toBe(4);
    expect([...recording.read(0, 4)]).toEqual([-1000, 1, 1e6, 0, 2, 0, 500, 3, -1e6, 1000, 4, 0]);
    expect(recording.channels.map(({ unit }) => unit)).toEqual(['uV', 'uV', 'uV']);
  });

  test('reads any span of frames over record borders', async () => {
    const recording = await open({ signals: [{ label: 'C3', perRecord: 5, samples: ramp(35) }] });
    for (const [start, frames] of [
      [0, 35],
      [3, 9],
      [4, 1],
      [34, 1],
      [10, 0],
    ] as const) {
      expect([...recording.read(start, frames)]).toEqual(ramp(35).slice(start, start + frames));
    }
    expect(() => recording.read(30, 6)).toThrow(RangeError);
  });

  test('24-bit samples of BDF keep their sign', async () => {
    const samples = [-8388608, -1, 0, 8388607];
    const recording = await open({
      version: '\xffBIOSEMI',
      bytesPerSample: 3,
      signals: [{ label: 'Cz', perRecord: 4, samples }],
    });
    expect([recording.format, ...recording.read(0, 4)]).toEqual(['bdf', ...samples]);
  });

  test("takes the EEG channels' most common rate and names what it leaves out", async () => {
    const recording = await open({
      signals: [
        { label: 'EEG Fpz-Cz', perRecord: 4, samples: ramp(8) },
        { label: 'EEG Pz-Oz', perRecord: 4, samples: ramp(8) },
        { label: 'Resp oro-nasal', unit: '', perRecord: 1, samples: ramp(2) },
        { label: 'EMG submental', perRecord: 1, samples: ramp(2) },
        { label: 'Temp rectal', unit: 'DegC', perRecord: 1, samples: ramp(2) },
        { label: 'EOG horizontal', perRecord: 4, samples: ramp(8, -1) },
      ],
    });
    expect(recording.channels.map(({ label, kind }) => [label, kind])).toEqual([
      ['EEG Fpz-Cz', 'eeg'],
      ['EEG Pz-Oz', 'eeg'],
      ['EOG horizontal', 'eog'],
    ]);
    expect(recording.notes.map((note) => note.split(' ')[0])).toEqual(['Resp', 'EMG', 'Temp']);
    expect([...recording.read(7, 1)]).toEqual([7, 7, -7]);
  });

  test('annotations lie relative to the first frame, in order, in UTF-8', async () => {
    const recording = await open({
      signals: [
        { label: 'C3', perRecord: 2, samples: ramp(4) },
        {
          label: 'EDF Annotations',
          perRecord: 40,
          tals: [tal(0.5, ['2', '1.5', 'Größe\u0014second']), tal(1.5, ['0.75', '', 'early'])],
        },
      ],
    });
    expect(recording.annotations).toEqual([
      { onsetS: 0.25, durationS: 0, text: 'early' },
      { onsetS: 1.5, durationS: 1.5, text: 'Größe' },
      { onsetS: 1.5, durationS: 1.5, text: 'second' },
    ]);
    expect(recording.startWallMs).toBe(Date.UTC(2026, 0, 1, 10, 0, 0, 500));
  });

  test('EDF+D: gaps stand where the time-keeping lists jump', async () => {
    const recording = await open({
      reserved: 'EDF+D',
      signals: [
        { label: 'C3', perRecord: 10, samples: ramp(40) },
        { label: 'EDF Annotations', perRecord: 30, tals: [tal(0), tal(1), tal(4.5), tal(5.5)] },
      ],
    });
    expect(recording.gaps).toEqual([{ frame: 20, missing: 25 }]);
    expect([19, 20, 39].map((f) => frameTimeS(recording, f))).toEqual([1.9, 4.5, 6.4]);
  });

  test('a hypnogram without data signals opens', async () => {
    const recording = await open({
      recordS: 0,
      signals: [
        {
          label: 'EDF Annotations',
          perRecord: 60,
          tals: [tal(0, ['0', '30', 'Sleep stage W'], ['30', '60', 'Sleep stage 1'])],
        },
      ],
    });
    expect([recording.frames, recording.rateHz, recording.channels]).toEqual([0, 0, []]);
    expect(recording.annotations.map(({ text }) => text)).toEqual([
      'Sleep stage W',
      'Sleep stage 1',
    ]);
  });

  test('a file still being recorded (-1 records) holds what is there', async () => {
    const bytes = edfBytes({
      records: -1,
      signals: [{ label: 'C3', perRecord: 4, samples: ramp(12) }],
    });
    const recording = await openRecording(scratchFile('live.edf', bytes.subarray(0, -3)));
    expect(recording.frames).toBe(8);
    expect(recording.notes[0]).toContain('2 whole data records');
  });
});
