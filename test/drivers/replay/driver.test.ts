import { lastValueFrom, take, toArray } from 'rxjs';
import { describe, expect, test } from 'vitest';
import { ReplayDriver, type ReplayOptions } from '../../../drivers/replay/driver.js';
import { Rng } from '../../../src/core/rng.js';
import type { Chunk, DriverEvent } from '../../../src/core/stream.js';
import { edfBytes, type FakeEdf, ramp, tal } from '../../formats/edf-file.js';
import { scratchFile } from '../../formats/fixture.js';
import { JumpingClock } from '../../support/jumping-clock.js';

const alive = new AbortController().signal;
const plain = (seconds: number): FakeEdf => ({
  signals: [{ label: 'C3', perRecord: 10, samples: ramp(seconds * 10).map((v) => v % 500) }],
});

async function run(edf: FakeEdf, options: Partial<ReplayOptions> = {}, count = Infinity) {
  const path = scratchFile('Some Night.edf', edfBytes(edf));
  const driver = new ReplayDriver({ path, clock: new JumpingClock(), ...options });
  return lastValueFrom(driver.open(alive).pipe(take(count), toArray()));
}

const chunksOf = (events: DriverEvent[]): Chunk[] =>
  events.flatMap((event) => (event.kind === 'chunk' ? [event.chunk] : []));
const valuesOf = (events: DriverEvent[]): number[] =>
  chunksOf(events).flatMap(({ data }) => [...data]);

describe('replay', () => {
  test('every sample once, stamped as recorded, then the end', async () => {
    const events = await run(plain(7), { chunkS: 0.3 });
    expect(events[0]).toMatchObject({ kind: 'info', info: { id: 'some-night', rateHz: 10 } });
    expect(events.at(-1)).toEqual({ kind: 'status', state: 'ended' });
    expect(valuesOf(events)).toEqual(ramp(70));
    for (const { index, frames, stamps, arrivalS } of chunksOf(events)) {
      expect(stamps?.[0]).toBeCloseTo(1000 + index / 10, 9);
      expect(arrivalS).toBeCloseTo(1000 + (index + frames) / 10, 2);
    }
  });

  test.each([1, 0.5, 7])('never drifts from the clock over hours, speed %d', async (speed) => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    const rng = new Rng(seed);
    // 3 h of recording; every timer is up to 15 ms late, as on a busy machine.
    const clock = new JumpingClock(5e5, () => rng.uniform() * 15);
    const events = await run(plain(3 * 3600), { clock, speed, chunkS: 0.5 });
    let worst = 0;
    for (const { index, frames, arrivalS } of chunksOf(events)) {
      const lateS = arrivalS - (5e5 + (index + frames) / 10 / speed);
      expect(lateS, `seed ${seed}`).toBeGreaterThanOrEqual(0);
      worst = Math.max(worst, lateS);
    }
    expect(worst, `seed ${seed}`).toBeLessThan(0.0161);
    expect(chunksOf(events).length).toBe(21_600);
  });

  test('a consumer that is not ready holds it back, sample by sample nothing is lost', async () => {
    let asked = 0;
    let taken = 0;
    const ready = async (): Promise<void> => {
      asked++;
      expect(asked - taken).toBeLessThanOrEqual(2);
      await Promise.resolve();
      taken++;
    };
    const events = await run(plain(50), { speed: Infinity, ready });
    expect(valuesOf(events)).toEqual(ramp(500));
    expect(asked).toBeGreaterThanOrEqual(500);
  });

  test('a loop counts on, with a gap of reason seek at the seam', async () => {
    const events = await run(plain(2), { loop: true, chunkS: 1 }, 8);
    const seams = events.filter((event) => event.kind === 'gap');
    expect(seams).toEqual(Array(2).fill({ kind: 'gap', missing: 10, reason: 'seek' }));
    expect(chunksOf(events).map(({ index }) => index)).toEqual([0, 10, 30, 40]);
    expect(valuesOf(events)).toEqual([...ramp(20), ...ramp(20)]);
    expect(chunksOf(events)[2]?.stamps?.[0]).toBeCloseTo(1003, 9);
  });

  test('gaps of the file and annotations come at their time', async () => {
    const events = await run(
      {
        reserved: 'EDF+D',
        signals: [
          { label: 'C3', perRecord: 10, samples: ramp(30) },
          {
            label: 'EDF Annotations',
            perRecord: 60,
            tals: [tal(0, ['0.35', '2', 'T1']), tal(1, ['2.5', '', 'in the gap']), tal(5)],
          },
        ],
      },
      { chunkS: 0.4 },
    );
    const story = events.map((event) =>
      event.kind === 'chunk'
        ? `${event.chunk.index}+${event.chunk.frames}`
        : event.kind === 'gap'
          ? `gap ${event.missing}`
          : event.kind === 'marker'
            ? `${event.marker.text} at ${event.marker.stampS}`
            : event.kind,
    );
    expect(story.join(', ')).toBe(
      'info, status, T1 at 1000.35, 0+4, 4+4, 8+4, 12+4, 16+4, gap 30, in the gap at 1002.5, ' +
        '50+4, 54+4, 58+2, status',
    );
  });

  test('abort ends it and closes the file; a bad file is an EegError', async () => {
    const abort = new AbortController();
    const path = scratchFile('a.edf', edfBytes(plain(60)));
    const driver = new ReplayDriver({ path, clock: new JumpingClock(), loop: true });
    let seen = 0;
    await new Promise<void>((resolve, reject) => {
      driver.open(abort.signal).subscribe({
        next: () => {
          if (++seen === 20) abort.abort();
        },
        error: reject,
        complete: resolve,
      });
    });
    expect(seen).toBe(20);
    const bad = new ReplayDriver({ path: scratchFile('b.edf', 'not EEG') });
    await expect(lastValueFrom(bad.open(alive))).rejects.toMatchObject({ code: 'EEG_FILE_FORMAT' });
    const still = new ReplayDriver({ path, speed: 0 });
    await expect(lastValueFrom(still.open(alive))).rejects.toMatchObject({ code: 'EEG_USAGE' });
  });
});
