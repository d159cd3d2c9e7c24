/** Safetensors: what is written is read back; every malformed file is refused with its reason. */
import { describe, expect, test } from 'vitest';
import { isEegError } from '../../src/core/errors.js';
import { fromFloat16, toFloat16 } from '../../src/formats/float16.js';
import {
  headerBytesMax,
  readSafetensors,
  roundTo,
  writeSafetensors,
} from '../../src/formats/safetensors.js';
import { seeded } from '../support/model-fixture.js';

const bytesOf = (header: string | object, data = 0): Uint8Array => {
  const text = typeof header === 'string' ? header : JSON.stringify(header);
  const raw = new TextEncoder().encode(text);
  const out = new Uint8Array(8 + raw.length + data);
  new DataView(out.buffer).setBigUint64(0, BigInt(raw.length), true);
  out.set(raw, 8);
  return out;
};

function refusal(bytes: Uint8Array): string {
  try {
    readSafetensors(bytes);
  } catch (error) {
    if (isEegError(error, 'EEG_MODEL_INVALID')) return error.message;
    throw error;
  }
  return 'accepted';
}

describe('float16', () => {
  test('every finite half survives', () => {
    for (let half = 0; half < 65536; half++) {
      const value = fromFloat16(half);
      if (Number.isNaN(value)) expect(fromFloat16(toFloat16(value))).toBeNaN();
      else expect(toFloat16(value)).toBe(half);
    }
  });

  test('rounds to the nearest half, ties to even', () => {
    const { rng, seed } = seeded();
    for (let i = 0; i < 20_000; i++) {
      const value = Math.fround((rng.uniform() * 2 - 1) * 2 ** (rng.below(44) - 28));
      const half = toFloat16(value);
      const error = Math.abs(fromFloat16(half) - value);
      for (const other of [half - 1, half + 1]) {
        const distance = Math.abs(fromFloat16(other & 0xffff) - value);
        if (Number.isFinite(distance) && error > 0)
          expect(error, `${value}, seed ${seed}`).toBeLessThanOrEqual(distance);
      }
    }
    expect(fromFloat16(toFloat16(1 + 2 ** -11))).toBe(1);
    expect(fromFloat16(toFloat16(1 + 3 * 2 ** -11))).toBe(1 + 2 ** -9);
    expect(toFloat16(65520)).toBe(0x7c00);
    expect(fromFloat16(toFloat16(65519))).toBe(65504);
  });
});

describe('round trip', () => {
  test.each(['F32', 'F16'] as const)('%s', (type) => {
    const { rng } = seeded();
    const tensors = new Map([
      ['a', { shape: [3, 5], data: Float32Array.from({ length: 15 }, () => rng.normal()) }],
      ['scalar', { shape: [], data: Float32Array.of(7) }],
      ['empty', { shape: [0, 4], data: new Float32Array(0) }],
      ['__proto__', { shape: [1], data: Float32Array.of(1) }],
    ]);
    const read = readSafetensors(writeSafetensors(tensors, type, { made: 'here' }));
    expect(read.metadata).toEqual({ made: 'here' });
    for (const [name, { shape, data }] of tensors)
      expect(read.tensors.get(name)).toEqual({ shape, data: roundTo(data, type) });
    expect(read.tensors.size).toBe(tensors.size);
  });
});

const one = (change: object) => ({
  a: { dtype: 'F32', shape: [2], data_offsets: [0, 8], ...change },
});
const faults: [string, Uint8Array, RegExp][] = [
  ['no header length', new Uint8Array(7), /8 bytes/],
  ['a header of 2^63 bytes', Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 128), /9223372036854775808/],
  ['a header longer than the file', Uint8Array.of(9, 0, 0, 0, 0, 0, 0, 0, 123), /truncated/],
  ['a header over the cap', bytesOf(`{${' '.repeat(headerBytesMax)}}`), /at most/],
  ['no JSON', bytesOf('{"a":'), /not valid JSON/],
  ['no object', bytesOf('[1]'), /begin with/],
  ['bytes that are no UTF-8', bytesOf('{"a":1}').fill(255, 9, 10), /not valid JSON/],
  ['deep nesting', bytesOf(`{"a":${'['.repeat(500_000)}`), /not valid JSON/],
  ['a key twice', bytesOf(`{"a":1, "\\u0061":2}`), /"a" twice/],
  ['a field twice', bytesOf('{"a":{"dtype":"F32","dtype":"F16"}}'), /"dtype" twice/],
  ['an unknown type', bytesOf(one({ dtype: 'I64' }), 8), /"a" is I64/],
  ['a negative size', bytesOf(one({ shape: [-2] }), 8), /"a" has a shape/],
  ['a fractional size', bytesOf(one({ shape: [1.5] }), 8), /"a" has a shape/],
  ['an overflowing shape', bytesOf(one({ shape: [2 ** 40, 2 ** 40] }), 8), /overflows/],
  ['a shape that overflows to zero', bytesOf(one({ shape: [2 ** 52, 2 ** 52, 0] }), 8), /needs 0/],
  ['offsets of another size', bytesOf(one({ data_offsets: [0, 4] }), 4), /needs 8/],
  ['offsets the wrong way', bytesOf(one({ data_offsets: [8, 0] }), 8), /needs 8/],
  ['a hole', bytesOf(one({ data_offsets: [4, 12] }), 12), /hole/],
  ['data beyond the tensors', bytesOf(one({}), 12), /cover 8 bytes/],
  ['missing data', bytesOf(one({}), 4), /cover 8 bytes/],
  ['a field of its own', bytesOf(one({ code: 'x' }), 8), /fields/],
  ['a tensor that is a list', bytesOf('{"a":[]}'), /object/],
  ['metadata that is no text', bytesOf('{"__metadata__":{"a":1}}'), /__metadata__/],
  [
    'overlap',
    bytesOf({ ...one({}), b: { dtype: 'F32', shape: [1], data_offsets: [4, 8] } }, 8),
    /overlap/,
  ],
  [
    'too many tensors',
    bytesOf(`{${Array.from({ length: 5000 }, (_, i) => `"${i}":{}`).join()}}`),
    /5000 tensors/,
  ],
];

test.each(faults)('refused: %s', (_, bytes, reason) => expect(refusal(bytes)).toMatch(reason));

test('random damage to the header never does worse than refuse or read another value', () => {
  const { rng, seed } = seeded();
  const good = writeSafetensors(
    new Map([['abc', { shape: [4], data: new Float32Array(4) }]]),
    'F32',
  );
  for (let i = 0; i < 3000; i++) {
    const bytes = good.slice();
    for (let n = 0; n <= rng.below(3); n++) bytes[rng.below(bytes.length)] = rng.below(256);
    expect(() => refusal(bytes), `seed ${seed}`).not.toThrow();
  }
});
