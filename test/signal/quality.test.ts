/** Quality, mains decision, running scale and the patches they lead to. */
import { describe, expect, test } from 'vitest';
import { conditionRecording, SignalPath } from '../../src/signal/path.js';
import { SignalRing } from '../../src/signal/ring.js';
import { RunningScale } from '../../src/signal/scale.js';
import { cut, noise, streamOf } from './recordings.js';

const rateHz = 250;
const info = streamOf(rateHz, ['Fz', 'Cz', 'Pz'], 187_500);

/** Twelve seconds whose second channel is changed sample by sample from 8 s on. */
function altered(change: (x: number, f: number) => number, fromS = 8) {
  const data = noise(rateHz, 3, 12 * rateHz, 11);
  for (let f = fromS * rateHz; f < 12 * rateHz; f++) data[f * 3 + 1] = change(data[f * 3 + 1], f);
  return data;
}

function judged(data: Float32Array) {
  const path = conditionRecording(
    info,
    cut(data, 3, rateHz, () => 1e9),
  );
  const [out, mask] = [new Float32Array(600), new Float32Array(3)];
  path.ring.patches(path.ring.nextIndex, out, mask);
  return { path, mask: [...mask], out, quality: path.quality() };
}

const hum = (hz: number, uv: number) => (x: number, f: number) =>
  x + uv * Math.sin((2 * Math.PI * hz * f) / rateHz);

describe('quality', () => {
  test.each([
    ['good', (x: number) => x, 1],
    ['flat', () => 12.5, 0],
    ['flat', (_: number, f: number) => 90_000 + 0.05 * (f % 2), 0],
    ['railed', () => 187_500, 0],
    ['railed', (x: number, f: number) => (f % 10 === 0 ? -186_000 : x), 0],
    ['nan', (x: number, f: number) => (f % 400 === 390 ? Number.NaN : x), 0],
    ['mains', hum(50, 60), 1],
    ['mains', hum(60, 60), 1],
    ['noisy', hum(7, 3000), 1],
  ])('%s', (state, change, usable) => {
    const { quality, mask } = judged(altered(change));
    expect(quality[1].state).toBe(state);
    expect(quality.map(({ label }) => label)).toEqual(['Fz', 'Cz', 'Pz']);
    expect(quality[0].state).toBe('good');
    expect(mask).toEqual([1, usable, 1]);
  });

  test('a few railed samples (under 5 %) do not condemn a channel', () => {
    const { quality, mask } = judged(altered((x, f) => (f % 100 === 0 ? 187_500 : x)));
    expect(quality[1].state).not.toBe('railed');
    expect(mask[1]).toBe(1);
  });

  test('a gap is told, and over a second later forgotten', () => {
    const data = noise(rateHz, 3, 12 * rateHz, 11);
    const path = new SignalPath(info);
    const events = cut(data, 3, rateHz, () => 50, [[2500, 2510]]);
    const states = events.map((event) => {
      path.push(event);
      return path.quality()[2]?.state;
    });
    expect(states.filter((state) => state === 'gap').length).toBeGreaterThanOrEqual(5);
    expect(states.at(-1)).toBe('good');
  });

  test('tells the mains ratio and the rms of known waves', () => {
    const data = new Float32Array(12 * rateHz * 3);
    for (let f = 0; f < 12 * rateHz; f++) {
      const t = f / rateHz;
      const x = 20 * Math.SQRT2 * Math.sin(2 * Math.PI * 10 * t);
      const y = 10 * Math.SQRT2 * Math.sin(2 * Math.PI * 50 * t);
      data.set([x + y, x, x], f * 3);
    }
    const [hummed, clean] = judged(data).quality;
    expect(hummed.rmsUv).toBeCloseTo(20, 0);
    expect(hummed.mainsRatio).toBeCloseTo((10 / 20) ** 2, 2);
    expect(clean.mainsRatio).toBeLessThan(1e-4);
  });

  test('a released rail does not ring on: the channel is usable 2.5 s later', () => {
    const stuck = altered((x, f) => (f < 9 * rateHz ? 187_500 : x));
    const { mask, quality, out } = judged(stuck);
    expect(mask[1]).toBe(1);
    expect(quality[1].state).toBe('good');
    expect(Math.max(...out.subarray(200, 400).map(Math.abs))).toBeLessThan(8);
  });
});

