/** A full or broken disk ends the recording with one error, and disturbs nothing else. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import type { EegError } from '../../src/core/errors.js';
import { openRecording } from '../../src/formats/recording.js';
import { AppendFile, type WritableHandle } from '../../src/sinks/append-file.js';
import { Recorder } from '../../src/sinks/recorder.js';
import { scratch } from '../formats/fixture.js';
import { VirtualClock } from '../support/virtual-clock.js';
import { chunks, streamInfo } from './streams.js';

const amp = streamInfo();
const parts = chunks(amp, 0, 50_000, 1);

/** A disk in memory that holds `room` bytes, or fails with `code` there. */
function disk(room: number, code = 'ENOSPC') {
  let content = Buffer.alloc(0);
  let isClosed = false;
  const handle: WritableHandle = {
    async write(buffer, offset, length, position) {
      expect(isClosed).toBe(false);
      const fits = Math.min(length, room - position);
      if (fits <= 0) throw Object.assign(new Error('no'), { code });
      const grown = Buffer.alloc(Math.max(content.length, position + fits));
      content.copy(grown);
      grown.set(buffer.subarray(offset, offset + fits), position);
      content = grown;
      return { bytesWritten: fits };
    },
    async truncate(length) {
      content = content.subarray(0, length);
    },
    async datasync() {},
    async close() {
      isClosed = true;
    },
  };
  return { handle, content: () => content, isClosed: () => isClosed };
}

describe('disk full', () => {
  test.each([
    ['ENOSPC', 'EEG_STORE_NO_SPACE', /^a\.xdf: the disk is full; the recording ends here$/],
    ['EIO', 'EEG_STORE_FAILED', /^a\.xdf: failed \(EIO\)$/],
  ])('%s: one %s, the file ends at its last whole append', async (reason, code, message) => {
    const failures: EegError[] = [];
    const fake = disk(100_000, reason);
    const file = new AppendFile(fake.handle, 'a.xdf', (failure) => failures.push(failure));
    const recorder = new Recorder('a.xdf', file, [amp], { clock: new VirtualClock() });
    for (const chunk of parts) {
      recorder.chunk('amp', chunk);
      await recorder.flush();
    }
    await recorder.close();
    expect(failures.map((failure) => failure.code)).toEqual([code]);
    expect(failures[0]?.message).toMatch(message);
    expect(recorder.failure).toBe(failures[0]);
    expect([fake.isClosed(), fake.content().length]).toEqual([true, recorder.totals.bytes]);
    expect(fake.content().length).toBeGreaterThan(99_000);
  });

  test('a slow disk costs samples, not memory, and the loss stands as a gap', async () => {
    const folder = scratch();
    const path = join(folder, 'slow.xdf');
    const recorder = await Recorder.open(path, [amp], {
      clock: new VirtualClock(),
      bufferedBytesMax: 20_000,
    });
    // Nothing is awaited: the disk has no turn until the loop has ended.
    for (const chunk of parts.slice(0, 1000)) recorder.chunk('amp', chunk);
    await recorder.flush();
    for (const chunk of parts.slice(1000, 1010)) recorder.chunk('amp', chunk);
    await recorder.close();
    const { frames, droppedFrames } = recorder.totals;
    expect(droppedFrames).toBeGreaterThan(5000);
    const recording = await openRecording(path);
    expect(recording.frames).toBe(frames);
    expect(recording.gaps.reduce((sum, gap) => sum + gap.missing, 0)).toBe(droppedFrames);
  });

  const mount = join(scratchMount(), 'mnt');
  const canMount = tryMount(mount);
  afterAll(() => {
    if (canMount) spawnSync('umount', [mount]);
    rmSync(dirname(mount), { recursive: true });
  });
  test.skipIf(!canMount).each(['xdf', 'edf'])(
    '%s on a real full file system',
    async (extension) => {
      const path = join(mount, `a.${extension}`);
      const failures: EegError[] = [];
      const recorder = await Recorder.open(path, [amp], {
        clock: new VirtualClock(),
        onFailure: (failure) => failures.push(failure),
      });
      onTestFinished(() => void execFileSync('rm', ['-f', path]));
      for (const chunk of parts) {
        recorder.chunk('amp', chunk);
        await recorder.flush();
      }
      await recorder.close();
      expect(failures.map(({ code }) => code)).toEqual(['EEG_STORE_NO_SPACE']);
      const recording = await openRecording(path);
      expect(recording.frames).toBeGreaterThan(5000);
      recording.close();
    },
  );
});

function scratchMount(): string {
  return join(process.env.TMPDIR ?? '/tmp', `eegd-full-${process.pid}`);
}

/** A file system of 256 KiB, where the user may mount one. */
function tryMount(path: string): boolean {
  mkdirSync(path, { recursive: true });
  const options = ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', path];
  if (spawnSync('mount', options).status === 0) {
    return true;
  }
  process.stderr.write('SKIPPED: recording to a full file system (mount is not allowed here)\n');
  return false;
}
