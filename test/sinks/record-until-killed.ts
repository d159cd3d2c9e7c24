/**
 * A process that records a made-up stream as fast as it can and says, after each second of signal,
 * how many frames are in the file. crash.test.ts kills it.
 */
import { lastValueFrom, tap } from 'rxjs';
import { SyntheticDriver } from '../../drivers/synthetic/driver.js';
import type { StreamInfo } from '../../src/core/stream.js';
import { Recorder } from '../../src/sinks/recorder.js';

const [path, seed] = process.argv.slice(2) as [string, string];

async function record(): Promise<void> {
  let recorder: Recorder | undefined;
  let info: StreamInfo | undefined;
  let frames = 0;
  let opening: Promise<void> | undefined;
  const driver = new SyntheticDriver({
    seed: Number(seed),
    speed: Number.POSITIVE_INFINITY,
    chunkS: 0.1,
    loss: 0.02,
    ready: async () => {
      await opening;
      if (recorder === undefined || frames % 250 > 25) return;
      await recorder.flush();
      process.send?.(frames);
    },
  });
  const events$ = driver.open(new AbortController().signal).pipe(
    tap((event) => {
      if (event.kind === 'info') {
        info = event.info;
        opening = Recorder.open(path, [info]).then((made) => {
          recorder = made;
        });
      }
      if (info === undefined) return;
      if (event.kind === 'marker') recorder?.marker(info.id, event.marker);
      if (event.kind !== 'chunk') return;
      recorder?.chunk(info.id, event.chunk);
      frames = event.chunk.index + event.chunk.frames;
    }),
  );
  await lastValueFrom(events$);
}

void record();
