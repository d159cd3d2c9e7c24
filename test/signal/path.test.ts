/** What the path emits is a function of samples, indices and holes: never of the chunks. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { DriverEvent, StreamInfo } from '../../src/core/stream.js';
import type { ConditionedBlock } from '../../src/signal/block.js';
import { conditionRecording, SignalPath } from '../../src/signal/path.js';
import { cut, type Hole, noise, streamOf } from './recordings.js';

interface Emitted {
  readonly first: number;
  readonly next: number;
  readonly data: readonly Float32Array[];
  readonly valid: readonly Uint8Array[];
  readonly path: SignalPath;
}

/** Run events and lay the blocks end to end, holes filled with invalid zeros. */
function emitted(info: StreamInfo, events: readonly DriverEvent[]): Emitted {
  const path = new SignalPath(info, { ringSeconds: Number.POSITIVE_INFINITY });
  const blocks: ConditionedBlock[] = events.flatMap((event) => path.push(event));
  const next = blocks.reduce((end, block) => Math.max(end, block.index + block.samples), 0);
  const data = path.channels.map(() => new Float32Array(next));
  const valid = path.channels.map(() => new Uint8Array(next));
  for (const block of blocks) {
    for (let c = 0; c < block.channels; c++) {
      const from = c * block.samples;
      data[c].set(block.data.subarray(from, from + block.samples), block.index);
      valid[c].set(block.valid.subarray(from, from + block.samples), block.index);
    }
  }
  return { first: blocks[0]?.index ?? 0, next, data, valid, path };
}

type Samples = Float32Array | Uint8Array;

function sameBytes(a: readonly Samples[], b: readonly Samples[]): boolean {
  const bytes = (x: Samples) => Buffer.from(x.buffer, x.byteOffset, x.byteLength);
  return a.length === b.length && a.every((x, i) => bytes(x).equals(bytes(b[i])));
}

const rates = [50, 100, 125, 128, 160, 173.61, 199.7, 200, 250, 256, 500, 1000];

/** More than four, and not a multiple: some are worked on side by side, some alone. */
const labels = ['Fz', 'Cz', 'Pz', 'C3', 'C4', 'O1'];

/** A recording with holes, NaN bursts and rails, in one rate and any chunking. */
const cases = fc.record({
  rateHz: fc.constantFrom(...rates),
  seed: fc.nat(),
  holes: fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(700)), {
    maxLength: 3,
  }),
  bursts: fc.array(
    fc.record({
      at: fc.double({ min: 0, max: 1, noNaN: true }),
      frames: fc.integer({ min: 1, max: 600 }),
      channel: fc.nat(labels.length - 1),
      value: fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, 1e30, 200_000, -250_000),
    }),
    { maxLength: 4 },
  ),
  sizes: fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 6 }),
});

function made({ rateHz, seed, holes, bursts }: typeof cases extends fc.Arbitrary<infer T> ? T : 0) {
  const channels = labels.length;
  const frames = Math.round(rateHz * 11);
  const data = noise(rateHz, channels, frames, seed);
  for (const { at, frames: length, channel, value } of bursts) {
    const from = Math.floor(at * frames);
    for (let f = from; f < Math.min(frames, from + length); f++) {
      data[f * channels + channel] = value;
    }
  }
  const gaps = holes.map(([at, length]): Hole => {
    const from = 1 + Math.floor(at * frames);
    return [from, from + length];
  });
  return { data, gaps, info: streamOf(rateHz, labels, 187_500) };
}

