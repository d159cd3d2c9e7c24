/** Alignment and read-out: causal, and the same to the last bit live and from stored trials. */
import { expect, test } from 'vitest';
import { cutTrial } from '../../src/adaptation/cut-trial.js';
import { RawRing } from '../../src/adaptation/raw-ring.js';
import {
  fitReadout,
  type SpectralTrial,
  trialEvidence,
  windowEvidence,
} from '../../src/adaptation/readout-trainer.js';
import { trialSpectra } from '../../src/adaptation/trial-latents.js';
import { decodeTrial, encodeTrial } from '../../src/adaptation/trial-signal.js';
import { evidenceOf, type Readout } from '../../src/core/readout.js';
import { Rng } from '../../src/core/rng.js';
import type { DriverEvent } from '../../src/core/stream.js';
import { alignmentKinds, alignmentMatrix, RunningCovariance } from '../../src/signal/alignment.js';
import { SignalPath } from '../../src/signal/path.js';
import { bandCount } from '../../src/windows/spectra.js';
import { streamReadout } from '../../src/windows/stream-readout.js';

const labels = ['C3', 'C4', 'Cz'];
const rateHz = 250;

/** A stream of coloured noise, mixed over the channels, with a hole at 18 s. */
function play(path: SignalPath, raw: RawRing, seconds: number, seed = 3): Float32Array {
  const rng = new Rng(seed);
  const all = new Float32Array(seconds * rateHz * 3);
  const slow = [0, 0, 0];
  for (let i = 0; i < seconds * rateHz; i++) {
    for (let c = 0; c < 3; c++) slow[c] = 0.9 * (slow[c] as number) + rng.normal();
    for (let c = 0; c < 3; c++)
      all[3 * i + c] = 10 * ((slow[c] as number) + 0.8 * (slow[(c + 1) % 3] as number));
  }
  for (let index = 0; index < seconds * rateHz; index += 25) {
    if (index === 18 * rateHz) continue;
    const data = all.slice(3 * index, 3 * (index + 25));
    const stamps = Float64Array.from({ length: 25 }, (_, i) => 100 + (index + i) / rateHz);
    const chunk = { index, frames: 25, data, stamps, arrivalS: 100 + (index + 25) / rateHz };
    const event: DriverEvent = { kind: 'chunk', chunk };
    path.push(event);
    raw.take(event);
  }
  return all;
}

function stream(): { path: SignalPath; raw: RawRing } {
  const channels = labels.map((label) => ({ label, kind: 'eeg' as const, unit: 'uV' }));
  const info = { id: 'amp', name: 'amp', driver: 'test', rateHz, channels };
  return { path: new SignalPath(info, { mainsHz: 50 }), raw: new RawRing(rateHz) };
}

function sourceOf(path: SignalPath, raw: RawRing) {
  const { ring } = path;
  return {
    ...{ id: 'amp', channels: labels, positions: path.electrodes },
    ...{ firstSample: ring.firstIndex, nextSample: ring.nextIndex },
    stampS: (index: number) => path.stampS(index),
    copy: (start: number, end: number) => ring.copy(start, end),
    scaleAt: (channel: number, end: number) => ring.scaleAt(channel, end),
    reference: (index: number) => path.covariance.at(index),
    ...{ rawChannels: path.info.channels, rawRateHz: rateHz },
    raw: (start: number, end: number) =>
      raw.cut(path.frameAt(start) as number, path.frameAt(end) as number),
  };
}

const linearMap = (features: number, mean: number) => ({
  bias: [0.25, -0.5],
  mean: new Array<number>(features).fill(mean),
  sd: new Array<number>(features).fill(1.5),
  weights: Array.from({ length: 2 * features }, (_, i) => Math.sin(i)),
});

test('a stored trial gives the spectra and evidence of the live stream, to the last bit', () => {
  const { path, raw } = stream();
  play(path, raw, 42);
  const source = sourceOf(path, raw);
  // Over the change of the reference at 20 s, near the hole, and before the first reference.
  for (const startS of [16.5, 18, 18.75, 4, 33.25]) {
    const cut = cutTrial(source, { startS: path.stampS(200 * startS), durationS: 5 });
    if (cut === undefined) throw new Error('expected a trial');
    expect(cut.startSample).toBe(200 * startS);
    const bytes = encodeTrial(cut.signal);
    const known = cut.signal.references ?? [];
    const { raw: kept } = cut.signal;
    const layout = { samples: 1000, references: known.map(({ from }) => from), raw: kept };
    const head = { channels: labels, raw: { channels: labels } };
    const stored = decodeTrial(Uint8Array.from(bytes), layout, head);
    expect(stored).toEqual(cut.signal);
    const spectra = trialSpectra(stored, 3, 2);
    for (const kind of alignmentKinds) {
      const readout = {
        ...{ alignment: kind, channels: labels },
        ...linearMap(3 * bandCount, -4),
        covariance: {
          ...linearMap(12, 0),
          reference: Array.from({ length: 12 }, (_, i) => ([0, 2, 5].includes(i % 6) ? 0.05 : 0)),
        },
      };
      const live = streamReadout(
        readout,
        {
          ...{ channels: 3, labels },
          patches: (end, out, mask) => void path.ring.patches(end, out, mask),
          reference: (end) => path.covariance.at(end)?.covariance,
        },
        2,
      );
      for (const end of [400, 550, 700, 1000]) {
        const own = spectra(end);
        const expected = live?.evidence(cut.startSample + end);
        if (own === undefined) expect(expected).toBeUndefined();
        else expect(windowEvidence(readout)(own)).toEqual(expected);
      }
    }
  }
});

