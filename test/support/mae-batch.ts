/** A small batch of pretraining: random patches, some invalid, one second hidden whole. */
import type { Rng } from '../../src/core/rng.js';
import { hideBlocks, type MaeBatch } from '../../src/model/mae-batch.js';

export function maeBatch(rng: Rng): MaeBatch {
  const [rows, seconds, channels] = [3, 4, 5];
  const places = rows * seconds * channels;
  const normal = (length: number) => Float32Array.from({ length }, () => rng.normal());
  const positions = normal(rows * channels * 6);
  const valid = Uint8Array.from({ length: places }, () => (rng.uniform() < 0.85 ? 1 : 0));
  valid.fill(1, 0, 2);
  const hidden = new Uint8Array(places);
  for (let row = 0; row < rows; row++) {
    const size = seconds * channels;
    const own = {
      seconds,
      channels,
      share: 0.5,
      positions: positions.slice(row * channels * 6, (row + 1) * channels * 6),
      valid: valid.slice(row * size, (row + 1) * size),
    };
    hidden.set(hideBlocks(rng, own), row * size);
  }
  // One second of row 0 is hidden whole.
  hidden.fill(1, channels, 2 * channels);
  return { rows, seconds, channels, patches: normal(places * 200), positions, valid, hidden };
}
