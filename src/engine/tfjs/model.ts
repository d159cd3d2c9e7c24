/**
 * The model in TensorFlow.js operators, from the same weights as the ONNX graphs and independent
 * of them. Every function may be differentiated by TensorFlow.js.
 */
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { modelRateHz, patchSamples } from '../../core/tasks.js';
import { baseTasksOf } from '../../model/architecture.js';
import { scalpSites, scalpSpiral } from '../../model/local.js';
import { packPrefix } from '../../model/row-task.js';
import { ffn, layerNorm, linear, type TfContext, weight } from './layers.js';
import { type Mixture, sparseMixture } from './mixture.js';
import { readRowTask } from './row-task.js';

const spectrumBins = 80;
const positionRates = [0.25, 0.5, 1, 2].map((cycles) => 2 * Math.PI * cycles);
const timeRates = [1, 2, 4, 8, 16, 32, 64, 128, 256].map((periodS) => (2 * Math.PI) / periodS);

function logSpectrum({ tf }: TfContext, patches: Tensor2D): Tensor2D {
  const matrix = (wave: (x: number) => number) => {
    const values = new Float32Array(patchSamples * spectrumBins);
    for (let n = 0; n < patchSamples; n++) {
      const hann = Math.sin((Math.PI * (n + 0.5)) / patchSamples) ** 2;
      for (let bin = 0; bin < spectrumBins; bin++)
        values[n * spectrumBins + bin] =
          ((4 * hann) / patchSamples) * wave((2 * Math.PI * bin * n) / modelRateHz);
    }
    return tf.tensor2d(values, [patchSamples, spectrumBins]);
  };
  const power = tf.add(
    tf.square(tf.matMul(patches, matrix(Math.cos))),
    tf.square(tf.matMul(patches, matrix(Math.sin))),
  );
  return tf.mul(tf.add(tf.log(tf.add(power, 1e-5)), 5), 0.25);
}

function fourier({ tf }: TfContext, columns: Tensor2D, rates: number[], raw: number): Tensor {
  const [rows, size] = columns.shape;
  const angles = tf.mul(tf.reshape(columns, [rows, size, 1]), tf.tensor1d(rates));
  const flat = tf.reshape(angles, [rows, size * rates.length]);
  return tf.concat([tf.mul(columns, raw), tf.sin(flat), tf.cos(flat)], 1);
}

interface Attended {
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
  /** `[rows, keys]`, 1 = usable. */
  readonly mask: Tensor;
}

/** `[rows, heads, queries, size]`. */
function attend({ tf }: TfContext, { q, k, v, mask }: Attended): Tensor {
  const [rows, keys] = mask.shape as [number, number];
  const scores = tf.div(tf.matMul(q, k, false, true), Math.sqrt(q.shape[3] as number));
  const bias = tf.mul(tf.sub(tf.reshape(mask, [rows, 1, 1, keys]), 1), 1e9);
  return tf.matMul(tf.softmax(tf.add(scores, bias)), v);
}

function toHeads({ tf, arch }: TfContext, x: Tensor, rows: number, tokens: number): Tensor {
  const shape = [rows, tokens, arch.heads, arch.width / arch.heads];
  return tf.transpose(tf.reshape(x, shape), [0, 2, 1, 3]);
}

function fromHeads({ tf }: TfContext, x: Tensor): Tensor {
  const [rows, heads, tokens, size] = x.shape as [number, number, number, number];
  return tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [rows * tokens, heads * size]);
}

function selfAttention(at: TfContext, x: Tensor, mask: Tensor, name: string): Tensor {
  const { tf } = at;
  const [rows, tokens] = mask.shape as [number, number];
  const h = layerNorm(at, x);
  const qkv = tf.add(linear(at, h, `${name}.qkv.weight`), weight(at, `${name}.qkv.bias`));
  const [q, k, v] = tf.split(qkv, 3, 1).map((part) => toHeads(at, part, rows, tokens)) as [
    Tensor,
    Tensor,
    Tensor,
  ];
  const mixed = fromHeads(at, attend(at, { q, k, v, mask }));
  return tf.add(x, linear(at, mixed, `${name}.out.weight`));
}