test('raw samples are those that the amplifier sent, with what came before the trial', () => {
  const { path, raw } = stream();
  const all = play(path, raw, 30);
  const cut = cutTrial(sourceOf(path, raw), { startS: 100 + 16, durationS: 4 });
  const kept = cut?.signal.raw;
  expect(kept?.lead).toBe(1000);
  expect(kept?.frames).toBe(2000);
  // The trial begins on the 0.25 s grid, so within half of that of what was asked for.
  const first = Math.round(((cut?.startS ?? 0) - 100) * rateHz) - 1000;
  expect(Math.abs(first - 12 * rateHz)).toBeLessThanOrEqual(0.125 * rateHz + 1);
  const hole = 18 * rateHz;
  for (let i = 0; i < 2000; i++) {
    const frame = first + i;
    const lost = frame >= hole && frame < hole + 25;
    for (let c = 0; c < 3; c++) {
      const got = kept?.data[3 * i + c];
      if (lost) expect(got).toBeNaN();
      else expect(got).toBe(all[3 * frame + c]);
    }
  }
});

test('what is known of the channels is never of what comes later', () => {
  const whole = stream();
  const cut = stream();
  play(whole.path, whole.raw, 40);
  play(cut.path, cut.raw, 31);
  expect(cut.path.covariance.at(9 * 200)).toBeUndefined();
  for (const second of [10, 15, 20, 29, 30])
    expect(cut.path.covariance.at(200 * second)).toEqual(whole.path.covariance.at(200 * second));
  expect(whole.path.covariance.at(200 * 40)?.from).toBe(200 * 40);
});

test('Euclidean alignment makes the mean covariance white, z-scores make its diagonal one', () => {
  const { path, raw } = stream();
  play(path, raw, 20);
  const covariance = path.covariance.at(200 * 20)?.covariance as Float32Array;
  const white = alignmentMatrix('euclidean', covariance);
  const product = (a: ArrayLike<number>, b: ArrayLike<number>) =>
    Array.from({ length: 9 }, (_, i) => {
      const [row, column] = [Math.floor(i / 3), i % 3];
      return [0, 1, 2].reduce(
        (sum, k) => sum + (a[3 * row + k] as number) * (b[3 * k + column] as number),
        0,
      );
    });
  const after = product(product(white, covariance), white);
  const power =
    ((covariance[0] as number) + (covariance[4] as number) + (covariance[8] as number)) / 3;
  for (const [i, value] of after.entries()) expect(value).toBeCloseTo(i % 4 === 0 ? power : 0, 4);
  const z = alignmentMatrix('zscore', covariance);
  expect((z[4] as number) ** 2 * (covariance[4] as number)).toBeCloseTo(1, 5);
});

test('a loud second moves the mean by little, a masked channel not at all', () => {
  const rng = new Rng(1);
  const running = new RunningCovariance(2);
  const quiet = () => Float32Array.from({ length: 400 }, () => rng.normal());
  const all = Float32Array.of(1, 1);
  for (let s = 1; s <= 9; s++) running.update(200 * s, quiet(), all);
  running.update(
    2000,
    quiet().map((value) => 20 * value),
    all,
  );
  const loud = running.at(2000)?.covariance as Float32Array;
  expect(loud[0]).toBeLessThan(1.6);
  for (let s = 11; s <= 20; s++)
    running.update(200 * s, quiet().fill(99, 200), Float32Array.of(1, 0));
  expect(running.at(4000)?.covariance[3]).toBe(loud[3]);
});

test('the alignment is chosen on held-out trials, and told with the read-out', () => {
  const rng = new Rng(8);
  const noise = () => Float64Array.from({ length: 3 * bandCount }, () => rng.normal());
  const trials = Array.from({ length: 40 }, (_, i): SpectralTrial => {
    const label = i % 2;
    const euclidean = noise();
    euclidean[4] += 2 * label;
    return { label, spectra: [{ none: noise(), zscore: noise(), euclidean }] };
  });
  const readout = fitReadout(trials, { classes: 2, channels: labels, seed: 1 });
  expect(readout.alignment).toBe('euclidean');
  const right = trials.filter(({ label, spectra: [one] }) => {
    const evidence = evidenceOf(readout, one?.euclidean ?? []);
    return Number(evidence[1] > evidence[0]) === label;
  });
  expect(right.length).toBeGreaterThanOrEqual(32);
});

test('what only the covariances tell is learned: channels that move together, or against', () => {
  const rng = new Rng(9);
  const powers = () => Float64Array.from({ length: 3 * bandCount }, () => rng.normal());
  const trials = Array.from({ length: 40 }, (_, i): SpectralTrial => {
    const label = i % 2;
    const windows = Array.from({ length: 3 }, () => {
      const together = (label === 0 ? 0.5 : -0.5) + 0.3 * rng.normal();
      const band = [1, together, 1, 0, 0, 1];
      const covariances = Float64Array.from([...band, ...band], (x) => x + 0.05 * rng.normal());
      return { none: powers(), zscore: powers(), euclidean: powers(), covariances };
    });
    return { label, spectra: windows };
  });
  const options = { classes: 2, channels: labels, seed: 1 };
  const rightOf = (readout: Readout) =>
    trials.slice(20).filter(({ label, spectra }) => {
      const evidence = trialEvidence(readout, spectra, 2);
      return Number((evidence[1] as number) > (evidence[0] as number)) === label;
    }).length;
  const readout = fitReadout(trials.slice(0, 20), options);
  expect(readout.covariance?.reference.length).toBe(12);
  expect(rightOf(readout)).toBeGreaterThanOrEqual(17);
  // The powers alone do not know.
  expect(rightOf({ ...readout, covariance: undefined })).toBeLessThan(17);
});
