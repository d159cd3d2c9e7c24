/**
 * The model a second time, in plain TensorFlow.js: the independent witness of the ONNX graphs and,
 * through its autodiff, of their gradients. The mixture is computed the naive way: every expert on
 * every token, masked.
 */
import * as tf from '@tensorflow/tfjs';
import type { Architecture } from '../../src/model/architecture.js';
import { scalpSpiral } from '../../src/model/local.js';

export type TfWeights = Readonly<Record<string, tf.Tensor>>;

const samples = 200;
const bins = 80;

function at(weights: TfWeights, name: string): tf.Tensor {
  const tensor = weights[name];
  if (tensor === undefined) throw new Error(`witness: no weight ${name}`);
  return tensor;
}

export const linear = (x: tf.Tensor, w: TfWeights, name: string): tf.Tensor2D =>
  tf.matMul(x as tf.Tensor2D, at(w, name) as tf.Tensor2D);

export function layerNorm(x: tf.Tensor): tf.Tensor {
  const { mean, variance } = tf.moments(x, -1, true);
  return tf.div(tf.sub(x, mean), tf.sqrt(tf.add(variance, 1e-5)));
}

export function spectrum(patches: tf.Tensor2D): tf.Tensor2D {
  const matrix = (wave: (x: number) => number) =>
    tf.tensor2d(
      Array.from({ length: samples }, (_, n) =>
        Array.from({ length: bins }, (_, k) => {
          const hann = Math.sin((Math.PI * (n + 0.5)) / samples) ** 2;
          return (hann * wave((2 * Math.PI * k * n) / samples)) / (samples / 4);
        }),
      ),
    );
  const power = tf.add(
    tf.square(tf.matMul(patches, matrix(Math.cos))),
    tf.square(tf.matMul(patches, matrix(Math.sin))),
  );
  return tf.mul(tf.add(tf.log(tf.add(power, 1e-5)), 5), 0.25);
}

/** Neighbour by neighbour: the weighted differences to each other channel, not their mean. */
function localSpectrum({ patches, positions, mask }: TrunkFeed): tf.Tensor2D {
  const [rows, channels] = mask.shape as [number, number];
  const [signal, place, good] = [patches.dataSync(), positions.dataSync(), mask.dataSync()];
  const out = Float64Array.from(signal);
  const axes = [0, 1, 2];
  for (let one = 0; one < rows * channels; one++) {
    const first = one - (one % channels);
    const weights = Array.from({ length: channels }, (_, i) => {
      const other = first + i;
      if (other === one || good[other] === 0) return 0;
      const far = axes.map((axis) => (place[one * 6 + axis] - place[other * 6 + axis]) ** 2);
      return 1 / (far.reduce((a, b) => a + b) + 0.01) ** 3;
    });
    const total = weights.reduce((a, b) => a + b);
    for (const [i, weight] of weights.entries())
      for (let t = 0; weight > 0 && t < samples; t++)
        out[one * samples + t] -= (weight / total) * signal[(first + i) * samples + t];
  }
  return spectrum(tf.tensor2d(Float32Array.from(out), [rows * channels, samples]));
}

/** Row by row, over the good channels alone: maps over interpolated sites, and their spectra. */
function mapsOfScalp(
  spectra: tf.Tensor2D,
  { patches, positions, mask }: TrunkFeed,
  arch: Architecture,
  w: TfWeights,
): tf.Tensor {
  const [rows, channels] = mask.shape as [number, number];
  const [good, place] = [mask.dataSync(), positions.dataSync()];
  const { latents, width } = arch;
  const shares = (signals: tf.Tensor2D) => {
    const heard = linear(spectrum(signals), w, 'trunk.filter.spectrum.weight');
    return tf.sub(heard, tf.mean(heard, 0, true));
  };
  const own = Array.from({ length: rows }, (_, row) => {
    const some = Array.from({ length: channels }, (_, c) => row * channels + c);
    const kept = some.filter((c) => good[c] > 0);
    if (kept.length === 0) return tf.zeros([latents, width]);
    const heard = tf.gather(tf.reshape(patches, [rows * channels, samples]), kept) as tf.Tensor2D;
    const mean = tf.mean(spectrum(heard), 0, true) as tf.Tensor2D;
    const average = linear(mean, w, 'trunk.average.spectrum.weight');
    const near = kept.map((c) => scalpSpiral().map((site) => closeness(site, place, c * 6)));
    const share = near.map((ks) =>
      ks.map((k, site) => k / (near.reduce((sum, other) => sum + other[site], 0) + 0.05)),
    );
    const apart = (name: string) => {
      const map = linear(tf.tensor2d(share), w, `trunk.${name}.sites.weight`);
      return tf.mul(tf.sub(map, tf.mean(map, 0, true)), 6) as tf.Tensor2D;
    };
    const index = tf.tensor1d(kept, 'int32');
    const values = linear(tf.gather(spectra, index), w, 'trunk.contrast.spectrum.weight');
    const signals = tf.matMul(apart('filter'), heard, true) as tf.Tensor2D;
    const contrasts = tf.matMul(apart('contrast'), values, true);
    const both = tf.reshape(tf.add(contrasts, shares(signals)), [latents, width]);
    return tf.add(both, tf.reshape(average, [latents, width]));
  });
  return tf.stack(own);
}

