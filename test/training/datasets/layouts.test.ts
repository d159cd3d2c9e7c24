/** Readers of public layouts, on small files written as their descriptions say. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { scanBids } from '../../../src/training/datasets/bids.js';
import { parseSeizures, parseSummary, scanChbMit } from '../../../src/training/datasets/chb-mit.js';
import {
  bciIvSpans,
  eegmmidbLabel,
  scanEegmmidb,
} from '../../../src/training/datasets/motor-imagery.js';
import { scanSleepEdf, trimWake } from '../../../src/training/datasets/sleep-edf.js';
import { scanXdf } from '../../../src/training/datasets/xdf-markers.js';
import { dataFolder, scratch } from '../../formats/fixture.js';
import { chunk, header, samples, streamHeader, xdfBytes } from '../../formats/xdf-file.js';
import { writeEdf, writeText } from '../made-edf.js';

const plain = (spans: readonly { startS: number; endS: number; label: string }[]) =>
  spans.map(({ startS, endS, label }) => [round(startS), round(endS), label]);
const round = (seconds: number): number => Math.round(seconds * 1e6) / 1e6;

describe('EEG-BIDS', () => {
  test('events and channels beside the recording, or inherited', () => {
    const root = scratch();
    writeEdf(root, 'sub-a/ses-1/eeg/sub-a_ses-1_task-x_eeg.edf', { seconds: 4 });
    writeEdf(root, 'sub-b/eeg/sub-b_task-x_eeg.edf', { seconds: 4 });
    writeText(root, 'task-x_events.tsv', 'onset\tduration\ttrial_type\n1\t2\tgo\n');
    writeText(
      root,
      'sub-b/eeg/sub-b_task-x_events.tsv',
      'onset\tduration\ttrial_type\tvalue\n2.5\t0.5\tstop\t3\n0\tn/a\tcue\t4\n3\t1\tn/a\t5\n',
    );
    writeText(
      root,
      'sub-b/eeg/sub-b_task-x_channels.tsv',
      'name\ttype\tstatus\nC3\tEEG\tbad\nC4\tEOG\tgood\n',
    );
    const [a, b] = scanBids({ set: 's', root });
    expect([a.subject, a.run, plain(a.spans)]).toEqual(['a', 'ses-1_task-x', [[1, 3, 'go']]]);
    expect(plain(b.spans)).toEqual([
      [0, 0, 'cue'],
      [2.5, 3, 'stop'],
    ]);
    expect(b.channels?.get('C3')).toEqual({ kind: 'eeg', bad: true });
    expect(b.channels?.get('C4')).toEqual({ kind: 'eog' });
  });

  test('an onset that is no number names file and line', () => {
    const root = scratch();
    writeEdf(root, 'sub-a/eeg/sub-a_task-x_eeg.edf', { seconds: 2 });
    writeText(root, 'task-x_events.tsv', 'onset\tduration\ttrial_type\nsoon\t2\tgo\n');
    expect(() => scanBids({ set: 's', root })).toThrow(/task-x_events\.tsv:2: onset/);
    expect(() => scanBids({ set: 's', root: scratch() })).toThrow(/no sub-/);
  });
});

describe('Sleep-EDF Expanded', () => {
  test('stages from the hypnogram, 3 and 4 joined, cut at the recording, wake trimmed', async () => {
    const root = scratch();
    writeEdf(root, 'SC4021E0-PSG.edf', { seconds: 300, rateHz: 10, labels: ['EEG Fpz-Cz'] });
    writeEdf(root, 'SC4021EH-Hypnogram.edf', {
      seconds: 1,
      notes: [
        [0, 90, 'Sleep stage W'],
        [90, 30, 'Sleep stage 1'],
        [120, 30, 'Sleep stage 3'],
        [150, 30, 'Sleep stage 4'],
        [180, 30, 'Sleep stage ?'],
        [210, 5000, 'Sleep stage W'],
      ],
    });
    const [night] = await scanSleepEdf({ set: 's', root, wakeAroundS: 60 });
    expect([night.subject, night.run]).toEqual(['SC402', 'night1']);
    expect(plain(night.spans)).toEqual([
      [30, 90, 'W'],
      [90, 120, 'N1'],
      [120, 180, 'N3'],
      [210, 240, 'W'],
    ]);
  });

  test('a recording without its hypnogram is an error that says so', async () => {
    const root = scratch();
    writeEdf(root, 'SC4021E0-PSG.edf', { seconds: 2 });
    await expect(scanSleepEdf({ set: 's', root })).rejects.toThrow(/SC4021\*-Hypnogram/);
    expect(trimWake([], 10)).toEqual([]);
  });
});

describe('CHB-MIT', () => {
  test('summary, with and without numbers; the rest of a file is background', async () => {
    const root = scratch();
    writeEdf(root, 'chb01/chb01_03.edf', { seconds: 60, rateHz: 10 });
    writeEdf(root, 'chb21/chb21_01.edf', { seconds: 20, rateHz: 10 });
    writeText(
      root,
      'chb01/chb01-summary.txt',
      'File Name: chb01_03.edf\nNumber of Seizures in File: 2\n' +
        'Seizure Start Time: 10 seconds\nSeizure End Time: 20 seconds\n' +
        'Seizure 2 Start Time: 40 seconds\nSeizure 2 End Time: 60 seconds\n',
    );
    const refs = await scanChbMit({ set: 's', root });
    expect(plain(refs[0].spans)).toEqual([
      [0, 10, 'background'],
      [10, 20, 'seizure'],
      [20, 40, 'background'],
      [40, 60, 'seizure'],
    ]);
    // chb21 is chb01 again: the same person must land on the same side.
    expect(refs.map((ref) => ref.subject)).toEqual(['chb01', 'chb01']);
    expect(parseSummary('').size).toBe(0);
  });

  test('.seizures in WFDB annotations: short and long intervals, strings skipped', () => {
    const words = [
      (32 << 10) | 512,
      (63 << 10) | 3,
      0x6261,
      0x0063,
      59 << 10,
      1,
      2,
      (33 << 10) | 0,
      0,
    ];
    const bytes = Buffer.alloc(words.length * 2);
    for (const [i, word] of words.entries()) bytes.writeUInt16LE(word, i * 2);
    const [span] = parseSeizures(bytes, 256, 'x');
    expect(span).toEqual({ startS: 2, endS: (512 + 65538) / 256, label: 'seizure' });
    expect(() => parseSeizures(bytes.subarray(0, 11), 256, 'x')).toThrow(/ends inside/);
  });
});

describe('motor imagery', () => {
  test('EEGMMIDB: T1 and T2 mean what the run says', async () => {
    expect(eegmmidbLabel(3, 'T1')).toBe('left_fist_executed');
    expect(eegmmidbLabel(4, 'T2')).toBe('right_fist_imagined');
    expect(eegmmidbLabel(9, 'T1')).toBe('both_fists_executed');
    expect(eegmmidbLabel(14, 'T2')).toBe('both_feet_imagined');
    expect(eegmmidbLabel(15, 'T1')).toBeUndefined();
    const root = scratch();
    writeEdf(root, 'S007/S007R06.edf', {
      seconds: 10,
      notes: [
        [0, 4.2, 'T0'],
        [4.2, 4.1, 'T2'],
      ],
    });
    const [run] = await scanEegmmidb({ set: 's', root });
    expect([run.subject, run.run]).toEqual(['S007', 'R06']);
    expect(run.spans.map((span) => span.label)).toEqual(['rest', 'both_feet_imagined']);
  });

  test('BCI IV: cues open 4 s, rejected trials go, late ones too', () => {
    const note = (onsetS: number, text: string) => ({ onsetS, durationS: 1.25, text });
    const spans = bciIvSpans(
      [
        note(8, '768'),
        note(10, '769'),
        note(18, '1023'),
        note(20, '770'),
        note(30, '772'),
        note(38, '771'),
      ],
      40,
    );
    expect(plain(spans)).toEqual([
      [10, 14, 'left_hand'],
      [30, 34, 'tongue'],
    ]);
  });
});

/** A chunk of string samples: stream, count, then stamp, length and text of each. */
function textSamples(id: number, ...rows: (readonly [number, string])[]): Buffer {
  const head = Buffer.alloc(6);
  head.writeUInt32LE(id, 0);
  head.writeUInt8(1, 4);
  head.writeUInt8(rows.length, 5);
  const body = rows.map(([stampS, text]) => {
    const one = Buffer.alloc(11 + text.length);
    one.writeUInt8(8, 0);
    one.writeDoubleLE(stampS, 1);
    one.writeUInt8(1, 9);
    one.writeUInt8(text.length, 10);
    one.write(text, 11);
    return one;
  });
  return chunk(3, Buffer.concat([head, ...body]));
}

