/**
 * Little-endian reading and writing of a message with bounds: a reader that meets the end too
 * early, or a length beyond its limit, throws `BadMessage` and nothing else.
 */

export type Refusal =
  | 'format'
  | 'version'
  | 'truncated'
  | 'oversized'
  | 'invalid'
  | 'site'
  | 'epoch';

/** A message that is refused; `reason` is what is counted. */
export class BadMessage extends Error {
  readonly reason: Refusal;

  constructor(reason: Refusal, message: string) {
    super(message);
    this.name = 'BadMessage';
    this.reason = reason;
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true });

export class Writer {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytesMax: number) {
    this.#bytes = new Uint8Array(bytesMax);
    this.#view = new DataView(this.#bytes.buffer);
  }

  u8(value: number): this {
    this.#view.setUint8(this.#at, value);
    this.#at += 1;
    return this;
  }

  u16(value: number): this {
    this.#view.setUint16(this.#at, value, true);
    this.#at += 2;
    return this;
  }

  u32(value: number): this {
    this.#view.setUint32(this.#at, value, true);
    this.#at += 4;
    return this;
  }

  i16(value: number): this {
    this.#view.setInt16(this.#at, value, true);
    this.#at += 2;
    return this;
  }

  f32(value: number): this {
    this.#view.setFloat32(this.#at, value, true);
    this.#at += 4;
    return this;
  }

  f64(value: number): this {
    this.#view.setFloat64(this.#at, value, true);
    this.#at += 8;
    return this;
  }

  /** At most 255 bytes. */
  text(value: string): this {
    const bytes = Buffer.from(value);
    if (bytes.length > 255) throw new RangeError(`expected at most 255 bytes, got ${bytes.length}`);
    this.u8(bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
    return this;
  }

  /** The message, its whole length written at `lengthAt`. */
  finish(lengthAt: number): Uint8Array {
    this.#view.setUint32(lengthAt, this.#at, true);
    return this.#bytes.subarray(0, this.#at);
  }
}

export class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  f32(): number {
    return this.#view.getFloat32(this.#take(4), true);
  }

  f64(): number {
    return this.#view.getFloat64(this.#take(8), true);
  }

  /** `count` values; the bytes are checked once, for all of them. */
  i16s(count: number, each: (value: number, index: number) => void): void {
    const at = this.#take(2 * count);
    for (let i = 0; i < count; i++) each(this.#view.getInt16(at + 2 * i, true), i);
  }

  f32s(count: number): Float32Array {
    const at = this.#take(4 * count);
    const out = new Float32Array(count);
    for (let i = 0; i < count; i++) out[i] = this.#view.getFloat32(at + 4 * i, true);
    return out;
  }

  text(): string {
    const length = this.u8();
    const at = this.#take(length);
    try {
      return decoder.decode(this.#bytes.subarray(at, at + length));
    } catch {
      throw new BadMessage('invalid', 'expected UTF-8');
    }
  }

  #take(bytes: number): number {
    if (bytes > this.left)
      throw new BadMessage('truncated', `expected ${bytes} more bytes, got ${this.left}`);
    const at = this.#at;
    this.#at += bytes;
    return at;
  }
}

export const messageKinds = { step: 1, result: 2 } as const;
const magic = 0x45;
/** Of the layouts in step-message.ts and result-message.ts; both change together. */
export const schemaVersion = 2;
/** Where the message's length stands. */
export const lengthAt = 4;

export function writeHead(writer: Writer, kind: number): Writer {
  return writer.u8(magic).u8(kind).u16(schemaVersion).u32(0);
}

/** Checks all that can be told without knowing the layout. */
export function readHead(bytes: Uint8Array, kind: number, bytesMax: number): Reader {
  if (bytes.length > bytesMax)
    throw new BadMessage('oversized', `expected at most ${bytesMax} bytes, got ${bytes.length}`);
  const reader = new Reader(bytes);
  const [gotMagic, gotKind] = [reader.u8(), reader.u8()];
  if (gotMagic !== magic || gotKind !== kind)
    throw new BadMessage('format', `expected a message of kind ${kind}, got ${gotKind}`);
  const version = reader.u16();
  if (version !== schemaVersion)
    throw new BadMessage('version', `expected schema ${schemaVersion}, got ${version}`);
  const length = reader.u32();
  if (length > bytes.length)
    throw new BadMessage('truncated', `expected ${length} bytes, got ${bytes.length}`);
  if (length < bytes.length)
    throw new BadMessage('oversized', `expected ${length} bytes, got ${bytes.length}`);
  return reader;
}

/** Nothing may be left over. */
export function requireEnd(reader: Reader): void {
  if (reader.left !== 0) throw new BadMessage('oversized', `${reader.left} bytes are left over`);
}
