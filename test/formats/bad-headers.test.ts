/** GDF and BrainVision headers that lie: the error names the field. EDF: bad-files; XDF: xdf. */
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { isEegError } from '../../src/core/errors.js';
import { openRecording } from '../../src/formats/recording.js';
import { fixtures, scratch, scratchFile } from './fixture.js';

async function errorOf(path: string): Promise<string> {
  try {
    (await openRecording(path)).close();
  } catch (error) {
    if (isEegError(error)) return error.line;
    throw error;
  }
  return 'no error';
}

test('GDF', async () => {
  const whole = readFileSync(join(fixtures, 'made/competition-v2.gdf'));
  const lie = (change: (bytes: Buffer) => void, length = whole.length): Promise<string> => {
    const bytes = Buffer.from(whole);
    change(bytes);
    return errorOf(scratchFile('a.gdf', bytes.subarray(0, length)));
  };
  const channels = 6;
  const cases: [Promise<string>, RegExp][] = [
    [lie((b) => b.write('9.99', 4)), /version: expected GDF 1.x to 3.x, came "9.99"/],
    [lie((b) => b.writeUInt16LE(0, 252)), /number of channels: expected 1 to 4096, came 0/],
    [lie((b) => b.writeUInt16LE(5000, 252)), /number of channels: .* came 5000/],
    [lie((b) => b.writeUInt16LE(2, 184)), /header bytes: expected 1792 or more, .* came 512/],
    [lie((b) => b.writeUInt32LE(0, 244)), /duration of a data record: .* came 0 s/],
    [lie((b) => b.writeBigInt64LE(2n ** 60n, 236)), /data records: expected 1152921504606847000/],
    [lie((b) => b.writeUInt32LE(99, 256 + 220 * channels)), /data type of channel 1 .* came 99/],
    [
      lie((b) => b.writeDoubleLE(-100, 256 + 112 * channels)),
      /physical range of channel 1 \("EEG-Fz"\): expected two different numbers/,
    ],
    [lie(() => {}, 8000), /number of data records: expected 600 .* a file that holds 517/],
    [lie(() => {}, whole.length - 3), /event table: expected 5 events \(60 bytes\), came 57 bytes/],
    [lie((b) => b.writeUIntLE(0xffffff, whole.length - 67, 3)), /event table: expected 16777215/],
  ];
  for (const [line, expected] of cases) {
    expect(await line).toMatch(expected);
    expect(await line).toMatch(/^EEG_FILE_FORMAT: a\.gdf: /);
  }
});

describe('BrainVision', () => {
  const lie = async (from: RegExp | string, to: string, extension = 'vhdr'): Promise<string> => {
    const folder = scratch();
    const name = 'int16-multiplexed';
    for (const each of ['vhdr', 'vmrk', 'eeg']) {
      copyFileSync(join(fixtures, `made/${name}.${each}`), join(folder, `${name}.${each}`));
    }
    const path = join(folder, `${name}.${extension}`);
    writeFileSync(path, readFileSync(path, 'utf8').replace(from, to));
    return errorOf(join(folder, `${name}.vhdr`));
  };

  test.each([
    ['SamplingInterval=4000', 'SamplingInterval=0', /SamplingInterval: expected more than 0 us/],
    ['SamplingInterval=4000', '', /SamplingInterval: expected more than 0 us, came ""/],
    ['NumberOfChannels=3', 'NumberOfChannels=4', /Ch4: expected a channel, came no such line/],
    ['NumberOfChannels=3', 'NumberOfChannels=1e9', /NumberOfChannels: expected a whole number/],
    ['INT_16', 'INT_8', /BinaryFormat: expected INT_16 or INT_32 or IEEE_FLOAT_32, came "INT_8"/],
    ['MULTIPLEXED', 'SIDEWAYS', /DataOrientation: expected MULTIPLEXED or VECTORIZED/],
    ['=BINARY', '=ASCII', /DataFormat: expected BINARY, came "ASCII"/],
    ['Fp1,,0.1', 'Fp1,,zero', /resolution of Ch1: expected a number other than 0, came "zero"/],
    [
      'int16-multiplexed.eeg',
      'x.eeg',
      /DataFile: expected a file in the same folder, came "x.eeg"/,
    ],
    [/DataFile=.*/, 'DataFile=../../etc/passwd', /DataFile: expected a file in the same folder/],
    ['NumberOfChannels=3', 'NumberOfChannels=2', 'no error'],
  ])('%s -> %s', async (from, to, expected) => {
    // 3,000 bytes are 500 frames of 3 channels, and 750 of 2: no header can tell.
    expect(await lie(from, to)).toMatch(expected);
  });

  test('marker and data files', async () => {
    expect(await lie('251,25', 'soon,25', 'vmrk')).toMatch(/position of mk3: .* came "soon"/);
    // Read as text and written again, the samples are of another length.
    expect(await lie('', 'x', 'eeg')).toMatch(
      /length: expected a multiple of 6 bytes \(3 channels/,
    );
  });
});
