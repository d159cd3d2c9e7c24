/**
 * What an electrode sees and its neighbours do not: its patch minus the distance-weighted mean of
 * the others (a local, or surface, Laplacian: Hjorth 1975; McFarland et al. 1997). What the skull
 * smears over the whole head goes; what lies under the electrode stays.
 * `contrasts` are linear maps over the head of such spectra: more mu rhythm left than right, say,
 * which attention, whose weights are positive and start almost even, is slow to find.
 * `filtered` are spectra of linear maps over the head: spatial filters, as common spatial patterns
 * and EEGNet have them (Ramoser et al. 2000; Lawhern et al. 2018). They see how channels go
 * together, which no channel's own spectrum tells.
 * `average` is the mean spectrum of the head: what a linear classifier of band powers is given, and
 * what one channel has.
 */
import { times } from '../graph/dims.js';
import type { Value } from '../graph/graph.js';
import { add, compare, div, exp, mul, sub, where } from '../graph/ops/elementwise.js';
import { gemm, matmul, swapLast } from '../graph/ops/linear.js';
import { cumulativeSum, mean, ratio, sum } from '../graph/ops/reduce.js';
import { concat, expand, reshape, split } from '../graph/ops/shape.js';
import type { Tensor } from '../graph/tensor.js';
import type { Architecture } from './architecture.js';
import { fourierSize, logPower, spectrumBins } from './features.js';
import type { Parameters } from './parameters.js';

/** Added to squared distances, in head radii: two electrodes at one place stay finite. */
const nearest = 0.01;
/** Differences between electrodes are small beside what they share. */
const mapGain = 6;
/** Below the weight of electrodes a hundred head radii apart. */
const weightFloor = 1e-12;

/**
 * Of `signals` `[rows, channels, size]`, patches or what is linear in them: each minus its
 * neighbours', weighted by 1 / (d^2 + 0.01)^3 of the distance between the active electrodes. Masked
 * channels weigh nothing; a channel without any other stays as it is. `signals` and `positions`
 * `[rows, channels, 6]` hold zeros where masked.
 */
export function withoutNeighbours(signals: Value, positions: Value, mask: Value): Value {
  const { graph } = signals;
  const [rows, channels] = mask.shape;
  const active = mul(positions, graph.floats([1, 1, 1, 0, 0, 0]));
  const apart = sub(
    reshape(active, [rows, channels, 1, 6]),
    reshape(active, [rows, 1, channels, 6]),
  );
  const distance = sum(mul(apart, apart), [-1]);
  const near = div(graph.floats(1), sub(distance, -nearest));
  const weights = mul(
    where(others(mask), mul(near, mul(near, near)), 0),
    reshape(mask, [rows, 1, channels]),
  );
  const total = sum(weights, [-1], true);
  return sub(signals, matmul(ratio(weights, total, weightFloor), signals));
}

/** bool `[rows, channels, channels]`: not the channel itself. */
function others(mask: Value): Value {
  const [rows, channels] = mask.shape;
  const number = cumulativeSum(expand(mask.graph.floats([1], [1, 1]), mask.shape), 1);
  const apart = sub(reshape(number, [rows, channels, 1]), reshape(number, [rows, 1, channels]));
  return compare('Greater', mul(apart, apart), 0.5);
}

/** Places on the scalp that a map has one weight for: a spiral over the head, crown to ears. */
export const scalpSites = 96;
/** Reach of a site, head radii; weight of nothing at all, beside a channel at the site itself. */
const siteReach = 0.25;
const siteFloor = 0.05;

/** `[sites, 3]` unit vectors (the golden spiral of Vogel 1979, on a sphere). */
export function scalpSpiral(): [x: number, y: number, z: number][] {
  const turn = Math.PI * (1 + Math.sqrt(5));
  return Array.from({ length: scalpSites }, (_, i) => {
    const z = 1 - (1.4 * (i + 0.5)) / scalpSites;
    const radius = Math.sqrt(1 - z * z);
    return [radius * Math.cos(turn * i), radius * Math.sin(turn * i), z];
  });
}

/** `[rows*channels, sites]`: share of each channel in what is interpolated at each site. */
function siteShares(positions: Value, mask: Value): Value {
  const { graph } = positions;
  const [rows, channels] = mask.shape;
  const tokens = times(rows, channels);
  const sites = scalpSpiral();
  const flat = mul(reshape(positions, [tokens, 6]), graph.floats([1, 1, 1, 0, 0, 0]));
  const columns = [0, 1, 2].flatMap((axis) => sites.map((site) => site[axis]));
  const matrix = [...columns, ...new Array<number>(3 * scalpSites).fill(0)];
  const along = gemm(flat, graph.floats(matrix, [6, scalpSites]), { alpha: -2 });
  const distance = add(add(along, sum(mul(flat, flat), [1], true)), 1);
  const near = exp(mul(distance, -1 / (2 * siteReach ** 2)));
  const shape = [rows, channels, scalpSites];
  const good = mul(reshape(near, shape), reshape(mask, [rows, channels, 1]));
  const shares = div(good, add(sum(good, [1], true), siteFloor));
  return reshape(shares, [tokens, scalpSites]);
}

