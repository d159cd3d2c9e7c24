import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { DaemonEvent, RecordingUpdate } from '../../src/core/events.js';
import { openRecording } from '../../src/formats/recording.js';
import { Recordings } from '../../src/sinks/recordings.js';
import { scratch } from '../formats/fixture.js';
import { VirtualClock } from '../support/virtual-clock.js';
import { chunks, streamInfo, valuesOf } from './streams.js';

const amp = streamInfo();

function setUp(options: { bufferedBytesMax?: number } = {}) {
  const folder = join(scratch(), 'state', 'recordings');
  const updates: RecordingUpdate[] = [];
  const clock = new VirtualClock();
  const recordings = new Recordings({
    folder,
    clock,
    onUpdate: (update) => updates.push(update),
    recorder: options,
  });
  recordings.driverEvent('amp', { kind: 'info', info: amp });
  const feed = (from: number, to: number) => {
    const parts = chunks(amp, from, to, 5);
    for (const chunk of parts) recordings.driverEvent('amp', { kind: 'chunk', chunk });
    return parts;
  };
  return { folder, updates, recordings, feed };
}

const ended: DaemonEvent = {
  kind: 'status',
  stream: 'amp',
  name: 'Amp',
  driver: 'synthetic',
  state: 'ended',
  nominalRateHz: 250,
  rateHz: 250,
  channels: [],
  samples: 0,
  lostSamples: 0,
  discardedBytes: 0,
  lastSampleS: 0,
};

describe('recordings of a daemon', () => {
  test('two at once of one stream, each what came between its start and its stop', async () => {
    const { folder, updates, recordings, feed } = setUp();
    feed(0, 100);
    const first = await recordings.start('amp', 'xdf');
    const a = feed(100, 600);
    const second = await recordings.start('amp', 'xdf');
    recordings.driverEvent('amp', { kind: 'marker', marker: { stampS: 5002.5, text: 'here' } });
    const b = feed(600, 1100);
    expect(recordings.list().map(({ samples }) => samples)).toEqual([1000, 500]);
    await recordings.stop(first.id);
    feed(1100, 1300);
    await recordings.stop(second.id);
    expect(await recordings.stop(second.id)).toMatchObject({ samples: 700 });
    expect(first.id).toMatch(/^amp-\d{8}T\d{6}Z\.xdf$/);
    expect(second.id).toBe(first.id.replace('.xdf', '-2.xdf'));
    const recording = await openRecording(join(folder, first.id));
    expect([...recording.read(0, recording.frames)]).toEqual(valuesOf([...a, ...b]));
    expect(recording.annotations.map(({ text }) => text)).toEqual(['here']);
    expect(updates.map(({ phase, samples }) => [phase, samples])).toEqual([
      ['started', 0],
      ['started', 0],
      ['stopped', 1000],
      ['stopped', 700],
    ]);
  });

  test('the end of a stream, or of the daemon, ends its recordings whole', async () => {
    const { folder, recordings, feed, updates } = setUp();
    const edf = await recordings.start('amp', 'edf');
    feed(0, 600);
    recordings.daemonEvent(ended);
    await recordings.close();
    await expect.poll(() => updates.at(-1)?.phase).toBe('stopped');
    const recording = await openRecording(join(folder, edf.id));
    expect([recording.frames, recording.notes]).toEqual([750, []]);
    await expect(recordings.start('amp', 'edf')).rejects.toMatchObject({
      code: 'EEG_STREAM_UNKNOWN',
    });
  });

  test('unknown streams and ids are refused with what there is', async () => {
    const { recordings } = setUp();
    await expect(recordings.start('nose', 'xdf')).rejects.toThrow(/one of amp, got "nose"/);
    await expect(recordings.stop('x')).rejects.toThrow(/one of none, got "x"/);
  });

  test('a folder that cannot be made is said, and recording goes on later', async () => {
    const { folder, recordings } = setUp();
    mkdirSync(join(folder, '../..'), { recursive: true });
    rmSync(join(folder, '..'), { recursive: true, force: true });
    writeFileSync(join(folder, '..'), 'a file where the folder should be');
    await expect(recordings.start('amp', 'xdf')).rejects.toMatchObject({
      code: 'EEG_STORE_FAILED',
    });
    rmSync(join(folder, '..'));
    const { id } = await recordings.start('amp', 'xdf');
    expect(existsSync(join(folder, id))).toBe(true);
    await recordings.close();
  });
});
