/** How the windows of a step are put into parts. */
import { describe, expect, test } from 'vitest';
import type { Architecture } from '../../src/model/architecture.js';
import { groupPieces, type Piece } from '../../src/training/batch.js';
import { seeded, tinyDense } from '../support/model-fixture.js';

const arch: Architecture = { ...tinyDense, ffn: 512, latents: 4 };

function piece(task: number, channels: number, usable = true): Piece {
  const seconds = arch.tasks[task]?.windowS ?? 0;
  const mask = new Float32Array(seconds * channels).fill(usable ? 1 : 0);
  const cut = { seconds, channels, mask };
  return { window: { task }, cut, context: [] } as unknown as Piece;
}

describe('parts of a step', () => {
  test('like montages together, every usable window once, each part within the cache', () => {
    const { rng, seed } = seeded();
    const pieces = Array.from({ length: 150 }, (_, i) =>
      piece(i % 2, 1 + rng.below(i % 3 === 0 ? 64 : 20), i % 10 !== 0),
    );
    const parts = groupPieces(pieces, arch);
    const all = parts.flatMap((part) => part.pieces);
    expect(new Set(all).size, `seed ${seed}`).toBe(135);
    expect(all).toHaveLength(135);
    expect(new Set(parts.map(({ kind }) => kind)).size).toBe(parts.length);
    for (const { kind, pieces: own } of parts) {
      const sizes = own.map(({ cut: { channels } }) =>
        channels <= 4 ? 'narrow' : channels <= 24 ? 'wide' : 'dense',
      );
      expect(new Set(sizes), `seed ${seed}`).toEqual(new Set([kind.split('.')[0]]));
      const tokens = own.reduce((sum, { cut }) => sum + cut.seconds * Math.max(cut.channels, 4), 0);
      // Windows are counted, not tokens: a part may be a little over.
      expect(tokens * arch.ffn, `seed ${seed}, ${kind}`).toBeLessThan(2 ** 20);
    }
    expect(parts.filter(({ kind }) => kind.startsWith('wide')).length).toBeGreaterThan(1);
  });

  test('what fits is not cut; nothing usable is no part', () => {
    const parts = groupPieces([piece(0, 2), piece(1, 2), piece(0, 8)], arch);
    expect(parts.map(({ kind, pieces }) => [kind, pieces.length])).toEqual([
      ['narrow.0', 2],
      ['wide.0', 1],
    ]);
    expect(groupPieces([piece(0, 2, false)], arch)).toEqual([]);
  });
});
