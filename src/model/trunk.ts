/**
 * The trunk: one second of all channels to a few latents (the way of LUNA, Perceiver). It knows
 * neither window nor task, so its result is kept and shared.
 */
import { patchSamples } from '../core/tasks.js';
import { times } from '../graph/dims.js';
import type { Graph, Value } from '../graph/graph.js';
import { attention } from '../graph/ops/attention.js';
import { add, compare, where } from '../graph/ops/elementwise.js';
import { gemm } from '../graph/ops/linear.js';
import { layerNorm } from '../graph/ops/norm.js';
import { expand, reshape } from '../graph/ops/shape.js';
import type { Architecture } from './architecture.js';
import { ffn, ffnWeights, fromHeads, maskBias, selfAttention, toHeads } from './blocks.js';
import {
  fourier,
  fourierSize,
  logPower,
  positionFeatures,
  positionFourier,
  spectrumBins,
} from './features.js';
import { mapsOfScalp, withoutNeighbours } from './local.js';
import type { Parameters } from './parameters.js';

export interface TrunkInputs {
  /** `[rows, channels, 200]`. */
  readonly patches: Value;
  /** `[rows, channels, 6]`. */
  readonly positions: Value;
  /** `[rows, channels]`, 1 = real and good. */
  readonly mask: Value;
}

export function trunkInputs(graph: Graph): TrunkInputs {
  return {
    patches: graph.input('patches', ['rows', 'channels', patchSamples]),
    positions: graph.input('positions', ['rows', 'channels', 6]),
    mask: graph.input('mask', ['rows', 'channels']),
  };
}

/** Whatever stands at a masked place, a NaN too, is replaced by zeros. */
export function clean(x: Value, mask: Value): Value {
  const flat = [...mask.shape, ...x.shape.slice(mask.shape.length).map(() => 1)];
  return where(compare('Greater', reshape(mask, flat), 0), x, 0);
}

interface Embedded {
  /** `[rows*channels, width]` tokens of the patches. */
  readonly tokens: Value;
  /** `[rows, latents, width]`, where the architecture is local. */
  readonly maps?: Value;
}

function embedPatches(inputs: TrunkInputs, arch: Architecture, parameters: Parameters): Embedded {
  const tokens = times(inputs.mask.shape[0], inputs.mask.shape[1]);
  const cleanPatches = clean(inputs.patches, inputs.mask);
  const cleanPositions = clean(inputs.positions, inputs.mask);
  const patches = reshape(cleanPatches, [tokens, patchSamples]);
  const positions = reshape(cleanPositions, [tokens, 6]);
  const { width } = arch;
  const part = (name: string, size: number, gain = 1) =>
    parameters.linear(`trunk.embed.${name}.weight`, size, width, gain);
  // 200 samples a token are soon learned by heart.
  const bySignal = gemm(patches, part('patch', patchSamples, arch.local ? 0.1 : 1), {
    c: parameters.bias('trunk.embed.bias', width),
  });
  const transform = fourier(patches);
  const spectra = logPower(transform);
  const bySpectrum = gemm(spectra, part('spectrum', spectrumBins), { c: bySignal });
  const place = part('position', positionFeatures);
  const x = gemm(positionFourier(positions), place, { c: bySpectrum });
  if (arch.local !== true) return { tokens: x };
  const { mask } = inputs;
  const transforms = reshape(transform, [...mask.shape, fourierSize]);
  const local = withoutNeighbours(transforms, cleanPositions, mask);
  const localSpectra = logPower(reshape(local, [tokens, fourierSize]));
  const seen = { transforms, spectra, localSpectra, positions: cleanPositions, mask };
  return {
    tokens: gemm(localSpectra, part('local', spectrumBins), { c: x }),
    maps: mapsOfScalp(seen, arch, parameters),
  };
}

/** Tokens of one second to its latents, `[rows*latents, width]`. */
function poolToLatents(
  x: Value,
  bias: Value,
  residual: Value,
  inputs: TrunkInputs,
  arch: Architecture,
  parameters: Parameters,
): Value {
  const { width, heads, latents } = arch;
  const [rows, channels] = inputs.mask.shape;
  const query = parameters.get('trunk.pool.query', [latents, width], 1);
  const [q] = toHeads(query, 1, heads, { rows: 1, tokens: latents });
  const keysAndValues = gemm(
    layerNorm(x),
    parameters.linear('trunk.pool.kv.weight', width, 2 * width),
    { c: parameters.bias('trunk.pool.kv.bias', 2 * width) },
  );
  const [k, v] = toHeads(keysAndValues, 2, heads, { rows, tokens: channels });
  const mixed = fromHeads(attention({ q, k, v, bias }));
  // Beside the maps of the scalp the pool is to start softly.
  const out = parameters.linear('trunk.pool.out.weight', width, width, arch.local ? 0.1 : 1);
  return gemm(mixed, out, { c: residual });
}

/** The whole trunk: `[rows, latents, width]`. */
export function trunk(inputs: TrunkInputs, arch: Architecture, parameters: Parameters): Value {
  const [rows, channels] = inputs.mask.shape;
  const embedded = embedPatches(inputs, arch, parameters);
  const bias = maskBias(inputs.mask);
  const outGain = 1 / Math.sqrt(2 * arch.trunkBlocks);
  let x = embedded.tokens;
  for (let block = 0; block < arch.trunkBlocks; block++) {
    const at = { arch, parameters, outGain, prefix: `trunk.blocks.${block}` };
    const layout = { rows, tokens: channels };
    x = selfAttention(x, layout, bias, { ...at, prefix: `${at.prefix}.attention` });
    x = ffn(layerNorm(x), ffnWeights({ ...at, prefix: `${at.prefix}.ffn` }), x);
  }
  const { latents, width } = arch;
  const shape = [rows, latents, width];
  const base = expand(parameters.get('trunk.pool.base', [1, latents, width], 0.02), shape);
  const start = embedded.maps === undefined ? base : add(base, embedded.maps);
  const residual = reshape(start, [times(rows, latents), width]);
  const pooled = poolToLatents(x, bias, residual, inputs, arch, parameters);
  return reshape(layerNorm(pooled), shape);
}
