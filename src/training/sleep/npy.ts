/** Arrays as NumPy stores them (NEP 1): float32 and uint8, C order: all the sleep powers need. */
import { readFileSync } from 'node:fs';
import { EegError } from '../../core/errors.js';

export interface NpyArray {
  readonly shape: readonly number[];
  readonly data: Float32Array | Uint8Array;
}

export function readNpy(path: string): NpyArray {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    throw new EegError('EEG_FILE_NOT_FOUND', `cannot read ${path}`, { cause });
  }
  if (bytes.subarray(0, 6).toString('latin1') !== '\x93NUMPY')
    throw new EegError('EEG_FILE_FORMAT', `${path}: expected a NumPy array`);
  const wide = bytes[6] >= 2;
  const headerBytes = wide ? bytes.readUInt32LE(8) : bytes.readUInt16LE(8);
  const start = (wide ? 12 : 10) + headerBytes;
  const header = bytes.subarray(wide ? 12 : 10, start).toString('latin1');
  const type = /'descr':\s*'([^']+)'/.exec(header)?.[1];
  const shape = (/'shape':\s*\(([^)]*)\)/.exec(header)?.[1] ?? '')
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map(Number);
  const size = shape.reduce((a, b) => a * b, 1);
  const itemBytes = type === '<f4' ? 4 : type === '|u1' ? 1 : 0;
  if (itemBytes === 0 || header.includes("'fortran_order': True"))
    throw new EegError('EEG_FILE_FORMAT', `${path}: expected <f4 or |u1 in C order, came ${type}`);
  if (bytes.length < start + size * itemBytes)
    throw new EegError('EEG_FILE_FORMAT', `${path}: ends before its ${size} values`);
  const body = bytes.subarray(start, start + size * itemBytes);
  const copy = new Uint8Array(body).buffer;
  return { shape, data: itemBytes === 4 ? new Float32Array(copy) : new Uint8Array(copy) };
}
