/**
 * Conditioned signal on the wire: one binary message, a 32-byte little-endian header followed by
 * float32 values. Used by the server, the client and the page, so it touches neither Node nor DOM.
 *
 *     0  4  "EEGS"
 *     4  1  version, 1
 *     5  1  kind, 1 = conditioned signal
 *     6  2  channels, uint16
 *     8  4  samples, uint32
 *    12  4  stream handle, uint32 (announced by a `stream` message before the first frame)
 *    16  8  index of the first sample on the stream's 200 Hz grid, float64
 *    24  8  LSL seconds of the first sample, float64
 *    32     float32 [channels, samples], uV; NaN = no real sample was received there
 */
import type { SignalBlock } from '../core/events.js';

export const signalHeaderBytes = 32;
const magic = 0x53474545;
const version = 1;
const kindSignal = 1;

export interface SignalFrame {
  readonly handle: number;
  readonly index: number;
  readonly stampS: number;
  readonly channels: number;
  readonly samples: number;
  /** `[channels, samples]`, uV; NaN where no real sample was received. */
  readonly data: Float32Array;
}

export function encodeSignal(handle: number, block: SignalBlock): Uint8Array {
  const bytes = new Uint8Array(signalHeaderBytes + block.channels * block.samples * 4);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, magic, true);
  view.setUint8(4, version);
  view.setUint8(5, kindSignal);
  view.setUint16(6, block.channels, true);
  view.setUint32(8, block.samples, true);
  view.setUint32(12, handle, true);
  view.setFloat64(16, block.index, true);
  view.setFloat64(24, block.stampS, true);
  new Float32Array(bytes.buffer, signalHeaderBytes).set(
    block.data.subarray(0, block.channels * block.samples),
  );
  return bytes;
}

/** Throws a `RangeError` that names what is wrong; a wrong length is never read past. */
export function decodeSignal(buffer: ArrayBuffer): SignalFrame {
  if (buffer.byteLength < signalHeaderBytes)
    throw new RangeError(`expected a signal frame of 32 bytes or more, got ${buffer.byteLength}`);
  const view = new DataView(buffer);
  if (view.getUint32(0, true) !== magic) throw new RangeError('expected a frame that begins EEGS');
  if (view.getUint8(4) !== version || view.getUint8(5) !== kindSignal)
    throw new RangeError(`expected frame version 1, kind 1, got ${view.getUint8(4)}`);
  const channels = view.getUint16(6, true);
  const samples = view.getUint32(8, true);
  const expected = signalHeaderBytes + channels * samples * 4;
  if (buffer.byteLength !== expected)
    throw new RangeError(`expected ${expected} bytes, got ${buffer.byteLength}`);
  return {
    handle: view.getUint32(12, true),
    index: view.getFloat64(16, true),
    stampS: view.getFloat64(24, true),
    channels,
    samples,
    data: new Float32Array(buffer, signalHeaderBytes, channels * samples),
  };
}