function closeness(site: readonly number[], places: ArrayLike<number>, from: number): number {
  const far = site.map((x, axis) => (x - places[from + axis]) ** 2);
  return Math.exp(-far.reduce((a, b) => a + b) / (2 * 0.25 ** 2));
}

export function fourier(columns: tf.Tensor2D, rates: readonly number[], raw: number): tf.Tensor2D {
  const [n, size] = columns.shape;
  const angles = tf.reshape(tf.mul(tf.reshape(columns, [n, size, 1]), tf.tensor1d([...rates])), [
    n,
    size * rates.length,
  ]);
  return tf.concat([tf.mul(columns, raw), tf.sin(angles), tf.cos(angles)], 1) as tf.Tensor2D;
}

/** Attention of `[rows, heads, *, size]`, keys masked by `[rows, keys]`. */
export function attend(q: tf.Tensor, k: tf.Tensor, v: tf.Tensor, mask: tf.Tensor): tf.Tensor {
  const [rows, keys] = mask.shape as [number, number];
  const scores = tf.div(tf.matMul(q, k, false, true), Math.sqrt(q.shape[3] as number));
  const bias = tf.mul(tf.sub(tf.reshape(mask, [rows, 1, 1, keys]), 1), 1e9);
  return tf.matMul(tf.softmax(tf.add(scores, bias)), v);
}

export function heads(x: tf.Tensor, rows: number, tokens: number, count: number): tf.Tensor {
  const size = (x.shape[x.shape.length - 1] as number) / count;
  return tf.transpose(tf.reshape(x, [rows, tokens, count, size]), [0, 2, 1, 3]);
}

export function unheads(x: tf.Tensor): tf.Tensor {
  const [rows, count, tokens, size] = x.shape as [number, number, number, number];
  return tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [rows * tokens, count * size]);
}

function selfAttention(
  x: tf.Tensor,
  mask: tf.Tensor,
  arch: Architecture,
  w: TfWeights,
  name: string,
): tf.Tensor {
  const [rows, tokens] = mask.shape as [number, number];
  const qkv = tf.add(linear(layerNorm(x), w, `${name}.qkv.weight`), at(w, `${name}.qkv.bias`));
  const parts = tf.split(qkv, 3, 1).map((part) => heads(part, rows, tokens, arch.heads));
  const [q, k, v] = parts as [tf.Tensor, tf.Tensor, tf.Tensor];
  return tf.add(x, linear(unheads(attend(q, k, v, mask)), w, `${name}.out.weight`));
}

export function ffn(h: tf.Tensor, w: TfWeights, name: string): tf.Tensor {
  const hidden = tf.relu(tf.add(linear(h, w, `${name}.in.weight`), at(w, `${name}.in.bias`)));
  return linear(tf.square(hidden), w, `${name}.out.weight`);
}

export interface TrunkFeed {
  /** `[rows, channels, 200]`, and so on as the ONNX graph. */
  readonly patches: tf.Tensor;
  readonly positions: tf.Tensor;
  readonly mask: tf.Tensor;
}