describe('mains', () => {
  const everywhere = (hz: number, uv: number) => {
    const data = noise(rateHz, 3, 12 * rateHz, 11);
    for (let f = 0; f < 12 * rateHz; f++) {
      for (let c = 0; c < 3; c++) data[f * 3 + c] = hum(hz, uv)(data[f * 3 + c], f);
    }
    return data;
  };

  test.each([
    [50, 10, 50],
    [60, 10, 60],
    [50, 0, 'none'],
  ])('auto finds %d Hz of %d uV: %s', (hz, uv, found) => {
    const { path } = judged(everywhere(hz, uv));
    expect(path.mains).toBe(found);
  });

  test.each([50, 60] as const)('%d Hz of 200 uV is gone, asked for or found', (hz) => {
    const clean = conditionRecording(
      info,
      cut(everywhere(hz, 0), 3, rateHz, () => 1e9),
    );
    for (const mainsHz of [hz, 'auto'] as const) {
      const events = cut(everywhere(hz, 200), 3, rateHz, () => 1e9);
      const { ring } = conditionRecording(info, events, { mainsHz });
      const [got, wanted] = [ring.copy(2000, 2400), clean.ring.copy(2000, 2400)];
      const worst = Math.max(...got.data.map((x, i) => Math.abs(x - wanted.data[i])));
      expect(worst).toBeLessThan(3);
    }
  });

  test('is left in where it is not asked to be taken out', () => {
    const events = cut(everywhere(50, 200), 3, rateHz, () => 1e9);
    const { ring } = conditionRecording(info, events, { mainsHz: 'none' });
    expect(Math.max(...ring.copy(2000, 2400).data)).toBeGreaterThan(50);
  });
});

describe('the running scale', () => {
  test('is the mean at first, forgets over 20 minutes, and cuts outliers', () => {
    const scale = new RunningScale(1);
    expect(scale.update(0, 0, 10)).toBe(0);
    expect(scale.update(0, 50 * 8, 50)).toBeCloseTo(8, 12);
    expect(scale.update(0, 25 * 4, 25)).toBeCloseTo(6, 3);
    // 6 counts twice; the outlier counts as 4 x 6.
    expect(scale.update(0, 50 * 1e6, 50)).toBeCloseTo((8 + 4 + 24) / 3, 2);
    for (let tick = 0; tick < 4 * 1200; tick++) scale.update(0, 50 * 20, 50);
    expect(scale.update(0, 0, 0)).toBeGreaterThan(19.9);
    for (let tick = 0; tick < 4 * 1200; tick++) scale.update(0, 50 * 10, 50);
    // One time constant later 1/e of the way is left, more for the young average.
    const left = (scale.update(0, 0, 0) - 10) / 10;
    expect(left).toBeGreaterThan(0.25);
    expect(left).toBeLessThan(1 / Math.E);
  });

  test('never falls below 0.1 uV', () => {
    const scale = new RunningScale(1);
    expect(scale.update(0, 0, 50)).toBe(0.1);
  });

  test('makes patches independent of gain', () => {
    const data = noise(rateHz, 3, 10 * rateHz, 4);
    const a = judged(data);
    const b = judged(data.map((x) => x * 8));
    const worst = Math.max(...a.out.map((x, i) => Math.abs(x - b.out[i])));
    expect(worst).toBeLessThan(1e-3);
    expect(Math.max(...a.out)).toBeGreaterThan(1);
  });
});

describe('the ring', () => {
  const path = judged(noise(rateHz, 3, 12 * rateHz, 4)).path;
  const [out, mask] = [new Float32Array(600), new Float32Array(3)];

  test('a patch is the samples over the scale of its last tick', () => {
    expect(path.ring.patches(1850, out, mask)).toBe(3);
    const { data } = path.ring.copy(1650, 1850);
    for (let c = 0; c < 3; c++) {
      const scale = path.ring.scaleAt(c, 1850);
      const expected = data.subarray(c * 200, c * 200 + 200).map((x) => x / scale);
      expect(out.subarray(c * 200, c * 200 + 200)).toEqual(expected);
    }
  });

  test('clips at 20 scales', () => {
    const wild = judged(altered((x, f) => (f % 500 === 480 ? x + 50_000 : x)));
    expect(Math.max(...wild.out)).toBe(20);
  });

  test('what is not held, or not yet there, is not usable', () => {
    for (const end of [0, 150, path.ring.nextIndex + 50, 1e6]) {
      out.fill(3);
      expect(path.ring.patches(end, out, mask)).toBe(0);
      expect([...out, ...mask].every((x) => x === 0)).toBe(true);
    }
    expect(() => path.ring.patches(125, out, mask)).toThrow(/multiple of 50/);
    expect(() => path.ring.patches(200, new Float32Array(10), mask)).toThrow(/room for 3/);
  });

  test('holds what it was asked to and lets the rest go', () => {
    const live = new SignalPath(info, { ringSeconds: 10 });
    const data = noise(rateHz, 3, 60 * rateHz, 4);
    for (const event of cut(data, 3, rateHz, () => 40)) live.push(event);
    expect(live.ring.nextIndex).toBe(12_000);
    expect(live.ring.firstIndex).toBeGreaterThan(12_000 - 200 * 21);
    expect(live.ring.firstIndex).toBeLessThanOrEqual(12_000 - 2000);
    expect(live.ring.patches(10_200, out, mask)).toBe(3);
    expect(live.ring.patches(6000, out, mask)).toBe(0);
    expect(live.ring.copy(5000, 5010).valid.every((v) => v === 0)).toBe(true);
  });

  test('an empty ring holds nothing', () => {
    const ring = new SignalRing(2, 60);
    expect(ring.firstIndex).toBe(0);
    expect(ring.copy(0, 10).valid.every((v) => v === 0)).toBe(true);
  });
});