describe('the signal path', () => {
  test('emits the same bits however its input is cut', () => {
    fc.assert(
      fc.property(cases, (drawn) => {
        const { data, gaps, info } = made(drawn);
        const whole = cut(data, labels.length, drawn.rateHz, () => 1e9, gaps);
        let turn = 0;
        const sizes = () => drawn.sizes[turn++ % drawn.sizes.length];
        const pieces = cut(data, labels.length, drawn.rateHz, sizes, gaps);
        const a = emitted(info, whole);
        const b = emitted(info, pieces);
        expect(b.next).toBe(a.next);
        expect(sameBytes(a.data, b.data) && sameBytes(a.valid, b.valid)).toBe(true);
        expect(b.path.quality()).toEqual(a.path.quality());
        expect(b.path.mains).toBe(a.path.mains);
        expect(b.path.lostSamples).toBe(a.path.lostSamples);
        expect(a.data.every((row) => row.every(Number.isFinite))).toBe(true);
      }),
      { numRuns: 150 },
    );
  });

  test('cuts the same patches from a live ring and from a stored recording', () => {
    fc.assert(
      fc.property(cases, (drawn) => {
        const { data, gaps, info } = made(drawn);
        const stored = conditionRecording(
          info,
          cut(data, labels.length, drawn.rateHz, () => 1e9, gaps),
        );
        const live = new SignalPath(info, { ringSeconds: 2 });
        const count = labels.length;
        const [liveOut, storedOut] = [new Float32Array(200 * count), new Float32Array(200 * count)];
        const [liveMask, storedMask] = [new Float32Array(count), new Float32Array(count)];
        let end = 0;
        for (const event of cut(data, labels.length, drawn.rateHz, () => drawn.sizes[0], gaps)) {
          live.push(event);
          // A long chunk or hole may carry the ring past its two seconds: those ends are skipped.
          end = Math.max(end, Math.ceil(live.ring.firstIndex / 50) * 50 + 200);
          for (; end <= live.ring.nextIndex; end += 50) {
            const usable = live.ring.patches(end, liveOut, liveMask);
            expect(stored.ring.patches(end, storedOut, storedMask)).toBe(usable);
            expect(sameBytes([liveOut, liveMask], [storedOut, storedMask])).toBe(true);
          }
        }
      }),
      { numRuns: 150 },
    );
  });

  test('knows no arrival times but in its stamps', () => {
    const info = streamOf(250, ['Fz', 'Cz', 'Pz']);
    const events = cut(noise(250, 3, 2500, 1), 3, 250, () => 10);
    const late = events.map((event, i): DriverEvent => {
      if (event.kind !== 'chunk') return event;
      const arrivalS = event.chunk.arrivalS * 3 + (i % 7);
      return { kind: 'chunk', chunk: { ...event.chunk, arrivalS } };
    });
    const [a, b] = [emitted(info, events), emitted(info, late)];
    expect(b.data).toEqual(a.data);
    expect(b.valid).toEqual(a.valid);
  });

  test('usable patches are the rule where nothing is wrong', () => {
    const info = streamOf(160, ['Fz', 'Cz', 'Pz']);
    const { ring } = conditionRecording(
      info,
      cut(noise(160, 3, 1600, 1), 3, 160, () => 64),
    );
    const [out, mask] = [new Float32Array(600), new Float32Array(3)];
    let usable = 0;
    for (let end = 50; end <= ring.nextIndex; end += 50) usable += ring.patches(end, out, mask);
    // Of 37 patches in ten seconds, five begin in the first second, where the filters settle.
    expect(usable).toBe(3 * 32);
  });
});

describe('stamps of blocks', () => {
  const rateHz = 250;
  const info = streamOf(rateHz, ['Fz', 'Cz', 'Pz']);

  /** Source stamps of frame 0 at 500 s. */
  function stamped(events: readonly DriverEvent[]): DriverEvent[] {
    return events.map((event) => {
      if (event.kind !== 'chunk') return event;
      const { index, frames } = event.chunk;
      const stamps = Float64Array.from({ length: frames }, (_, f) => 500 + (index + f) / rateHz);
      return { kind: 'chunk', chunk: { ...event.chunk, stamps } };
    });
  }

  test('are those of the source, the group delay taken off, holes counted', () => {
    const events = stamped(cut(noise(rateHz, 3, 2500, 1), 3, rateHz, () => 25, [[1000, 1400]]));
    const path = new SignalPath(info);
    const blocks = events.flatMap((event) => path.push(event));
    let last = 0;
    for (const { index, stampS } of blocks) {
      expect(stampS).toBeGreaterThan(last);
      last = stampS;
      // The line needs a few observations; the slope's prior is that of liblsl.
      if (index > 50) expect(stampS).toBeCloseTo(500 + index / 200 - path.groupDelayS, 6);
    }
    expect(path.stampS(1000)).toBeCloseTo(505 - path.groupDelayS, 6);
    expect(path.rateHz).toBeCloseTo(rateHz, 5);
    expect(path.groupDelayS).toBeGreaterThan(0.02);
    expect(path.groupDelayS).toBeLessThan(0.04);
  });

  test('carry the arrival of the frames behind them', () => {
    const path = new SignalPath(info);
    const events = cut(noise(rateHz, 3, 500, 1), 3, rateHz, () => 25);
    for (const event of events) {
      const arrivals = path.push(event).map(({ arrivalS }) => arrivalS);
      const own = event.kind === 'chunk' ? event.chunk.arrivalS : Number.NaN;
      expect(arrivals.every((arrivalS) => arrivalS === own)).toBe(true);
    }
  });
});
