/** Floating-point operations of the model, counted from its shape: matrix products only. */
import { patchSamples } from '../../src/core/tasks.js';
import type { Architecture } from '../../src/model/architecture.js';
import { fourierSize, spectrumBins } from '../../src/model/features.js';
import { scalpSites } from '../../src/model/local.js';

/** The discrete Fourier transform of one second. */
const transform = 2 * patchSamples * fourierSize;

/** Of one channel-second in the trunk, among `channels` of its second. */
export function trunkFlops(arch: Architecture, channels: number): number {
  const { width, ffn, trunkBlocks, latents, local } = arch;
  const block = 8 * width ** 2 + 4 * width * ffn + 4 * channels * width;
  // Pooling: keys and values of each token, and each latent query over all tokens.
  const pooling = 4 * width ** 2 + 4 * latents * width;
  const embedding = 2 * patchSamples * width + transform + 2 * spectrumBins * width;
  return trunkBlocks * block + embedding + pooling + (local ? localFlops(arch, channels) : 0);
}

/** Of one channel-second in the paths of src/model/local.ts. */
function localFlops({ width, heads, latents }: Architecture, channels: number): number {
  const [maps, size] = [latents * heads, width / heads];
  const neighbours = 2 * fourierSize * channels + 2 * spectrumBins * width;
  const contrasts = 2 * (scalpSites * maps + spectrumBins * size + maps * size);
  const filters = 2 * (scalpSites * maps + fourierSize * maps);
  // Once for all channels.
  const heard = maps * 2 * spectrumBins * size;
  const average = 2 * spectrumBins * latents * width;
  return neighbours + contrasts + filters + (heard + average) / channels;
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