/** What stands at a masked place, a NaN too, becomes 0. */
function clean({ tf }: TfContext, x: Tensor, mask: Tensor): Tensor {
  const shape = [...mask.shape, ...x.shape.slice(mask.rank).map(() => 1)];
  return tf.where(tf.greater(tf.reshape(mask, shape), 0), x, tf.zerosLike(x));
}

export interface TrunkFeed {
  /** `[rows, channels, 200]`. */
  readonly patches: Tensor;
  /** `[rows, channels, 6]`. */
  readonly positions: Tensor;
  /** `[rows, channels]`. */
  readonly mask: Tensor;
}

/** Log spectra of `withoutNeighbours` (src/model/local.ts), `[rows*channels, bins]`. */
function localSpectra(at: TfContext, { patches, positions, mask }: TrunkFeed): Tensor2D {
  const { tf } = at;
  const [rows, channels] = mask.shape as [number, number];
  const signal = clean(at, patches, mask);
  const active = tf.slice(clean(at, positions, mask), [0, 0, 0], [rows, channels, 3]);
  const apart = tf.squaredDifference(tf.expandDims(active, 2), tf.expandDims(active, 1));
  const near = tf.reciprocal(tf.add(tf.sum(apart, -1), 0.01));
  const weights = tf.mul(
    tf.mul(tf.pow(near, 3), tf.sub(1, tf.eye(channels))),
    tf.expandDims(mask, 1),
  );
  const total = tf.maximum(tf.sum(weights, -1, true), 1e-12);
  const local = tf.sub(signal, tf.div(tf.matMul(weights, signal), total));
  return logSpectrum(at, tf.reshape(local, [rows * channels, patchSamples]) as Tensor2D);
}

/** As `mapsOfScalp` of src/model/local.ts, `[rows, latents, width]`. */
function mapsOfScalp(
  at: TfContext,
  spectra: Tensor2D,
  localSpectra: Tensor2D,
  feed: TrunkFeed,
): Tensor {
  const { tf, arch } = at;
  const { latents, heads, width } = arch;
  const { mask } = feed;
  const [rows, channels] = mask.shape as [number, number];
  const good = tf.expandDims(mask, 2);
  const active = tf.slice(clean(at, feed.positions, mask), [0, 0, 0], [rows, channels, 3]);
  const sites = tf.reshape(tf.tensor2d(scalpSpiral()), [1, 1, scalpSites, 3]);
  const far = tf.sum(tf.squaredDifference(tf.expandDims(active, 2), sites), -1);
  const near = tf.mul(tf.exp(tf.mul(far, -8)), good);
  const shares = tf.div(near, tf.add(tf.sum(near, 1, true), 0.05));
  const flat = tf.reshape(shares, [rows * channels, scalpSites]);
  const count = tf.maximum(tf.sum(good, 1, true), 1);
  const scalpMap = (name: string): Tensor => {
    const raw = linear(at, flat, `trunk.${name}.sites.weight`);
    const maps = tf.reshape(raw, [rows, channels, latents * heads]);
    const even = tf.div(tf.sum(maps, 1, true), count);
    return tf.mul(tf.mul(tf.sub(maps, even), good), 6);
  };
  const values = linear(at, localSpectra, 'trunk.contrast.spectrum.weight');
  const shaped = tf.reshape(values, [rows, channels, width / heads]);
  const contrasts = tf.matMul(scalpMap('contrast'), shaped, true);
  const signals = tf.matMul(scalpMap('filter'), clean(at, feed.patches, mask), true);
  const heard = logSpectrum(at, tf.reshape(signals, [-1, patchSamples]) as Tensor2D);
  const each = linear(at, heard, 'trunk.filter.spectrum.weight');
  const powers = tf.reshape(each, [rows, latents * heads, width / heads]);
  const filtered = tf.sub(powers, tf.mean(powers, 1, true));
  const own = tf.mul(tf.reshape(spectra, [rows, channels, -1]), good);
  const mean = tf.div(tf.sum(own, 1), tf.squeeze(count, [2])) as Tensor2D;
  const average = linear(at, mean, 'trunk.average.spectrum.weight');
  const out = [rows, latents, width];
  return tf.add(tf.reshape(tf.add(contrasts, filtered), out), tf.reshape(average, out));
}

