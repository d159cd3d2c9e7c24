/** The bundled demo recordings are whole and show what their README says. */
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { openRecording } from '../../src/formats/recording.js';

const demo = (name: string) =>
  openRecording(resolve(import.meta.dirname, '../../models/demo', name));

test('imagery.edf: eyes open and closed, then 124 s of imagery', async () => {
  const recording = await demo('imagery.edf');
  expect([recording.rateHz, recording.frames / 160, recording.channels.length]).toEqual([
    160, 204, 23,
  ]);
  expect(recording.gaps.map(({ frame, missing }) => [frame / 160, missing / 160])).toEqual([
    [20, 2],
    [40, 2],
    [60, 2],
    [80, 2],
  ]);
  const texts = recording.annotations.map(({ text }) => text);
  expect(texts.filter((text) => text.startsWith('eyes'))).toEqual([
    'eyes open',
    'eyes closed',
    'eyes open',
    'eyes closed',
  ]);
  expect(texts.filter((text) => text === 'T1')).toHaveLength(8);
  expect(texts.filter((text) => text === 'T2')).toHaveLength(7);
});

test('arithmetic.edf: a minute of rest, a minute of arithmetic', async () => {
  const recording = await demo('arithmetic.edf');
  expect([recording.rateHz, recording.frames / 250, recording.channels.length]).toEqual([
    250, 120, 19,
  ]);
  expect(recording.annotations).toEqual([
    { onsetS: 0, durationS: 60, text: 'rest' },
    { onsetS: 62, durationS: 60, text: 'arithmetic' },
  ]);
});