/** `[rows, latents, width]`. Masked places must hold zeros. */
export function tfTrunk(feed: TrunkFeed, arch: Architecture, w: TfWeights): tf.Tensor {
  const [rows, channels] = feed.mask.shape as [number, number];
  const patches = tf.reshape(feed.patches, [rows * channels, samples]) as tf.Tensor2D;
  const positions = tf.reshape(feed.positions, [rows * channels, 6]) as tf.Tensor2D;
  const rates = [0.25, 0.5, 1, 2].map((cycles) => 2 * Math.PI * cycles);
  const local = arch.local === true ? localSpectrum(feed) : undefined;
  let x: tf.Tensor = tf.addN([
    linear(patches, w, 'trunk.embed.patch.weight'),
    linear(spectrum(patches), w, 'trunk.embed.spectrum.weight'),
    linear(fourier(positions, rates, 1), w, 'trunk.embed.position.weight'),
    ...(local === undefined ? [] : [linear(local, w, 'trunk.embed.local.weight')]),
  ]);
  x = tf.add(x, at(w, 'trunk.embed.bias'));
  for (let block = 0; block < arch.trunkBlocks; block++) {
    const name = `trunk.blocks.${block}`;
    x = selfAttention(x, feed.mask, arch, w, `${name}.attention`);
    x = tf.add(x, ffn(layerNorm(x), w, `${name}.ffn`));
  }
  const query = heads(at(w, 'trunk.pool.query'), 1, arch.latents, arch.heads);
  const both = tf.add(linear(layerNorm(x), w, 'trunk.pool.kv.weight'), at(w, 'trunk.pool.kv.bias'));
  const [k, v] = tf.split(both, 2, 1).map((part) => heads(part, rows, channels, arch.heads)) as [
    tf.Tensor,
    tf.Tensor,
  ];
  const mixed = attend(tf.tile(query, [rows, 1, 1, 1]), k, v, feed.mask);
  const out = linear(unheads(mixed), w, 'trunk.pool.out.weight');
  const shaped = tf.reshape(out, [rows, arch.latents, arch.width]);
  const base = tf.add(shaped, at(w, 'trunk.pool.base'));
  if (local === undefined) return layerNorm(base);
  return layerNorm(tf.add(base, mapsOfScalp(local, feed, arch, w)));
}

export interface TaskFeed {
  readonly latents: tf.Tensor;
  readonly times: tf.Tensor;
  readonly mask: tf.Tensor;
  readonly task: readonly number[];
}

export interface TfRouting {
  readonly logits: tf.Tensor2D;
  /** `[tokens, experts]`: 1 where chosen. */
  readonly chosen: tf.Tensor2D;
}

/** Top-k by repeated argmax, as a mask; weights by softmax over the chosen. */
function mixture(
  h: tf.Tensor,
  taskRows: tf.Tensor,
  _usable: tf.Tensor2D,
  arch: Architecture,
  w: TfWeights,
  name: string,
): { y: tf.Tensor; routing: TfRouting } {
  const { moe } = arch;
  if (moe === null) throw new Error('witness: dense');
  let logits: tf.Tensor2D = linear(h, w, `${name}.router.token`);
  if (moe.taskAware) {
    const byTask = tf.expandDims(linear(taskRows, w, `${name}.router.task`), 1);
    const tokens = (h.shape[0] as number) / (taskRows.shape[0] as number);
    const repeated = tf.tile(byTask, [1, tokens, 1]);
    logits = tf.add(logits, tf.reshape(repeated, logits.shape));
  }
  let chosen = tf.zerosLike(logits);
  for (let i = 0; i < moe.topK; i++) {
    const biased = tf.add(logits, at(w, `${name}.router.bias`));
    const left = tf.sub(biased, tf.mul(chosen, 1e9));
    chosen = tf.add(chosen, tf.oneHot(tf.argMax(left, 1), moe.experts).toFloat());
  }
  const weights = tf.softmax(tf.add(logits, tf.mul(tf.sub(chosen, 1), 1e9)));
  const outputs = Array.from({ length: moe.experts }, (_, i) =>
    tf.mul(ffn(h, w, `${name}.experts.${i}`), tf.slice(weights, [0, i], [-1, 1])),
  );
  return { y: tf.addN(outputs), routing: { logits, chosen } };
}

export interface TfOutputs {
  readonly logits: tf.Tensor2D;
  readonly routings: readonly TfRouting[];
}

