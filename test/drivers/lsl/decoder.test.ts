/** The parser of samples: any format, any split of the bytes, any byte order; and rubbish. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SampleDecoder } from '../../../drivers/lsl/decoder.js';
import { encodePattern, encodeSamples, type SampleValues } from '../../../drivers/lsl/encoder.js';
import { isLslError } from '../../../drivers/lsl/errors.js';
import { type SampleFormat, sampleFormats } from '../../../drivers/lsl/formats.js';

const rateHz = 100;
const cutsEach = 8;

interface Case {
  readonly format: SampleFormat;
  readonly channels: number;
  readonly littleEndian: boolean;
  readonly values: (number | bigint | string)[];
  /** NaN = deduced. */
  readonly stamps: number[];
  readonly cuts: number[];
}

const integer = (bits: number) => fc.integer({ min: -(2 ** (bits - 1)), max: 2 ** (bits - 1) - 1 });
const arbitraryOf: Record<SampleFormat, fc.Arbitrary<number | bigint | string>> = {
  float32: fc.float(),
  double64: fc.double(),
  int32: integer(32),
  int16: integer(16),
  int8: integer(8),
  int64: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  string: fc.oneof(
    { arbitrary: fc.string({ unit: 'grapheme', maxLength: 6 }), weight: 9 },
    { arbitrary: fc.integer({ min: 250, max: 300 }).map((n) => 'x'.repeat(n)), weight: 1 },
  ),
};

const caseOf: fc.Arbitrary<Case> = fc
  .record({
    format: fc.constantFrom(...sampleFormats),
    channels: fc.integer({ min: 1, max: 5 }),
    frames: fc.integer({ min: 0, max: 6 }),
    littleEndian: fc.boolean(),
  })
  .chain(({ format, channels, frames, littleEndian }) =>
    fc.record({
      format: fc.constant(format),
      channels: fc.constant(channels),
      littleEndian: fc.constant(littleEndian),
      values: fc.array(arbitraryOf[format], {
        minLength: channels * frames,
        maxLength: channels * frames,
      }),
      stamps: fc.array(
        fc.oneof(fc.constant(Number.NaN), fc.double({ noNaN: true, min: 0, max: 1e9 })),
        { minLength: frames, maxLength: frames },
      ),
      cuts: fc.array(fc.nat(), { minLength: cutsEach, maxLength: cutsEach }),
    }),
  );

function bytesOf(one: Case): Buffer {
  const range = { from: 0, to: one.stamps.length };
  return encodeSamples(
    one,
    one.values as unknown as SampleValues,
    one.stamps,
    range,
    one.littleEndian,
  );
}

/** Cut `bytes` at the places, feed the pieces out of one buffer, as a socket does. */
function decode(one: Case, bytes: Buffer): { values: unknown[]; stamps: number[] } {
  const decoder = new SampleDecoder({ ...one, rateHz });
  const places = one.cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b);
  const buffer = Buffer.alloc(bytes.length + 1);
  const values: unknown[] = [];
  const stamps: number[] = [];
  let from = 0;
  for (const to of [...places, bytes.length]) {
    bytes.copy(buffer, 0, from, to);
    decoder.push(buffer, 0, to - from);
    const taken = decoder.take();
    values.push(...Array.from((taken?.data ?? []) as ArrayLike<unknown>));
    stamps.push(...(taken?.stamps ?? []));
    from = to;
  }
  expect(decoder.pendingBytes).toBe(0);
  return { values, stamps };
}

function deduced(stamps: readonly number[]): number[] {
  let last = Number.NaN;
  return stamps.map((one) => {
    last = Number.isNaN(one) ? last + 1 / rateHz : one;
    return last;
  });
}

describe('decoding samples', () => {
  test('any samples come out as they went in, cut at 100,000 random places', () => {
    // fast-check prints the seed of a failure.
    fc.assert(
      fc.property(caseOf, (one) => {
        const got = decode(one, bytesOf(one));
        expect(got.values).toEqual(one.values);
        expect(got.stamps).toEqual(deduced(one.stamps));
      }),
      { numRuns: 100_000 / cutsEach },
    );
  }, 120_000);

  test('rubbish never does more than throw, or wait for more', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...sampleFormats),
        fc.uint8Array({ maxLength: 200 }),
        fc.boolean(),
        (format, bytes, littleEndian) => {
          const decoder = new SampleDecoder({ format, channels: 2, rateHz, littleEndian });
          try {
            decoder.push(bytes);
          } catch (error) {
            expect(isLslError(error, 'protocol')).toBe(true);
          }
        },
      ),
      { numRuns: 20_000 },
    );
  }, 60_000);

  test('a string longer than the limit is refused before it is held', () => {
    const shape = { format: 'string', channels: 1, rateHz: 0, littleEndian: true } as const;
    const decoder = new SampleDecoder({ ...shape, stringBytesMax: 1000 });
    const huge = Buffer.from([1, 8, 0, 0, 0, 0, 0, 0, 0, 0x7f]);
    expect(() => decoder.push(huge)).toThrow(/at most 1000 bytes/);
  });

  test('a stamp of the test pattern is no base for those that follow', () => {
    const shape = { format: 'int16', channels: 3 } as const;
    const decoder = new SampleDecoder({ ...shape, rateHz, littleEndian: true, patternSamples: 2 });
    decoder.push(encodePattern(shape, true));
    const range = { from: 0, to: 2 };
    decoder.push(encodeSamples(shape, [1, 2, 3, 4, 5, 6], [Number.NaN, 50], range, true));
    expect([...(decoder.take()?.stamps ?? [])]).toEqual([123456.789, 123456.789, Number.NaN, 50]);
  });

  test('the pattern is that of liblsl', () => {
    const values = (format: SampleFormat, channels: number) => {
      const decoder = new SampleDecoder({ format, channels, rateHz, littleEndian: false });
      decoder.push(encodePattern({ format, channels }, false));
      return Array.from(decoder.take()?.data as ArrayLike<unknown>);
    };
    expect(values('float32', 3)).toEqual([4, -5, 6, 2, -3, 4]);
    expect(values('int8', 3)).toEqual([5, -6, 7, 3, -4, 5]);
    expect(values('int64', 2)).toEqual([2147483653n, -2147483654n, 2147483651n, -2147483652n]);
    expect(values('string', 2)).toEqual(['10', '-11', '10', '-11']);
  });
});
