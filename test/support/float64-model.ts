/**
 * The model once more, in plain loops and float64: what every engine's error is measured against.
 * Nothing masked, one window at a time; slow, and as close to the description as can be read.
 */
import type { Tensor } from '../../src/graph/tensor.js';
import type { Architecture } from '../../src/model/architecture.js';
import { scalpSpiral } from '../../src/model/local.js';

interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float64Array;
}

const matrix = (
  rows: number,
  columns: number,
  at: (row: number, column: number) => number,
): Matrix => {
  const data = new Float64Array(rows * columns);
  for (let i = 0; i < data.length; i++) data[i] = at(Math.floor(i / columns), i % columns);
  return { rows, columns, data };
};
const get = (m: Matrix, row: number, column: number) => m.data[row * m.columns + column] as number;

function product(a: Matrix, b: Matrix): Matrix {
  const out = new Float64Array(a.rows * b.columns);
  for (let i = 0; i < a.rows; i++)
    for (let k = 0; k < a.columns; k++) {
      const factor = get(a, i, k);
      for (let j = 0; j < b.columns; j++)
        out[i * b.columns + j] = (out[i * b.columns + j] as number) + factor * get(b, k, j);
    }
  return { rows: a.rows, columns: b.columns, data: out };
}

const plus = (a: Matrix, b: Matrix) =>
  matrix(a.rows, a.columns, (i, j) => get(a, i, j) + get(b, b.rows === 1 ? 0 : i, j));

function norm(x: Matrix): Matrix {
  const rows = Array.from({ length: x.rows }, (_, i) => {
    const row = x.data.subarray(i * x.columns, (i + 1) * x.columns);
    const mean = row.reduce((a, b) => a + b, 0) / x.columns;
    const variance = row.reduce((a, b) => a + (b - mean) ** 2, 0) / x.columns;
    return row.map((value) => (value - mean) / Math.sqrt(variance + 1e-5));
  });
  return matrix(x.rows, x.columns, (i, j) => (rows[i] as Float64Array)[j] as number);
}

function softmax(scores: readonly number[]): number[] {
  const top = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - top));
  const total = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / total);
}

const fourier = (angles: readonly number[]) => [...angles.map(Math.sin), ...angles.map(Math.cos)];

export class Float64Model {
  readonly #arch: Architecture;
  readonly #weights: ReadonlyMap<string, Tensor>;

  constructor(arch: Architecture, weights: ReadonlyMap<string, Tensor>) {
    this.#arch = arch;
    this.#weights = weights;
  }

