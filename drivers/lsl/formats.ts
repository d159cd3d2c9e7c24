/**
 * The seven channel formats of LSL and the arrays that hold their values. Samples lie frame by
 * frame: `[frames, channels]`.
 */

export const sampleFormats = [
  'float32',
  'double64',
  'string',
  'int32',
  'int16',
  'int8',
  'int64',
] as const;

export type SampleFormat = (typeof sampleFormats)[number];
export type NumericFormat = Exclude<SampleFormat, 'string'>;

export interface SampleArrays {
  float32: Float32Array;
  double64: Float64Array;
  string: string[];
  int32: Int32Array;
  int16: Int16Array;
  int8: Int8Array;
  int64: BigInt64Array;
}

export type SampleArray = SampleArrays[SampleFormat];
export type NumericArray = SampleArrays[NumericFormat];

/** Bytes of one value on the wire; 0 for strings, whose length is sent with each. */
export const valueBytes: Readonly<Record<SampleFormat, number>> = {
  float32: 4,
  double64: 8,
  string: 0,
  int32: 4,
  int16: 2,
  int8: 1,
  int64: 8,
};

export function isSampleFormat(text: string): text is SampleFormat {
  return (sampleFormats as readonly string[]).includes(text);
}

export function makeNumericArray(format: NumericFormat, length: number): NumericArray {
  switch (format) {
    case 'float32':
      return new Float32Array(length);
    case 'double64':
      return new Float64Array(length);
    case 'int32':
      return new Int32Array(length);
    case 'int16':
      return new Int16Array(length);
    case 'int8':
      return new Int8Array(length);
    case 'int64':
      return new BigInt64Array(length);
  }
}

/** Added to the pattern so that every byte of a value is seen to be in its place. */
const patternBase: Readonly<Record<NumericFormat, bigint>> = {
  float32: 0n,
  double64: 16777217n,
  int32: 65537n,
  int16: 257n,
  int8: 1n,
  int64: 2147483649n,
};

const patternModulus: Partial<Record<NumericFormat, bigint>> = {
  int32: 2147483647n,
  int16: 32767n,
  int8: 127n,
};

/** Time stamp of both test-pattern samples that open a 1.10 feed. */
export const patternStampS = 123456.789;
/** A feed opens with two samples of these offsets, so that both ends see that they agree. */
export const patternOffsets = [4, 2] as const;

/** Value of channel `channel` in the test pattern (liblsl's `assign_test_pattern`). */
export function patternValue(
  format: SampleFormat,
  channel: number,
  offset: number,
): number | bigint | string {
  const sign = channel % 2 === 1 ? -1n : 1n;
  if (format === 'string') return String(sign * BigInt(channel + 10));
  let value = BigInt(channel) + BigInt(offset) + patternBase[format];
  const modulus = patternModulus[format];
  if (modulus !== undefined) value %= modulus;
  return format === 'int64' ? sign * value : Number(sign * value);
}
