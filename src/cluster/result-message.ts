/**
 * A result: what a worker answers to the windows of one step. Logits are those of the task's own
 * classes; the gateway knows from the checkpoint's name where they belong. Wall clock seconds.
 */
import type { NoPredictionReason } from '../core/events.js';
import { isAddress, type StreamAddress } from './names.js';
import {
  BadMessage,
  lengthAt,
  messageKinds,
  type Reader,
  readHead,
  requireEnd,
  Writer,
  writeHead,
} from './wire.js';

export interface ResultWindow {
  readonly task: string;
  readonly seq: number;
  readonly endSample: number;
  readonly validity: number;
  /** Of the task's own classes; absent = no prediction, for `reason`. */
  readonly logits?: Float32Array;
  /** `[moeBlocks, experts]`. */
  readonly routing?: Float32Array;
  readonly reason?: NoPredictionReason;
  /** From the step's arrival at the worker to the start of the run; and the run, ms. */
  readonly waitMs: number;
  readonly runMs: number;
  /** `name@release`, with packs. */
  readonly checkpoint: string;
}

export interface Result extends StreamAddress {
  readonly epoch: number;
  /** End of the step. */
  readonly endSample: number;
  readonly stampWallS: number;
  readonly arrivalWallS: number;
  readonly worker: string;
  readonly windows: readonly ResultWindow[];
}

const reasons: readonly NoPredictionReason[] = [
  'gap',
  'bad_channels',
  'no_usable_channel',
  'warming_up',
  'stale',
  'overload',
  'engine_failed',
];
const predicted = 255;
const floatsMax = 4096;
const resultBytesMax = 1 << 20;

export type MessageKey = StreamAddress & { readonly epoch: number; readonly endSample: number };

/** Stays the same however often, and by whichever worker, the step is answered. */
export function messageId({ site, edge, stream, epoch, endSample }: MessageKey): string {
  return `${site}/${edge}/${stream}/${epoch}/${endSample}`;
}

export function encodeResult(result: Result): Uint8Array {
  const floats = result.windows.reduce(
    (sum, { logits, routing }) => sum + (logits?.length ?? 0) + (routing?.length ?? 0),
    0,
  );
  const bytes = 2048 + result.windows.length * 600 + 4 * floats;
  const writer = writeHead(new Writer(bytes), messageKinds.result);
  writer.f64(result.epoch).f64(result.endSample).f64(result.stampWallS).f64(result.arrivalWallS);
  writer.text(result.site).text(result.edge).text(result.stream).text(result.worker);
  writer.u8(result.windows.length);
  for (const window of result.windows) writeWindow(writer, window);
  return writer.finish(lengthAt);
}

function writeWindow(writer: Writer, window: ResultWindow): void {
  const { logits, routing, reason } = window;
  writer.text(window.task).u32(window.seq).f64(window.endSample).f32(window.validity);
  writer.u8(logits === undefined ? reasons.indexOf(reason ?? 'engine_failed') : predicted);
  writer.f32(window.waitMs).f32(window.runMs).text(window.checkpoint);
  for (const values of [logits, routing]) {
    writer.u16(values?.length ?? 0);
    for (const value of values ?? []) writer.f32(value);
  }
}

/** Throws `BadMessage`. `site` is what the subject says. */
export function decodeResult(bytes: Uint8Array, site?: string): Result {
  const reader = readHead(bytes, messageKinds.result, resultBytesMax);
  const [epoch, endSample, stampWallS, arrivalWallS] = [
    reader.f64(),
    reader.f64(),
    reader.f64(),
    reader.f64(),
  ];
  const address = { site: reader.text(), edge: reader.text(), stream: reader.text() };
  const worker = reader.text();
  if (!isAddress(address) || ![epoch, endSample, stampWallS, arrivalWallS].every(Number.isFinite))
    throw new BadMessage('invalid', 'expected names and finite times');
  if (site !== undefined && address.site !== site)
    throw new BadMessage('site', `expected site ${site} by the subject, got ${address.site}`);
  const windows = Array.from({ length: reader.u8() }, () => readWindow(reader));
  requireEnd(reader);
  return { ...address, epoch, endSample, stampWallS, arrivalWallS, worker, windows };
}

function readWindow(reader: Reader): ResultWindow {
  const head = { task: reader.text(), seq: reader.u32(), endSample: reader.f64() };
  const validity = reader.f32();
  const status = reader.u8();
  const spent = { waitMs: reader.f32(), runMs: reader.f32(), checkpoint: reader.text() };
  const [logits, routing] = [readFloats(reader), readFloats(reader)];
  if (status === predicted) return { ...head, validity, ...spent, logits, routing };
  const reason = reasons[status];
  if (reason === undefined) throw new BadMessage('invalid', `unknown reason ${status}`);
  return { ...head, validity, ...spent, reason };
}

function readFloats(reader: Reader): Float32Array {
  const count = reader.u16();
  if (count > floatsMax) throw new BadMessage('oversized', `${count} values`);
  return reader.f32s(count);
}