/** Latents `[rows, latents, width]` of each second. */
export function tfTrunk(at: TfContext, feed: TrunkFeed): Tensor {
  const { tf, arch } = at;
  const { mask } = feed;
  const [rows, channels] = mask.shape as [number, number];
  const flat = (x: Tensor, size: number) =>
    tf.reshape(clean(at, x, mask), [rows * channels, size]) as Tensor2D;
  const patches = flat(feed.patches, patchSamples);
  const places = fourier(at, flat(feed.positions, 6), positionRates, 1);
  const local = arch.local === true ? localSpectra(at, feed) : undefined;
  const spectra = logSpectrum(at, patches);
  let x: Tensor = tf.addN([
    linear(at, patches, 'trunk.embed.patch.weight'),
    linear(at, spectra, 'trunk.embed.spectrum.weight'),
    linear(at, places, 'trunk.embed.position.weight'),
    ...(local === undefined ? [] : [linear(at, local, 'trunk.embed.local.weight')]),
  ]);
  x = tf.add(x, weight(at, 'trunk.embed.bias'));
  for (let block = 0; block < arch.trunkBlocks; block++) {
    const name = `trunk.blocks.${block}`;
    x = selfAttention(at, x, mask, `${name}.attention`);
    x = tf.add(x, ffn(at, layerNorm(at, x), `${name}.ffn`));
  }
  const start = weight(at, 'trunk.pool.base');
  const maps = local && mapsOfScalp(at, spectra, local, feed);
  return poolToLatents(at, x, mask, maps === undefined ? start : tf.add(start, maps));
}

function poolToLatents(at: TfContext, x: Tensor, mask: Tensor, start: Tensor): Tensor {
  const { tf, arch } = at;
  const [rows, channels] = mask.shape as [number, number];
  const query = toHeads(at, weight(at, 'trunk.pool.query'), 1, arch.latents);
  const both = tf.add(
    linear(at, layerNorm(at, x), 'trunk.pool.kv.weight'),
    weight(at, 'trunk.pool.kv.bias'),
  );
  const [k, v] = tf.split(both, 2, 1).map((part) => toHeads(at, part, rows, channels)) as [
    Tensor,
    Tensor,
  ];
  const mixed = attend(at, { q: tf.tile(query, [rows, 1, 1, 1]), k, v, mask });
  const out = linear(at, fromHeads(at, mixed), 'trunk.pool.out.weight');
  const shaped = tf.reshape(out, [rows, arch.latents, arch.width]);
  return layerNorm(at, tf.add(shaped, start));
}

export interface TaskFeed {
  /** `[rows, seconds, latents, width]`. */
  readonly latents: Tensor;
  /** `[rows, seconds]`. */
  readonly times: Tensor;
  /** `[rows, seconds]`. */
  readonly mask: Tensor;
  readonly task: Int32Array;
}

export interface TfTaskOutputs {
  /** `[rows, classesTotal]`. */
  readonly logits: Tensor2D;
  readonly mixtures: readonly Mixture[];
}

