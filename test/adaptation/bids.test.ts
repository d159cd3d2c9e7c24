import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { exportBids } from '../../src/adaptation/bids.js';
import { LabelStore } from '../../src/adaptation/label-store.js';
import { openRecording } from '../../src/formats/recording.js';

const top = mkdtempSync(join(tmpdir(), 'eegd-bids-'));
afterAll(() => rmSync(top, { recursive: true, force: true }));

test('an export is read back with equal samples and labels', async () => {
  const store = await LabelStore.open(join(top, 'session'), {
    session: 's1',
    stream: 'x',
    task: 'left_right',
    classes: ['left', 'right'],
    windowS: 1,
    hopS: 0.25,
    channels: ['C3', 'C4', 'Cz'],
    positions: new Array<number>(18).fill(0),
    checkpoint: 'base@1',
    wallMs: 0,
  });
  for (let i = 0; i < 3; i++) {
    const data = Float32Array.from({ length: 600 }, (_, k) => Math.sin(k + 100 * i) * 20);
    const valid = new Uint8Array(600).fill(1);
    if (i === 1) valid[5] = 0;
    const trial = { label: i === 1 ? 'right' : 'left', startS: i, startSample: 200 * i, wallMs: 0 };
    await store.add(trial, { data, valid, scale: new Float32Array(12).fill(10) });
  }
  await store.undo(0);
  const files = await exportBids(store, join(top, 'bids'), 'anna 1');
  expect(existsSync(join(top, 'bids/dataset_description.json'))).toBe(true);
  const vhdr = files.find((file) => file.endsWith('.vhdr')) as string;
  expect(vhdr).toBe(join(top, 'bids/sub-anna1/eeg/sub-anna1_task-leftright_eeg.vhdr'));
  const recording = await openRecording(vhdr);
  expect(recording.rateHz).toBe(200);
  expect(recording.frames).toBe(400);
  expect(recording.channels.map(({ label, unit }) => [label, unit])).toEqual([
    ['C3', 'uV'],
    ['C4', 'uV'],
    ['Cz', 'uV'],
  ]);
  const read = recording.read(0, 400);
  const [right, left] = await Promise.all(store.trials.map((trial) => store.signal(trial)));
  expect(Number.isNaN(read[5 * 3])).toBe(true);
  for (let i = 6; i < 200; i++) {
    for (let c = 0; c < 3; c++) {
      expect(read[i * 3 + c]).toBe(right?.data[c * 200 + i]);
      expect(read[(200 + i) * 3 + c]).toBe(left?.data[c * 200 + i]);
    }
  }
  const texts = recording.annotations.map(({ text }) => text);
  expect(texts).toEqual(['New Segment/', 'Comment/right', 'New Segment/', 'Comment/left']);
  recording.close();
  const events = readFileSync(vhdr.replace('_eeg.vhdr', '_events.tsv'), 'utf8');
  expect(events).toBe(
    'onset\tduration\ttrial_type\tsample\n0.000\t1.000\tright\t0\n1.000\t1.000\tleft\t200\n',
  );
  await store.close();
});

test('with raw samples, those are exported, at their own rate and with what came before', async () => {
  const names = ['C3', 'C4', 'EOG'];
  const store = await LabelStore.open(join(top, 'raw'), {
    ...{ session: 's2', stream: 'x', task: 'fists', classes: ['left', 'right'] },
    ...{ windowS: 1, hopS: 0.25, channels: ['C3', 'C4'], checkpoint: 'base@1', wallMs: 0 },
    positions: new Array<number>(12).fill(0),
    raw: {
      rateHz: 500,
      channels: names.map((label) => ({
        label,
        kind: label.startsWith('E') ? 'eog' : 'eeg',
        unit: 'uV',
      })),
    },
  });
  const raws: Float32Array[] = [];
  for (const [i, label] of ['left', 'right'].entries()) {
    const data = Float32Array.from({ length: 3 * 700 }, (_, k) => Math.cos(k + i));
    data[7] = Number.NaN;
    raws.push(data);
    const signal = {
      ...{ data: new Float32Array(400), valid: new Uint8Array(400).fill(1) },
      ...{ scale: new Float32Array(8).fill(10), raw: { frames: 700, lead: 200, data } },
    };
    await store.add({ label, startS: i, startSample: 200 * i, wallMs: 0 }, signal);
  }
  const files = await exportBids(store, join(top, 'raw-bids'), '02');
  const vhdr = files.find((file) => file.endsWith('.vhdr')) as string;
  const recording = await openRecording(vhdr);
  expect([recording.rateHz, recording.frames]).toEqual([500, 1400]);
  expect(recording.channels.map(({ label }) => label)).toEqual(names);
  expect(recording.read(0, 1400)).toEqual(Float32Array.from([...raws.flatMap((one) => [...one])]));
  recording.close();
  const table = (part: string) => readFileSync(vhdr.replace('_eeg.vhdr', part), 'utf8');
  expect(table('_events.tsv')).toBe(
    'onset\tduration\ttrial_type\tsample\n0.400\t1.000\tleft\t200\n1.800\t1.000\tright\t900\n',
  );
  expect(table('_channels.tsv')).toContain('EOG\tEOG\tuV\t500');
  await store.close();
});