describe('XDF with markers', () => {
  test('a marker lasts until the next, or as long as the recipe says', async () => {
    const root = scratch();
    const eeg = { id: 1, name: 'e', type: 'EEG', channels: 1, rateHz: 10, format: 'float32' };
    const rows = Array.from({ length: 100 }, (_, i): [number, number[]] => [50 + i / 10, [i]]);
    const marks = { id: 2, name: 'm', type: 'Markers', channels: 1, rateHz: 0, format: 'string' };
    const file = xdfBytes(
      header(),
      streamHeader(eeg),
      streamHeader(marks),
      samples(1, 'float32', rows),
      textSamples(2, [52, '1'], [55, '2']),
    );
    mkdirSync(join(root, 'sub-x'));
    writeFileSync(join(root, 'sub-x/a.xdf'), file);
    const [ref] = await scanXdf({ set: 's', root });
    expect(ref.subject).toBe('x');
    expect(plain(ref.spans)).toEqual([
      [2, 5, '1'],
      [5, 10, '2'],
    ]);
    const [short] = await scanXdf({ set: 's', root, markerS: 1 });
    expect(plain(short.spans)[1]).toEqual([5, 6, '2']);
  });
});

describe('real files', () => {
  test.skipIf(dataFolder === undefined)(
    'eegmmidb S001: 30 trials a run, as PhysioNet says',
    async () => {
      const refs = await scanEegmmidb({ set: 's', root: `${dataFolder}/eegmmidb` });
      expect(refs.length).toBe(12);
      const run = refs.find((ref) => ref.run === 'R04');
      expect(run?.spans.length).toBe(30);
      const rest = run?.spans.filter((span) => span.label === 'rest').length;
      expect(rest).toBe(15);
    },
  );
});