export function tfTasks(at: TfContext, feed: TaskFeed): TfTaskOutputs {
  const { tf, arch } = at;
  const [rows, seconds] = feed.mask.shape as [number, number];
  const tokens = seconds * arch.latents;
  const rowTask = readRowTask(at, feed.task);
  let x = embedWindow(at, feed, rowTask.embedding);
  const mask = tf.reshape(tf.tile(tf.expandDims(feed.mask, 2), [1, 1, arch.latents]), [
    rows,
    tokens,
  ]);
  const mixtures: Mixture[] = [];
  for (let block = 0; block < arch.taskBlocks; block++) {
    const name = `task.blocks.${block}`;
    x = selfAttention(at, x, mask, `${name}.attention`);
    const h = layerNorm(at, x);
    if (arch.moe?.blocks.includes(block)) {
      const mixture = sparseMixture(at, { h, rowTask, mask, block });
      x = tf.add(x, mixture.y);
      mixtures.push(mixture);
    } else x = tf.add(x, ffn(at, h, `${name}.ffn`));
  }
  const ways = new Set(arch.tasks.map(({ apart }) => apart === true));
  const pooled = new Map(
    [...ways].map((way) => [way, poolWindow(at, x, rowTask.poolQuery, mask, way)]),
  );
  const known = baseTasksOf(arch).length;
  const grown = (arch.packs ?? []).map(({ name }) => `${packPrefix(name)}.head`);
  const logits = arch.tasks.map(({ name, apart }, i) => {
    const head = i < known ? `heads.${name}` : grown[i - known];
    const seen = pooled.get(apart === true) as Tensor;
    return tf.add(linear(at, seen, `${head}.weight`), weight(at, `${head}.bias`));
  });
  return { logits: tf.concat(logits, 1) as Tensor2D, mixtures };
}

/** `[rows*tokens, width]`. */
function embedWindow(at: TfContext, feed: TaskFeed, taskEmbedding: Tensor): Tensor {
  const { tf, arch } = at;
  const { latents, width } = arch;
  const [rows, seconds] = feed.mask.shape as [number, number];
  const column = tf.reshape(feed.times, [rows * seconds, 1]) as Tensor2D;
  const byTime = linear(at, fourier(at, column, timeRates, 1 / 60), 'task.time.weight');
  const perSecond = tf.add(
    tf.reshape(byTime, [rows, seconds, 1, width]),
    tf.reshape(taskEmbedding, [rows, 1, 1, width]),
  );
  const x = tf.add(
    tf.add(clean(at, feed.latents, feed.mask), perSecond),
    weight(at, 'task.latent'),
  );
  return tf.reshape(x, [rows * seconds * latents, width]);
}

/** Attention pooling by a learned query of the task, of each latent or of all: side by side. */
function poolWindow(at: TfContext, x: Tensor, query: Tensor, mask: Tensor, apart: boolean): Tensor {
  const { tf, arch } = at;
  const [rows, tokens] = mask.shape as [number, number];
  const normed = tf.reshape(layerNorm(at, x), [rows, tokens, arch.width]);
  if (!apart) return poolTokens(at, normed, query, mask);
  const split = (part: Tensor, size: number[]) =>
    tf.unstack(tf.reshape(part, [rows, tokens / arch.latents, arch.latents, ...size]), 2);
  const masks = split(mask, []);
  const latents = split(normed, [arch.width]);
  return tf.concat(
    latents.map((latent, i) => poolTokens(at, latent, query, masks[i])),
    1,
  );
}

/** `[rows, tokens, width]` to `[rows, width]`. */
function poolTokens(at: TfContext, normed: Tensor, query: Tensor, mask: Tensor): Tensor {
  const { tf, arch } = at;
  const [rows] = mask.shape as [number];
  const products = tf.mul(normed, tf.reshape(query, [rows, 1, arch.width]));
  const scores = tf.div(tf.sum(products, 2), Math.sqrt(arch.width));
  const share = tf.softmax(tf.add(scores, tf.mul(tf.sub(mask, 1), 1e9)));
  return tf.sum(tf.mul(normed, tf.expandDims(share, 2)), 1);
}
