import { lastValueFrom, toArray } from 'rxjs';
import { describe, expect, test } from 'vitest';
import { SyntheticDriver, type SyntheticOptions } from '../../../drivers/synthetic/driver.js';
import type { DriverEvent } from '../../../src/core/stream.js';
import { JumpingClock } from '../../support/jumping-clock.js';

function run(options: SyntheticOptions): Promise<DriverEvent[]> {
  const driver = new SyntheticDriver({ clock: new JumpingClock(), speed: Infinity, ...options });
  return lastValueFrom(driver.open(new AbortController().signal).pipe(toArray()));
}

/** `[frames]` of one channel, NaN where nothing came. */
function trace(events: DriverEvent[], channels: number, channel: number): number[] {
  const out: number[] = [];
  let expected = 0;
  for (const event of events) {
    if (event.kind === 'gap') expected += event.missing;
    if (event.kind !== 'chunk') continue;
    expect(event.chunk.index).toBe(expected);
    for (let i = 0; i < event.chunk.frames; i++) {
      out[event.chunk.index + i] = event.chunk.data[i * channels + channel] as number;
    }
    expected += event.chunk.frames;
  }
  return Array.from(out, (value) => value ?? NaN);
}

/** Power at `hz`, by correlation with a sine and a cosine. */
function powerAt(signal: number[], hz: number, rateHz: number): number {
  let re = 0;
  let im = 0;
  for (const [i, value] of signal.entries()) {
    re += value * Math.cos((2 * Math.PI * hz * i) / rateHz);
    im += value * Math.sin((2 * Math.PI * hz * i) / rateHz);
  }
  return (re * re + im * im) / signal.length;
}

/** Mean over a band, to tame the noise of single lines. */
function bandPower(signal: number[], fromHz: number, toHz: number, rateHz: number): number {
  let sum = 0;
  const steps = 40;
  for (let k = 0; k < steps; k++) {
    sum += powerAt(signal, fromHz + ((toHz - fromHz) * k) / steps, rateHz);
  }
  return sum / steps;
}

const quiet = { alphaUv: 0, blinksPerMinute: 0, burstsPerMinute: 0, mainsUv: 0 };

describe('synthetic', () => {
  test('the same seed gives the same samples, losses and markers in any chunking', async () => {
    const options = { durationS: 30, loss: 0.05, gaps: [{ atS: 12.3, durationS: 0.8 }] };
    const a = await run({ ...options, chunkS: 0.04 });
    const b = await run({ ...options, chunkS: 0.31 });
    const c = await run({ ...options, chunkS: 0.04, seed: 2 });
    const markers = (events: DriverEvent[]) => events.filter(({ kind }) => kind === 'marker');
    expect(trace(b, 8, 3)).toEqual(trace(a, 8, 3));
    expect(markers(b)).toEqual(markers(a));
    expect(trace(c, 8, 3)).not.toEqual(trace(a, 8, 3));
    const lost = trace(a, 8, 0).filter(Number.isNaN).length;
    expect(lost).toBeGreaterThanOrEqual(0.8 * 250);
    expect(trace(a, 8, 0).slice(3080, 3270).every(Number.isNaN)).toBe(true);
  });

  test('the background falls as 1/f and has the level asked for', async () => {
    const events = await run({ ...quiet, durationS: 120, backgroundUv: 12, labels: ['C3'] });
    const signal = trace(events, 1, 0);
    const ratio = bandPower(signal, 2, 4, 250) / bandPower(signal, 16, 32, 250);
    expect(ratio).toBeGreaterThan(4);
    expect(ratio).toBeLessThan(16);
    const variance = signal.reduce((sum, value) => sum + value * value, 0) / signal.length;
    expect(Math.sqrt(variance)).toBeGreaterThan(10);
    expect(Math.sqrt(variance)).toBeLessThan(14);
  });

  test('alpha stands over the back of the head while the eyes are closed', async () => {
    const events = await run({ ...quiet, alphaUv: 20, durationS: 120, labels: ['Fp1', 'O1'] });
    const closed: number[] = [];
    const open: number[] = [];
    for (const event of events) {
      if (event.kind !== 'marker') continue;
      const from = Math.round((event.marker.stampS - 1000 + 1) * 250);
      const to = from + Math.round(((event.marker.durationS ?? 0) - 1) * 250);
      const alpha = (channel: number): number =>
        bandPower(trace(events, 2, channel).slice(from, to), 9, 11, 250);
      if (to > 120 * 250) continue;
      if (event.marker.text === 'eyes closed') {
        closed.push(alpha(1));
        expect(alpha(1)).toBeGreaterThan(3 * alpha(0));
      } else {
        open.push(alpha(1));
      }
    }
    expect(Math.min(closed.length, open.length)).toBeGreaterThan(2);
    expect(Math.min(...closed)).toBeGreaterThan(2 * Math.max(...open));
  });

  test('mains, blinks and bursts appear on request', async () => {
    const base = { ...quiet, durationS: 60, labels: ['Fp1', 'O1'], backgroundUv: 1 };
    const mains = trace(await run({ ...base, mainsUv: 5, mainsHz: 60 }), 2, 1);
    expect(powerAt(mains, 60, 250)).toBeGreaterThan(1000 * powerAt(mains, 50, 250));
    const blinks = await run({ ...base, blinksPerMinute: 20, blinkUv: 100 });
    expect(Math.max(...trace(blinks, 2, 0))).toBeGreaterThan(80);
    expect(Math.max(...trace(blinks, 2, 1))).toBeLessThan(20);
    const bursts = await run({ ...base, burstsPerMinute: 20, burstUv: 50 });
    expect(bursts.some((e) => e.kind === 'marker' && e.marker.text === 'muscle')).toBe(true);
    expect(Math.max(...trace(bursts, 2, 0), ...trace(bursts, 2, 1))).toBeGreaterThan(80);
  });

  test('options out of range are refused', async () => {
    await expect(run({ rateHz: 0 })).rejects.toMatchObject({ code: 'EEG_USAGE' });
    await expect(run({ loss: 1 })).rejects.toMatchObject({ code: 'EEG_USAGE' });
    await expect(run({ labels: [] })).rejects.toMatchObject({ code: 'EEG_USAGE' });
  });
});