/** Weights without which the local path says nothing. */
export const localOutputs = [
  'trunk.average.spectrum.weight',
  'trunk.embed.local.weight',
  'trunk.contrast.spectrum.weight',
  'trunk.filter.spectrum.weight',
];

/** Weights of `arch` begun from a model of `from`: where that had no local path, it says nothing. */
export function withLocal(
  arch: Architecture,
  from: Architecture | undefined,
  weights: Map<string, Tensor>,
): Map<string, Tensor> {
  if (arch.local === true && from !== undefined && from.local !== true)
    for (const name of localOutputs) weights.get(name)?.data.fill(0);
  return weights;
}

interface Seen {
  /** Fourier transforms of the patches, `[rows, channels, 2*bins]`, zeros where masked. */
  readonly transforms: Value;
  /** Of the patches, `[rows*channels, bins]`. */
  readonly spectra: Value;
  /** Of the local patches, `[rows*channels, bins]`. */
  readonly localSpectra: Value;
  /** `[rows, channels, 6]`, zeros where masked. */
  readonly positions: Value;
  /** `[rows, channels]`. */
  readonly mask: Value;
}

/** `[rows, latents, width]`: average, contrasts and filtered signals, the latter by latent and head. */
export function mapsOfScalp(seen: Seen, arch: Architecture, parameters: Parameters): Value {
  const shares = siteShares(seen.positions, seen.mask);
  const maps = arch.latents * arch.heads;
  const weights = ['contrast', 'filter'].map((name) =>
    parameters.linear(`trunk.${name}.sites.weight`, scalpSites, maps),
  );
  const all = withoutMean(gemm(shares, concat(weights, 1)), seen.mask);
  const [contrast, filter] = split(all, 2, { sizes: [maps, maps] }) as [Value, Value];
  const both = add(
    contrasts(contrast, seen, arch, parameters),
    filtered(filter, seen, arch, parameters),
  );
  const [rows] = seen.mask.shape;
  const shape = [rows, arch.latents, arch.width];
  return add(reshape(both, shape), reshape(average(seen, arch, parameters), shape));
}

/** `[rows, latents*width]`: the mean spectrum of the good channels. */
function average(seen: Seen, arch: Architecture, parameters: Parameters): Value {
  const [rows, channels] = seen.mask.shape;
  const good = reshape(seen.mask, [rows, channels, 1]);
  const spectra = mul(reshape(seen.spectra, [rows, channels, spectrumBins]), good);
  const average = ratio(sum(spectra, [1], true), sum(good, [1], true), 1);
  const size = arch.latents * arch.width;
  const weight = parameters.linear('trunk.average.spectrum.weight', spectrumBins, size);
  return gemm(reshape(average, [rows, spectrumBins]), weight);
}

/**
 * `[rows, channels, maps]`: each map less its mean over the good channels, so that what all
 * channels share, the reference above all, is nothing; zeros for one channel.
 */
function withoutMean(raw: Value, mask: Value): Value {
  const [rows, channels] = mask.shape;
  const good = reshape(mask, [rows, channels, 1]);
  const shaped = reshape(raw, [rows, channels, raw.shape[1]]);
  const even = ratio(sum(shaped, [1], true), sum(good, [1], true), 1);
  return mul(mul(sub(shaped, even), good), mapGain);
}

/** `[rows, maps, width/heads]`: spectra of the local patches under each map. */
function contrasts(map: Value, seen: Seen, arch: Architecture, parameters: Parameters): Value {
  const [rows, channels] = seen.mask.shape;
  const size = arch.width / arch.heads;
  const weight = parameters.linear('trunk.contrast.spectrum.weight', spectrumBins, size);
  const values = reshape(gemm(seen.localSpectra, weight), [rows, channels, size]);
  return matmul(swapLast(map), values);
}

/**
 * `[rows, maps, width/heads]`: the spectrum of the signal under each map, less the mean of all maps:
 * shares of power, as common spatial patterns take them. Zeros for one channel.
 */
function filtered(map: Value, seen: Seen, arch: Architecture, parameters: Parameters): Value {
  const { latents, heads, width } = arch;
  const [rows] = seen.mask.shape;
  const maps = latents * heads;
  const mapped = matmul(swapLast(map), seen.transforms);
  const spectra = logPower(reshape(mapped, [times(rows, maps), fourierSize]));
  const weight = parameters.linear('trunk.filter.spectrum.weight', spectrumBins, width / heads);
  const heard = reshape(gemm(spectra, weight), [rows, maps, width / heads]);
  return sub(heard, mean(heard, [1], true));
}