/** Tokens of a window `[rows*tokens, width]`: latents, time, index and (where given) task. */
export function tfEmbed(
  feed: Omit<TaskFeed, 'task'>,
  embedding: tf.Tensor | null,
  arch: Architecture,
  w: TfWeights,
): { x: tf.Tensor; mask: tf.Tensor } {
  const { latents, width } = arch;
  const [rows, seconds] = feed.mask.shape as [number, number];
  const column = tf.reshape(feed.times, [rows * seconds, 1]) as tf.Tensor2D;
  const byTime = linear(fourier(column, timeRates, 1 / 60), w, 'task.time.weight');
  const parts = [
    feed.latents,
    tf.tile(tf.reshape(byTime, [rows, seconds, 1, width]), [1, 1, latents, 1]),
    tf.tile(tf.reshape(at(w, 'task.latent'), [1, 1, latents, width]), [rows, seconds, 1, 1]),
  ];
  if (embedding !== null)
    parts.push(tf.tile(tf.reshape(embedding, [rows, 1, 1, width]), [1, seconds, latents, 1]));
  const tokens = seconds * latents;
  return {
    x: tf.reshape(tf.addN(parts), [rows * tokens, width]),
    mask: tf.reshape(tf.tile(tf.expandDims(feed.mask, 2), [1, 1, latents]), [rows, tokens]),
  };
}

export const timeRates = [1, 2, 4, 8, 16, 32, 64, 128, 256].map((s) => (2 * Math.PI) / s);

export type TfMixture = typeof mixture;

export function tfBlocks(
  start: tf.Tensor,
  mask: tf.Tensor,
  embedding: tf.Tensor,
  arch: Architecture,
  w: TfWeights,
  mix: TfMixture = mixture,
): { x: tf.Tensor; routings: TfRouting[] } {
  const routings: TfRouting[] = [];
  const [rows, tokens] = mask.shape as [number, number];
  const usable = tf.reshape(mask, [rows * tokens, 1]) as tf.Tensor2D;
  let x = start;
  for (let block = 0; block < arch.taskBlocks; block++) {
    const name = `task.blocks.${block}`;
    x = selfAttention(x, mask, arch, w, `${name}.attention`);
    const h = layerNorm(x);
    if (arch.moe?.blocks.includes(block)) {
      const { y, routing } = mix(h, embedding, usable, arch, w, name);
      x = tf.add(x, y);
      routings.push(routing);
    } else x = tf.add(x, ffn(h, w, `${name}.ffn`));
  }
  return { x, routings };
}

/** Pooling of `[rows*tokens, width]` by queries `[rows, width]`: of each latent, or of all. */
export function tfPool(
  x: tf.Tensor,
  mask: tf.Tensor,
  query: tf.Tensor,
  { latents }: Architecture,
  apart = false,
): tf.Tensor2D {
  if (!apart) return poolTokens(x, mask, query);
  const [rows, tokens] = mask.shape as [number, number];
  const seconds = tokens / latents;
  const shaped = tf.reshape(x, [rows, seconds, latents, -1]);
  const shapedMask = tf.reshape(mask, [rows, seconds, latents]);
  const each = Array.from({ length: latents }, (_, i) => {
    const own = tf.reshape(tf.gather(shaped, i, 2), [rows * seconds, -1]);
    return poolTokens(own, tf.gather(shapedMask, i, 2), query);
  });
  return tf.concat(each, 1) as tf.Tensor2D;
}

function poolTokens(x: tf.Tensor, mask: tf.Tensor, query: tf.Tensor): tf.Tensor2D {
  const [rows, tokens] = mask.shape as [number, number];
  const width = x.shape[1] as number;
  const normed = tf.reshape(layerNorm(x), [rows, tokens, width]);
  const scores = tf.div(
    tf.sum(tf.mul(normed, tf.reshape(query, [rows, 1, width])), 2),
    Math.sqrt(width),
  );
  const share = tf.softmax(tf.add(scores, tf.mul(tf.sub(mask, 1), 1e9)));
  return tf.sum(tf.mul(normed, tf.expandDims(share, 2)), 1);
}

export function tfTasks(
  feed: TaskFeed,
  arch: Architecture,
  w: TfWeights,
  mix: TfMixture = mixture,
): TfOutputs {
  const hot = tf.oneHot(tf.tensor1d([...feed.task], 'int32'), arch.taskSlots).toFloat();
  const embedding = linear(hot, w, 'task.embedding');
  const { x, mask } = tfEmbed(feed, embedding, arch, w);
  const mixed = tfBlocks(x, mask, embedding, arch, w, mix);
  const query = linear(hot, w, 'task.pool');
  const logits = arch.tasks.map((spec) => {
    const pooled = tfPool(mixed.x, mask, query, arch, spec.apart);
    return tf.add(linear(pooled, w, `heads.${spec.name}.weight`), at(w, `heads.${spec.name}.bias`));
  });
  return { logits: tf.concat(logits, 1) as tf.Tensor2D, routings: mixed.routings };
}
