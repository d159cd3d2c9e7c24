/** Truncated, lying and empty files: one typed error that names the field, and nothing else. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { isEegError } from '../../src/core/errors.js';
import { openRecording } from '../../src/formats/recording.js';
import { edfBytes, type FakeEdf, type FakeSignal, ramp, tal } from './edf-file.js';
import { scratch, scratchFile } from './fixture.js';

async function errorOf(path: string): Promise<string> {
  try {
    (await openRecording(path)).close();
  } catch (error) {
    if (isEegError(error)) return error.line;
    throw error;
  }
  return 'no error';
}

const signal: FakeSignal = { label: 'C3', perRecord: 4, samples: ramp(12) };
const lie = (edf: Partial<FakeEdf>, of: Partial<FakeSignal> = {}): string =>
  scratchFile('lie.edf', edfBytes({ signals: [{ ...signal, ...of }], ...edf }));

describe('bad files', () => {
  test('no file, a folder, an empty file, another format', async () => {
    const folder = scratch();
    expect(await errorOf(join(folder, 'none.edf'))).toMatch(/^EEG_FILE_NOT_FOUND: .*no such file/);
    mkdirSync(join(folder, 'f.edf'));
    expect(await errorOf(join(folder, 'f.edf'))).toMatch(/^EEG_FILE_FORMAT: .*came a folder/);
    expect(await errorOf(scratchFile('a.edf', ''))).toMatch(/^EEG_FILE_EMPTY: .*0 bytes/);
    expect(await errorOf(scratchFile('a.edf', 'hello'))).toMatch(/^EEG_FILE_FORMAT: .*first bytes/);
    expect(await errorOf(scratchFile('a.eeg', 'hello'))).toMatch(/open the .vhdr file beside it/);
  });

  test('EDF headers that lie', async () => {
    const cases: [string, RegExp][] = [
      [lie({ records: 4 }), /number of data records: expected 4 .*came a file that holds 3/],
      [lie({ records: 2 }), /number of data records: expected 2 .*came a file that holds 3/],
      [lie({ records: 'many' }), /number of data records: expected a number, came "many"/],
      [lie({ records: 0, signals: [{ ...signal, samples: [] }] }), /^EEG_FILE_EMPTY/],
      [lie({ recordS: 0 }), /duration of a data record: expected more than 0 s, came 0 s/],
      [lie({ recordS: -1 }), /duration of a data record: expected at least 0 s, came -1 s/],
      [lie({ recordS: 'NaN' }), /duration of a data record: expected a number/],
      [lie({}, { digital: [5, 5] }), /digital maximum of signal 1 \("C3"\): expected above/],
      [lie({}, { digital: [-40000, 5] }), /digital minimum of signal 1 .*whole number from -32768/],
      [lie({}, { physical: [3, 3] }), /physical maximum .*expected other than the minimum 3/],
      [lie({}, { physical: ['', 3] }), /physical minimum .*expected a number, came ""/],
      [lie({ signals: [] }), /^EEG_FILE_EMPTY: .*0 signals/],
    ];
    for (const [path, expected] of cases) expect(await errorOf(path)).toMatch(expected);
  });

  test('a rate of zero and a record larger than the file', async () => {
    const bytes = edfBytes({ signals: [signal] });
    const withField = (text: string): string => {
      const copy = Buffer.from(bytes);
      copy.write(text.padEnd(8), 256 + 216, 'latin1');
      return scratchFile('rate.edf', copy);
    };
    expect(await errorOf(withField('0'))).toMatch(/^EEG_FILE_EMPTY: .*records of 0 bytes/);
    expect(await errorOf(withField('99999999'))).toMatch(/file that holds 0 of 199999998 bytes/);
    const mixed = lie({
      signals: [signal, { label: 'C4', perRecord: 0 }, { label: 'Cz', perRecord: 0 }],
    });
    expect(await errorOf(mixed)).toMatch(/samples in a record.* a rate of zero/);
  });

  test('a header that is cut off, at every length', async () => {
    const bytes = edfBytes({ signals: [signal] });
    for (let length = 1; length < bytes.length; length += 37) {
      const line = await errorOf(scratchFile('cut.edf', bytes.subarray(0, length)));
      expect(line).toMatch(/^EEG_FILE_(FORMAT|EMPTY): cut\.edf: /);
    }
  });

  test('a cut-off copy opens where the length is asked from the size', async () => {
    const bytes = edfBytes({ signals: [signal] }).subarray(0, -1);
    const path = scratchFile('cut.edf', bytes);
    expect((await openRecording(path, { lengthFromSize: true })).frames).toBe(8);
  });

  test('EDF+D records that overlap', async () => {
    const path = lie({
      reserved: 'EDF+D',
      signals: [
        { label: 'C3', perRecord: 4, samples: ramp(8) },
        { label: 'EDF Annotations', perRecord: 20, tals: [tal(3), tal(1)] },
      ],
    });
    expect(await errorOf(path)).toMatch(/onset of record 2: expected at least 4 s, came 1 s/);
  });
});
