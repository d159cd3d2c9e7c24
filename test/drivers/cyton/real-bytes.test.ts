/**
 * Recordings of real Cytons (test/fixtures/cyton) made into packets again: the driver must give
 * the recorded microvolts, sample for sample, however the bytes are cut.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { cytonDecoder, cytonOptions } from '../../../drivers/cyton/driver.js';
import { gPerCount, uvPerCount } from '../../../drivers/cyton/packet.js';
import { FrameReader } from '../../../drivers/serial/frame-reader.js';
import { Rows } from '../../../drivers/serial/rows.js';
import { Rng } from '../../../src/core/rng.js';
import type { Chunk } from '../../../src/core/stream.js';
import { cytonPacket } from '../../support/fake-cyton.js';

interface Row {
  readonly counter: number;
  readonly uv: readonly number[];
  readonly g: readonly number[];
}

function recording(name: string): Row[] {
  const url = new URL(`../../fixtures/cyton/${name}`, import.meta.url);
  const lines = readFileSync(url, 'utf8').split('\n');
  return lines
    .filter((line) => /^\d+,/.test(line))
    .map((line) => line.split(',').map(Number))
    .map((cells) => ({
      counter: cells[0] as number,
      uv: cells.slice(1, 9),
      g: cells.slice(9, 12),
    }));
}

function packets(rows: readonly Row[]): Buffer {
  let before: readonly number[] = [];
  const made = rows.map(({ counter, uv, g }) => {
    const values = uv.map((value) => Math.round(value / uvPerCount(24)));
    // The board sends zeros where the accelerometer has nothing new.
    const aux = String(g) === String(before) ? [0, 0, 0] : g.map((v) => Math.round(v / gPerCount));
    before = g;
    return cytonPacket({ counter, values, aux });
  });
  return Buffer.concat(made);
}

function decode(parts: readonly Uint8Array[]): { chunks: Chunk[]; lost: number } {
  const decoder = cytonDecoder(cytonOptions(new Map([['daisy', '0']])), {
    firmware: 'v3',
    daisy: false,
  });
  const chunks: Chunk[] = [];
  const rows = new Rows(decoder.channels.length, (event) => {
    if (event.kind === 'chunk') chunks.push(event.chunk);
  });
  let lost = 0;
  const reader = new FrameReader(decoder.format, (frame) => {
    lost += frame.lost;
    decoder.decode(frame, rows);
  });
  for (const part of parts) {
    reader.push(part);
    rows.flush();
  }
  expect(reader.discarded).toBe(0);
  return { chunks, lost };
}

describe.each(['gui-v6-excerpt.txt', 'raw-2016-excerpt.txt'])('%s', (name) => {
  const rows = recording(name);
  const bytes = packets(rows);

  test('gives the recorded microvolts and g', () => {
    expect(rows.length).toBeGreaterThanOrEqual(300);
    const rng = new Rng(3);
    const parts: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; ) {
      const length = 1 + rng.below(100);
      parts.push(bytes.subarray(at, at + length));
      at += length;
    }
    const { chunks, lost } = decode(parts);
    expect(lost).toBe(0);
    let row = 0;
    for (const chunk of chunks) {
      expect(chunk.index).toBe(row);
      for (let i = 0; i < chunk.frames; i++, row++) {
        const values = chunk.data.subarray(i * 11, (i + 1) * 11);
        const { uv, g } = rows[row] as Row;
        // The recording has two decimals, a value near 180 mV has 0.016 uV of float32.
        for (const [c, value] of uv.entries()) {
          expect(Math.abs((values[c] as number) - value)).toBeLessThan(0.0051 + 0.016);
        }
        if (Number.isNaN(values[8])) continue;
        for (const [c, value] of g.entries()) {
          expect(Math.abs((values[8 + c] as number) - value)).toBeLessThan(0.0051);
        }
      }
    }
    expect(row).toBe(rows.length);
  });
});