  /** `[latents, width]` of one second: `patches` `[channels, 200]`, `positions` `[channels, 6]`. */
  trunk(patches: Float32Array, positions: Float32Array): Float64Array {
    const channels = patches.length / 200;
    const signal = matrix(channels, 200, (i, j) => patches[i * 200 + j] as number);
    const place = (channel: number) => {
      const own = Array.from(positions.subarray(channel * 6, channel * 6 + 6));
      const angles = own.flatMap((x) =>
        [0.25, 0.5, 1, 2].map((cycles) => 2 * Math.PI * cycles * x),
      );
      return [...own, ...fourier(angles)];
    };
    const places = Array.from({ length: channels }, (_, channel) => place(channel));
    let x = product(signal, this.#at('trunk.embed.patch.weight'));
    x = plus(x, product(spectrum(signal), this.#at('trunk.embed.spectrum.weight')));
    const where = matrix(channels, 54, (i, j) => places[i]?.[j] as number);
    x = plus(x, product(where, this.#at('trunk.embed.position.weight')));
    let base = this.#at('trunk.pool.base');
    if (this.#arch.local === true) {
      const local = spectrum(neighboursTaken(signal, positions));
      x = plus(x, product(local, this.#at('trunk.embed.local.weight')));
      base = plus(base, this.#mapsOfScalp(signal, local, positions));
    }
    x = plus(x, this.#at('trunk.embed.bias'));
    for (let block = 0; block < this.#arch.trunkBlocks; block++) {
      const name = `trunk.blocks.${block}`;
      x = this.#selfAttention(x, `${name}.attention`);
      x = plus(x, this.#ffn(norm(x), `${name}.ffn`));
    }
    const { width } = this.#arch;
    const kv = plus(
      product(norm(x), this.#at('trunk.pool.kv.weight')),
      this.#at('trunk.pool.kv.bias'),
    );
    const mixed = this.#attend(
      this.#at('trunk.pool.query'),
      cut(kv, 0, width),
      cut(kv, width, width),
    );
    const out = product(mixed, this.#at('trunk.pool.out.weight'));
    return norm(plus(out, base)).data;
  }

  /** `[classesTotal]` of one window: `latents` `[seconds, latents, width]`, `timesS` `[seconds]`. */
  tasks(latents: Float64Array, timesS: readonly number[], task: number): number[] {
    const { width, latents: each, taskBlocks, moe, tasks } = this.#arch;
    const embedding = row(this.#at('task.embedding'), task);
    const features = timesS.map((t) => {
      const periods = [1, 2, 4, 8, 16, 32, 64, 128, 256];
      return [t / 60, ...fourier(periods.map((period) => (2 * Math.PI * t) / period))];
    });
    const byTime = product(
      matrix(timesS.length, 19, (i, j) => features[i]?.[j] as number),
      this.#at('task.time.weight'),
    );
    const byLatent = this.#at('task.latent');
    let x = matrix(timesS.length * each, width, (i, j) => {
      const second = Math.floor(i / each);
      const own = latents[i * width + j] as number;
      return own + get(byTime, second, j) + get(embedding, 0, j) + get(byLatent, i % each, j);
    });
    for (let block = 0; block < taskBlocks; block++) {
      const name = `task.blocks.${block}`;
      x = this.#selfAttention(x, `${name}.attention`);
      const h = norm(x);
      const mixed = moe?.blocks.includes(block) ?? false;
      x = plus(x, mixed ? this.#mixture(h, embedding, name) : this.#ffn(h, `${name}.ffn`));
    }
    const normed = norm(x);
    const query = row(this.#at('task.pool'), task);
    const all = this.#pool(normed, query);
    const seconds = normed.rows / each;
    const byItself = Array.from({ length: each }, (_, latent) =>
      this.#pool(
        matrix(seconds, width, (i, j) => get(normed, i * each + latent, j)),
        query,
      ),
    );
    const apart = matrix(1, each * width, (_, j) =>
      get(byItself[Math.floor(j / width)] as Matrix, 0, j % width),
    );
    return tasks.flatMap((spec) => {
      const pooled = spec.apart === true ? apart : all;
      const logits = product(pooled, this.#at(`heads.${spec.name}.weight`));
      return [...plus(logits, this.#at(`heads.${spec.name}.bias`)).data];
    });
  }

  #pool(tokens: Matrix, query: Matrix): Matrix {
    const scores = Array.from({ length: tokens.rows }, (_, i) => dot(tokens, i, query, 0));
    const shares = softmax(scores.map((score) => score / Math.sqrt(tokens.columns)));
    return product(
      matrix(1, tokens.rows, (_, j) => shares[j] as number),
      tokens,
    );
  }

  #at(name: string): Matrix {
    const tensor = this.#weights.get(name);
    if (tensor === undefined) throw new Error(`no weight ${name}`);
    const columns = tensor.shape[tensor.shape.length - 1] as number;
    const data = Float64Array.from(tensor.data);
    return { rows: data.length / columns, columns, data };
  }

  #mapsOfScalp(signal: Matrix, local: Matrix, positions: Float32Array): Matrix {
    const { width, latents } = this.#arch;
    const sites = scalpSpiral();
    const near = matrix(local.rows, sites.length, (i, site) =>
      Math.exp(-8 * squared((sites[site] as number[]).map((x, j) => x - positions[i * 6 + j]))),
    );
    const shares = matrix(local.rows, sites.length, (i, site) => {
      const all = Array.from({ length: near.rows }, (_, c) => get(near, c, site));
      return get(near, i, site) / (all.reduce((a, b) => a + b, 0) + 0.05);
    });
    // [maps, columns] of `x` [channels, columns] under the maps of that name.
    const under = (name: string, x: Matrix): Matrix => {
      const map = product(shares, this.#at(`trunk.${name}.sites.weight`));
      return matrix(map.columns, x.columns, (column, j) => {
        const own = Array.from({ length: map.rows }, (_, i) => get(map, i, column));
        const mean = own.reduce((a, b) => a + b, 0) / map.rows;
        return 6 * own.reduce((sum, value, i) => sum + (value - mean) * get(x, i, j), 0);
      });
    };
    const values = product(local, this.#at('trunk.contrast.spectrum.weight'));
    const contrasts = under('contrast', values);
    const heard = spectrum(under('filter', signal));
    const filtered = product(heard, this.#at('trunk.filter.spectrum.weight'));
    const { columns: size } = values;
    const own = spectrum(signal);
    const average = product(
      matrix(1, own.columns, (_, j) => {
        const all = Array.from({ length: own.rows }, (_, i) => get(own, i, j));
        return all.reduce((a, b) => a + b, 0) / own.rows;
      }),
      this.#at('trunk.average.spectrum.weight'),
    );
    return matrix(latents, width, (latent, j) => {
      const column = latent * (width / size) + Math.floor(j / size);
      const all = Array.from({ length: filtered.rows }, (_, map) => get(filtered, map, j % size));
      const mean = all.reduce((a, b) => a + b, 0) / all.length;
      const maps = get(contrasts, column, j % size) + get(filtered, column, j % size) - mean;
      return maps + get(average, 0, latent * width + j);
    });
  }

  #selfAttention(x: Matrix, name: string): Matrix {
    const { width } = this.#arch;
    const qkv = plus(
      product(norm(x), this.#at(`${name}.qkv.weight`)),
      this.#at(`${name}.qkv.bias`),
    );
    const [q, k, v] = [0, 1, 2].map((part) => cut(qkv, part * width, width)) as [
      Matrix,
      Matrix,
      Matrix,
    ];
    return plus(x, product(this.#attend(q, k, v), this.#at(`${name}.out.weight`)));
  }

  #attend(q: Matrix, k: Matrix, v: Matrix): Matrix {
    const { heads, width } = this.#arch;
    const size = width / heads;
    const out = new Float64Array(q.rows * width);
    for (let head = 0; head < heads; head++) {
      const [qh, kh, vh] = [q, k, v].map((m) => cut(m, head * size, size)) as [
        Matrix,
        Matrix,
        Matrix,
      ];
      for (let i = 0; i < q.rows; i++) {
        const scores = Array.from(
          { length: k.rows },
          (_, j) => dot(qh, i, kh, j) / Math.sqrt(size),
        );
        for (const [j, share] of softmax(scores).entries())
          for (let s = 0; s < size; s++) {
            const to = i * width + head * size + s;
            out[to] = (out[to] as number) + share * get(vh, j, s);
          }
      }
    }
    return { rows: q.rows, columns: width, data: out };
  }

  #ffn(h: Matrix, name: string): Matrix {
    const inner = plus(product(h, this.#at(`${name}.in.weight`)), this.#at(`${name}.in.bias`));
    const squared = { ...inner, data: inner.data.map((value) => Math.max(value, 0) ** 2) };
    return product(squared, this.#at(`${name}.out.weight`));
  }

  #mixture(h: Matrix, embedding: Matrix, name: string): Matrix {
    const { moe } = this.#arch;
    if (moe === null) throw new Error('a dense model has no mixture');
    let logits = product(h, this.#at(`${name}.router.token`));
    if (moe.taskAware) logits = plus(logits, product(embedding, this.#at(`${name}.router.task`)));
    const biased = plus(logits, this.#at(`${name}.router.bias`));
    const out = matrix(h.rows, h.columns, () => 0);
    for (let token = 0; token < h.rows; token++) {
      const order = Array.from({ length: moe.experts }, (_, expert) => expert);
      order.sort((a, b) => get(biased, token, b) - get(biased, token, a));
      const chosen = order.slice(0, moe.topK);
      const shares = softmax(chosen.map((expert) => get(logits, token, expert)));
      for (const [i, expert] of chosen.entries()) {
        const served = this.#ffn(row(h, token), `${name}.experts.${expert}`);
        for (let j = 0; j < h.columns; j++) {
          const to = token * h.columns + j;
          out.data[to] = (out.data[to] as number) + (shares[i] as number) * get(served, 0, j);
        }
      }
    }
    return out;
  }
}

const cut = (m: Matrix, from: number, size: number) =>
  matrix(m.rows, size, (i, j) => get(m, i, from + j));
const row = (m: Matrix, index: number) => matrix(1, m.columns, (_, j) => get(m, index, j));

function dot(a: Matrix, i: number, b: Matrix, j: number): number {
  let sum = 0;
  for (let k = 0; k < a.columns; k++) sum += get(a, i, k) * get(b, j, k);
  return sum;
}

const squared = (x: readonly number[]) => x.reduce((sum, one) => sum + one * one, 0);

/** Each row minus the mean of the others, weighted by their distance. */
function neighboursTaken(signal: Matrix, positions: Float32Array): Matrix {
  const weights = matrix(signal.rows, signal.rows, (i, j) => {
    const far = [0, 1, 2].map((axis) => positions[i * 6 + axis] - positions[j * 6 + axis]);
    return i === j ? 0 : 1 / (Math.hypot(...far) ** 2 + 0.01) ** 3;
  });
  const mixed = product(weights, signal);
  return matrix(signal.rows, signal.columns, (i, t) => {
    const total = weights.data.subarray(i * signal.rows, (i + 1) * signal.rows);
    const sum = total.reduce((a, b) => a + b, 0);
    return get(signal, i, t) - (sum > 0 ? get(mixed, i, t) / sum : 0);
  });
}

/** Log power of a Hann-windowed DFT, 0 to 79 Hz. */
function spectrum(patches: Matrix): Matrix {
  const part = (wave: (angle: number) => number) =>
    product(
      patches,
      matrix(200, 80, (n, bin) => {
        const hann = Math.sin((Math.PI * (n + 0.5)) / 200) ** 2;
        return (hann * wave((2 * Math.PI * bin * n) / 200)) / 50;
      }),
    );
  const [real, imaginary] = [part(Math.cos), part(Math.sin)];
  return matrix(patches.rows, 80, (i, j) => {
    const power = get(real, i, j) ** 2 + get(imaginary, i, j) ** 2;
    return 0.25 * (Math.log(power + 1e-5) + 5);
  });
}
