/** A running daemon records a stream with its predictions, and the file reads back. */
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { DaemonEvent, Prediction } from '../../src/core/events.js';
import { packageRoot } from '../../src/core/paths.js';
import { ByteFile } from '../../src/formats/byte-file.js';
import { openRecording } from '../../src/formats/recording.js';
import { readXdf } from '../../src/formats/xdf.js';
import { Recordings } from '../../src/sinks/recordings.js';
import { scratch } from '../formats/fixture.js';
import { daemonOn, openTiny, tinyStore } from '../support/tiny-checkpoint.js';

const source = join(packageRoot(), 'models', 'demo', 'arithmetic.edf');

test('samples, gap, annotations and predictions of a stream, as subscribers saw them', async () => {
  const { store, folder } = await tinyStore(['1']);
  let open = () => {};
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  let steps = 0;
  // The first step tells what the stream is; the samples wait until the recording runs.
  const ready = async (): Promise<void> => {
    if (++steps > 1) await gate;
    if (daemon.pending > 64) await daemon.idle();
  };
  const daemon = daemonOn(await openTiny(join(folder, 'tiny@1')), store, { context: { ready } });
  onTestFinished(() => daemon.close());
  const target = scratch();
  const recordings = new Recordings({
    folder: target,
    onUpdate: (update) => daemon.publish(update),
  });
  daemon.recorder = recordings;
  const seen: Prediction[] = [];
  let isOver = false;
  const stopped = new Promise<DaemonEvent>((resolve) => {
    daemon.events$.subscribe((event) => {
      if (event.kind === 'status' && event.state === 'ended') isOver = true;
      if (event.kind === 'prediction' && !isOver) seen.push(event);
      if (event.kind === 'recording' && event.phase !== 'started') resolve(event);
    });
  });

  const { stream } = await daemon.connect(`replay:${source}?speed=max&id=r`);
  const { id } = await daemon.startRecording(stream, 'xdf');
  open();
  expect(await stopped).toMatchObject({ kind: 'recording', id, phase: 'stopped', samples: 30_000 });

  const [original, copy] = [await openRecording(source), await openRecording(join(target, id))];
  expect(copy.frames).toBe(original.frames);
  expect(copy.gaps).toEqual(original.gaps);
  expect(copy.read(0, 30_000)).toEqual(original.read(0, 30_000));
  const texts = copy.annotations.map(({ text }) => text);
  expect(texts).toEqual(expect.arrayContaining(['rest', 'arithmetic']));

  expect(seen.length).toBeGreaterThan(50);
  const file = ByteFile.open(join(target, id));
  const streams = readXdf(file).streams.filter(({ type }) => type === 'Prediction');
  for (const { channels, stamps, samples, name, read } of streams) {
    const own = seen.filter(({ task }) => name.endsWith(` ${task}`));
    expect([...stamps]).toEqual(own.map(({ windowEndS }) => windowEndS));
    const values = read(0, samples);
    for (const [i, { probabilities }] of own.entries()) {
      for (const [c, { label }] of channels.entries()) {
        const expected = Math.fround(probabilities[label] as number);
        expect(values[i * channels.length + c]).toBe(expected);
      }
    }
  }
  expect(streams.reduce((sum, { samples }) => sum + samples, 0)).toBe(seen.length);
  file.close();
}, 120_000);
