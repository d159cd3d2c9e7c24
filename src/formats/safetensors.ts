/**
 * Reads and writes safetensors (github.com/huggingface/safetensors, format section): 8 bytes of
 * header length, a JSON header, the data. Only F32 and F16; nothing is ever executed, nothing is
 * allocated before its size was checked against the file.
 */
import { EegError } from '../core/errors.js';
import { fromFloat16, toFloat16 } from './float16.js';
import { repeatedKey } from './json-keys.js';

export const headerBytesMax = 1 << 20;
export const tensorsMax = 4096;
const dimensionsMax = 8;

export type StorageType = 'F32' | 'F16';
const bytesOf: Readonly<Record<StorageType, number>> = { F32: 4, F16: 2 };

export interface StoredTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

export interface Safetensors {
  readonly tensors: Map<string, StoredTensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

interface Entry {
  readonly name: string;
  readonly type: StorageType;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

function refuse(message: string): never {
  throw new EegError('EEG_MODEL_INVALID', `safetensors: ${message}`);
}

/** Throws `EEG_MODEL_INVALID` naming the tensor or the part of the header at fault. */
export function readSafetensors(bytes: Uint8Array): Safetensors {
  const { header, dataStart } = readHeader(bytes);
  const { entries, metadata } = readEntries(header);
  checkCoverage(entries, bytes.length - dataStart);
  const tensors = new Map<string, StoredTensor>();
  for (const entry of entries) {
    // A Buffer's own slice would be a view of the whole file.
    const raw = new Uint8Array(bytes.subarray(dataStart + entry.begin, dataStart + entry.end));
    tensors.set(entry.name, { shape: entry.shape, data: decode(raw, entry.type) });
  }
  return { tensors, metadata };
}

function readHeader(bytes: Uint8Array): { header: unknown; dataStart: number } {
  if (bytes.length < 8) refuse(`expected a header length of 8 bytes, the file has ${bytes.length}`);
  const length = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(headerBytesMax))
    refuse(`header of ${length} bytes, at most ${headerBytesMax} are accepted`);
  const dataStart = 8 + Number(length);
  if (dataStart > bytes.length)
    refuse(`header of ${length} bytes in a file of ${bytes.length} bytes (truncated?)`);
  let header: unknown;
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(8, dataStart));
    if (!text.startsWith('{')) refuse('the header does not begin with {');
    header = JSON.parse(text);
  } catch (cause) {
    if (cause instanceof EegError) throw cause;
    throw new EegError('EEG_MODEL_INVALID', 'safetensors: the header is not valid JSON', { cause });
  }
  const repeated = repeatedKey(text);
  if (repeated !== undefined) refuse(`the header holds the key "${repeated}" twice`);
  return { header, dataStart };
}

function readEntries(header: unknown): { entries: Entry[]; metadata: Record<string, string> } {
  const entries: Entry[] = [];
  let metadata: Record<string, string> = {};
  const items = Object.entries(header as Record<string, unknown>);
  if (items.length > tensorsMax + 1)
    refuse(`${items.length} tensors, at most ${tensorsMax} are accepted`);
  for (const [name, value] of items) {
    if (name === '__metadata__') metadata = readMetadata(value);
    else entries.push(readEntry(name, value));
  }
  return { entries, metadata };
}

function readMetadata(value: unknown): Record<string, string> {
  if (!isObject(value) || Object.values(value).some((item) => typeof item !== 'string'))
    refuse('__metadata__ is not a table of strings');
  return value as Record<string, string>;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const isSize = (value: unknown): value is number =>
  Number.isSafeInteger(value) && Number(value) >= 0;

function readEntry(name: string, value: unknown): Entry {
  const where = `tensor "${name.slice(0, 80)}"`;
  if (!isObject(value)) refuse(`${where} is not described by an object`);
  const { dtype, shape, data_offsets: offsets } = value;
  if (Object.keys(value).length !== 3) refuse(`${where} has fields of its own`);
  if (dtype !== 'F32' && dtype !== 'F16') refuse(`${where} is ${String(dtype)}, not F32 or F16`);
  if (!Array.isArray(shape) || shape.length > dimensionsMax || !shape.every(isSize))
    refuse(`${where} has a shape that is not a list of at most ${dimensionsMax} sizes`);
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize))
    refuse(`${where} has data_offsets that are not two sizes`);
  const size = shape.reduce((product: number, n: number) => product * n, bytesOf[dtype]);
  if (!Number.isSafeInteger(size)) refuse(`${where} has a shape that overflows`);
  const [begin, end] = offsets;
  if (end - begin !== size) refuse(`${where} holds ${end - begin} bytes, its shape needs ${size}`);
  return { name, type: dtype, shape, begin, end };
}

function checkCoverage(entries: readonly Entry[], dataBytes: number): void {
  let at = 0;
  for (const entry of [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (entry.begin !== at)
      refuse(
        `tensor "${entry.name}" begins at byte ${entry.begin} of the data, expected ${at} ` +
          `(${entry.begin < at ? 'overlap' : 'hole'})`,
      );
    at = entry.end;
  }
  if (at !== dataBytes)
    refuse(`the tensors cover ${at} bytes, the file holds ${dataBytes} (truncated or padded?)`);
}

/**
 * `raw` is a copy of its own, so it is aligned. A plain loop: `Float32Array.from` with a function
 * takes twenty times as long, most of what a swap beside live streams took.
 */
function decode(raw: Uint8Array, type: StorageType): Float32Array {
  if (type === 'F32') return new Float32Array(raw.buffer);
  const table = halfTable();
  const halves = new Uint16Array(raw.buffer);
  const out = new Float32Array(halves.length);
  for (let i = 0; i < out.length; i++) out[i] = table[halves[i]];
  return out;
}

let table: Float32Array | undefined;
function halfTable(): Float32Array {
  table ??= Float32Array.from({ length: 65536 }, (_, half) => fromFloat16(half));
  return table;
}

function encode(data: Float32Array, type: StorageType): Uint8Array {
  const array = type === 'F32' ? data : halvesOf(data);
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

function halvesOf(data: Float32Array): Uint16Array {
  const out = new Uint16Array(data.length);
  for (let i = 0; i < out.length; i++) out[i] = toFloat16(data[i]);
  return out;
}

/** Values as they are after being stored as `type` and read back. */
export function roundTo(data: Float32Array, type: StorageType): Float32Array {
  if (type === 'F32') return data;
  const halves = halfTable();
  return data.map((value) => halves[toFloat16(value)]);
}

export function writeSafetensors(
  tensors: ReadonlyMap<string, StoredTensor>,
  type: StorageType,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const header: [string, unknown][] = [['__metadata__', metadata]];
  let at = 0;
  for (const [name, { shape, data }] of tensors) {
    const end = at + data.length * bytesOf[type];
    header.push([name, { dtype: type, shape, data_offsets: [at, end] }]);
    at = end;
  }
  const text = JSON.stringify(Object.fromEntries(header));
  const raw = new TextEncoder().encode(text);
  const padded = Math.ceil(raw.length / 8) * 8;
  const out = new Uint8Array(8 + padded + at).fill(32, 8, 8 + padded);
  new DataView(out.buffer).setBigUint64(0, BigInt(padded), true);
  out.set(raw, 8);
  let place = 8 + padded;
  for (const { data } of tensors.values()) {
    const piece = encode(data, type);
    out.set(piece, place);
    place += piece.length;
  }
  return out;
}
