import { describe, expect, test } from 'vitest';
import { p2Format, p3Format, unpackP2, unpackP3 } from '../../../drivers/openeeg/packet.js';
import { FrameReader } from '../../../drivers/serial/frame-reader.js';
import { p3Packet } from '../../support/fake-boards.js';

describe('OpenEEG packets', () => {
  test('P2: the example of the protocol’s published description', () => {
    // Not made by us: the frame shown with the format in the P2 documentation, sent twice.
    const frame = Buffer.from('a55a02390233 01eb022201b3020002000f'.replace(' ', ''), 'hex');
    const counts = new Int16Array(6);
    const seen: number[][] = [];
    const reader = new FrameReader(p2Format, (found) => {
      unpackP2(found, counts);
      seen.push([found.counter, ...counts]);
    });
    const next = Buffer.from(frame);
    next[3] = 0x3a;
    reader.push(Buffer.concat([frame, next]));
    expect(seen[0]).toEqual([0x39, 563, 491, 546, 435, 512, 512]);
    expect(seen.length).toBe(2);
  });

  test('P3: ten bits of six channels come out as they went in', () => {
    const values = [0, 1023, 512, 127, 128, 901];
    const counts = new Int16Array(6);
    const reader = new FrameReader(p3Format, (found) => unpackP3(found, counts));
    for (let n = 0; n < 3; n++) reader.push(p3Packet(n, values));
    expect([...counts]).toEqual(values);
  });
});
