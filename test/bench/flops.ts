/** Floating-point operations of the model, counted from its shape: matrix products only. */
import { patchSamples } from '../../src/core/tasks.js';
import type { Architecture } from '../../src/model/architecture.js';
import { spectrumBins } from '../../src/model/features.js';
import { scalpSites } from '../../src/model/local.js';

/** Of one channel-second in the trunk, among `channels` of its second. */
export function trunkFlops(arch: Architecture, channels: number): number {
  const { width, heads, ffn, trunkBlocks, latents, local } = arch;
  const block = 8 * width ** 2 + 4 * width * ffn + 4 * channels * width;
  // Pooling: keys and values of each token, and each latent query over all tokens.
  const pooling = 4 * width ** 2 + 4 * latents * width;
  // Weights times patches, two products of the DFT, the maps, and the spectrum's own weights.
  const maps = latents * heads * (scalpSites + width / heads) + (spectrumBins * width) / heads;
  const neighbours = 2 * (patchSamples * (channels + 2 * spectrumBins) + maps);
  const embedding = 2 * patchSamples * width + (local ? neighbours + 2 * spectrumBins * width : 0);
  return trunkBlocks * block + embedding + pooling;
}

/** Of one token (a latent of a second) in the task blocks, in a window of `tokens`. */
export function taskFlops(arch: Architecture, tokens: number): number {
  const { width, ffn, taskBlocks, moe } = arch;
  const attention = 8 * width ** 2 + 4 * tokens * width;
  const mixed = moe?.blocks.length ?? 0;
  const feed = 4 * width * ffn;
  const router = 2 * width * (moe?.experts ?? 0);
  return (
    taskBlocks * attention +
    (taskBlocks - mixed) * feed +
    mixed * (feed * (moe?.topK ?? 1) + router)
  );
}
