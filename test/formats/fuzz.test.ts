/**
 * Damaged files of every format: whatever is cut off or flipped, `openRecording` and `read` give a
 * recording or one `EegError`, in bounded time and memory. 4,900 cases; fast-check prints its seed.
 */
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isEegError } from '../../src/core/errors.js';
import { openRecording } from '../../src/formats/recording.js';
import { edfBytes, ramp, tal } from './edf-file.js';
import { fixtures, scratch } from './fixture.js';
import { boundary, clockOffset, header, samples, streamHeader, xdfBytes } from './xdf-file.js';

const eeg = { id: 1, name: 'Amp', type: 'EEG', channels: 2, rateHz: 10, format: 'int16' };
const rows = (from: number): [number | undefined, number[]][] =>
  ramp(20).map((i) => [i % 3 === 0 ? from + i / 10 : undefined, [i, -i]]);

/** A small whole file of each format, and files that stand beside it. */
const seeds: Record<string, { bytes: Buffer; beside?: string[] }> = {
  'a.edf': {
    bytes: edfBytes({
      reserved: 'EDF+D',
      signals: [
        { label: 'C3', perRecord: 5, samples: ramp(20) },
        { label: 'Resp', unit: '', perRecord: 1, samples: ramp(4) },
        {
          label: 'EDF Annotations',
          perRecord: 20,
          tals: [tal(0, ['0.5', '1', 'T1']), tal(1), tal(5), tal(6)],
        },
      ],
    }),
  },
  'a.bdf': {
    bytes: edfBytes({
      version: '\xffBIOSEMI',
      bytesPerSample: 3,
      signals: [{ label: 'C3', perRecord: 5, samples: ramp(20) }],
    }),
  },
  'a.xdf': {
    bytes: xdfBytes(
      header(),
      streamHeader(eeg),
      clockOffset(1, 5, 3),
      samples(1, 'int16', rows(5)),
      boundary(),
      clockOffset(1, 8, 3),
      samples(1, 'int16', rows(90)),
    ),
  },
  'strings.xdf': { bytes: readFileSync(join(fixtures, 'xdf/minimal.xdf')) },
  'v1.gdf': { bytes: readFileSync(join(fixtures, 'made/competition-v1.gdf')) },
  'v2.gdf': { bytes: readFileSync(join(fixtures, 'made/competition-v2.gdf')) },
  'int16-vectorized.vhdr': {
    bytes: readFileSync(join(fixtures, 'made/int16-vectorized.vhdr')),
    beside: ['int16-vectorized.eeg', 'int16-vectorized.vmrk'],
  },
};

interface Damage {
  readonly cut: number;
  /** Place, from 0 to 1, and the byte there. */
  readonly flips: readonly (readonly [number, number])[];
}

const damage = fc.record<Damage>({
  cut: fc.oneof(
    { weight: 3, arbitrary: fc.constant(1) },
    fc.double({ min: 0, max: 1, noNaN: true }),
  ),
  flips: fc.array(
    fc.tuple(
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom(0x20, 0x2d, 0x30, 0x39, 0xff)),
    ),
    { maxLength: 6 },
  ),
});

function damaged(bytes: Buffer, { cut, flips }: Damage): Buffer {
  const copy = Buffer.from(bytes);
  for (const [place, value] of flips) {
    // Headers decide most, so half of the flips hit the first part of the file.
    const at = place < 0.5 ? place * Math.min(2000, copy.length) : (place - 0.5) * 2 * copy.length;
    copy[Math.floor(at)] = value;
  }
  return copy.subarray(0, Math.round(cut * copy.length));
}

async function readAll(path: string): Promise<void> {
  const recording = await openRecording(path);
  try {
    expect(recording.frames).toBeGreaterThanOrEqual(0);
    for (let start = 0; start < recording.frames; start += 1000) {
      const count = Math.min(1000, recording.frames - start);
      const values = recording.read(start, count);
      expect(values.length).toBe(count * recording.channels.length);
    }
  } finally {
    recording.close();
  }
}

describe('damaged files', () => {
  test.each(Object.entries(seeds))('%s', async (name, { bytes, beside }) => {
    const folder = scratch();
    const path = join(folder, name);
    for (const other of beside ?? []) {
      copyFileSync(join(fixtures, 'made', other), join(folder, basename(other)));
    }
    writeFileSync(path, bytes);
    await readAll(path);
    const memory = process.memoryUsage().rss;
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(damage, async (how) => {
        writeFileSync(path, damaged(bytes, how));
        try {
          await readAll(path);
        } catch (error) {
          if (!isEegError(error) || !error.code.startsWith('EEG_FILE_')) throw error;
          expect(error.message.length).toBeLessThan(600);
          expect(error.message).not.toContain('\n');
          refused++;
        }
      }),
      { numRuns: 700, interruptAfterTimeLimit: 60_000, markInterruptAsFailure: true },
    );
    expect(refused).toBeGreaterThan(10);
    expect(process.memoryUsage().rss - memory).toBeLessThan(300e6);
  });
});
