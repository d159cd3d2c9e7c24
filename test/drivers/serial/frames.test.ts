/** What every serial protocol's framing must stand: any split, any damage, any loss. */
import { describe, expect, test } from 'vitest';
import { chordsFormat } from '../../../drivers/chords/packet.js';
import { cytonFormat } from '../../../drivers/cyton/packet.js';
import { freeEegFormat } from '../../../drivers/freeeeg32/packet.js';
import { p2Format, p3Format } from '../../../drivers/openeeg/packet.js';
import { type FrameFormat, FrameReader } from '../../../drivers/serial/frame-reader.js';
import { lostIn, thinkgearFormat } from '../../../drivers/thinkgear/packet.js';
import { Rng } from '../../../src/core/rng.js';
import {
  chordsPacket,
  freeEegFrame,
  p2Packet,
  p3Packet,
  thinkgearPacket,
} from '../../support/fake-boards.js';
import { cytonPacket } from '../../support/fake-cyton.js';

const seed = Number(process.env.EEGD_SEED ?? Math.floor(Math.random() * 2 ** 31));
console.info(`seed ${seed} (EEGD_SEED)`);
const rng = new Rng(seed);

const counts = (count: number, bits: number) =>
  Array.from({ length: count }, () => rng.below(2 ** bits) - (bits > 16 ? 2 ** (bits - 1) : 0));

interface Protocol {
  readonly name: string;
  readonly format: FrameFormat;
  encode(n: number): Uint8Array;
}

const protocols: Protocol[] = [
  {
    name: 'cyton',
    format: cytonFormat,
    encode: (n) => cytonPacket({ counter: n & 255, values: counts(8, 24) }),
  },
  { name: 'openeeg p2', format: p2Format, encode: (n) => p2Packet(n, counts(6, 10)) },
  { name: 'openeeg p3', format: p3Format, encode: (n) => p3Packet(n, counts(6, 10)) },
  { name: 'freeeeg32', format: freeEegFormat(105), encode: (n) => freeEegFrame(n, counts(32, 24)) },
  { name: 'chords', format: chordsFormat(6), encode: (n) => chordsPacket(n, counts(6, 14)) },
  {
    name: 'thinkgear',
    format: thinkgearFormat,
    encode: () => thinkgearPacket([0x80, 2, rng.below(256), rng.below(256)]),
  },
];

interface Read {
  readonly frames: string[];
  lost: number;
  readonly reader: FrameReader;
}

function readerOf(format: FrameFormat): Read {
  const frames: string[] = [];
  const result = {
    frames,
    lost: 0,
    reader: new FrameReader(format, ({ bytes, at, length, lost, discarded }) => {
      frames.push(Buffer.from(bytes.subarray(at, at + length)).toString('hex'));
      result.lost += format.modulo === 0 ? lostIn(discarded) : lost;
    }),
  };
  return result;
}

function read(format: FrameFormat, parts: readonly Uint8Array[]): Read {
  const result = readerOf(format);
  for (const part of parts) result.reader.push(part);
  return result;
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

describe.each(protocols)('$name', ({ format, encode }) => {
  const stream = Array.from({ length: 300 }, (_, n) => encode(n));
  const whole = Buffer.concat(stream);
  const wanted = stream.map(hex);

  test('gives the same frames for 100,000 random splits', () => {
    let splits = 0;
    while (splits < 100_000) {
      const { frames, reader } = readerOf(format);
      // Small, middling and large pieces; empty ones too.
      const longest = [3, format.maxBytes, 4 * format.maxBytes, 6000][rng.below(4)] as number;
      for (let at = 0; at < whole.length; splits++) {
        const length = rng.below(longest + 1);
        reader.push(whole.subarray(at, at + length));
        at += length;
      }
      expect(frames.length).toBe(wanted.length);
      expect(frames.every((frame, i) => frame === wanted[i])).toBe(true);
      expect(reader.discarded).toBe(0);
    }
  });

  test('loses at most the frame in which any one byte is damaged', () => {
    const length = stream[0]?.length ?? 0;
    for (let offset = 0; offset < length; offset++) {
      for (let k = 0; k < 6; k++) {
        const damaged = Buffer.from(whole);
        const at = 150 * length + offset;
        damaged[at] = (damaged[at] as number) ^ (1 + rng.below(255));
        const { frames, lost } = read(format, [damaged]);
        expect(frames.slice(-149), `offset ${offset}`).toEqual(wanted.slice(-149));
        expect(frames.slice(0, 150)).toEqual(wanted.slice(0, 150));
        expect(frames.length + lost, `offset ${offset}`).toBe(300);
      }
    }
  });

  test('finds its frame again within two frames after garbage, and counts what it discards', () => {
    for (let k = 0; k < 300; k++) {
      const garbage = Buffer.from(Array.from({ length: 1 + rng.below(200) }, () => rng.below(256)));
      const { frames, reader } = read(format, [
        ...stream.slice(0, 100),
        garbage,
        ...stream.slice(100),
      ]);
      expect(frames.slice(0, 100)).toEqual(wanted.slice(0, 100));
      expect(frames.slice(-198)).toEqual(wanted.slice(-198));
      const kept = frames.reduce((sum, frame) => sum + frame.length / 2, 0);
      expect(reader.discarded).toBe(whole.length + garbage.length - kept - reader.pending);
    }
  });

  test('never throws, and finds frames after a megabyte of noise', () => {
    const { frames, reader } = readerOf(format);
    const noise = new Uint8Array(1 << 20);
    for (let i = 0; i < noise.length; i++) noise[i] = rng.below(256);
    reader.push(noise);
    reader.push(whole);
    expect(frames.slice(-298)).toEqual(wanted.slice(-298));
  });

  test.skipIf(format.modulo === 0)('counts 5 % loss and bursts of 1 to 50 exactly', () => {
    const frames = Array.from({ length: 20_000 }, (_, n) => encode(n));
    const { lost, reader } = readerOf(format);
    expect(lost).toBe(0);
    const result = readerOf(format);
    let dropped = 0;
    let burst = 0;
    let last = 0;
    for (const [n, frame] of frames.entries()) {
      if (burst === 0 && last > 3 && rng.uniform() < 0.002) burst = 1 + rng.below(50);
      // Two bursts in a row could lose more than a 6-bit counter can tell.
      const single = burst === 0 && last > 3 && rng.uniform() < 0.05;
      const drop = n > 0 && n < 19_990 && (burst > 0 || single);
      if (burst > 0) burst--;
      last = drop && burst === 0 ? 0 : last + 1;
      if (drop) dropped++;
      else result.reader.push(frame);
    }
    expect(dropped).toBeGreaterThan(1000);
    expect(result.lost).toBe(dropped);
    expect(reader.discarded).toBe(0);
  });

  test.skipIf(format.modulo === 0)('takes the multiple of the counter’s range from outside', () => {
    for (const missing of [1, 5, 255, 256, 257, 1000, 12_345]) {
      const result = readerOf(format);
      for (let n = 0; n < 10; n++) result.reader.push(encode(n));
      // Host time is only about right.
      const jitter = rng.below(format.modulo - 2) - (format.modulo / 2 - 1);
      result.reader.expectMissing(missing + jitter);
      for (let n = 10 + missing; n < 20 + missing; n++) result.reader.push(encode(n));
      expect(result.lost).toBe(missing);
    }
  });
});
