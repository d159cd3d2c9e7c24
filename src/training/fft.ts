/** Complex fast Fourier transform of a power of two, in place (Cooley and Tukey 1965). */

export class Fft {
  readonly #cos: Float64Array;
  readonly #sin: Float64Array;
  readonly #order: Uint32Array;

  constructor(readonly size: number) {
    if (size < 2 || (size & (size - 1)) !== 0) throw new RangeError(`${size} is no power of two`);
    this.#cos = Float64Array.from({ length: size / 2 }, (_, i) =>
      Math.cos((2 * Math.PI * i) / size),
    );
    this.#sin = Float64Array.from({ length: size / 2 }, (_, i) =>
      Math.sin((2 * Math.PI * i) / size),
    );
    const bits = Math.log2(size);
    this.#order = Uint32Array.from({ length: size }, (_, i) => {
      let reversed = 0;
      for (let b = 0; b < bits; b++) if ((i >> b) & 1) reversed |= 1 << (bits - 1 - b);
      return reversed;
    });
  }

  forward(re: Float64Array, im: Float64Array): void {
    this.#transform(re, im, -1);
  }

  /** Scaled by 1/size, so that it undoes `forward`. */
  inverse(re: Float64Array, im: Float64Array): void {
    this.#transform(re, im, 1);
    for (let i = 0; i < this.size; i++) {
      re[i] /= this.size;
      im[i] /= this.size;
    }
  }

  #transform(re: Float64Array, im: Float64Array, sign: number): void {
    const n = this.size;
    for (let i = 0; i < n; i++) {
      const j = this.#order[i];
      if (j <= i) continue;
      [re[i], re[j]] = [re[j], re[i]];
      [im[i], im[j]] = [im[j], im[i]];
    }
    for (let half = 1; half < n; half *= 2) {
      const step = n / (2 * half);
      for (let k = 0; k < half; k++) {
        const c = this.#cos[k * step];
        const s = sign * this.#sin[k * step];
        for (let i = k; i < n; i += 2 * half) {
          const j = i + half;
          const x = re[j] * c - im[j] * s;
          const y = re[j] * s + im[j] * c;
          re[j] = re[i] - x;
          im[j] = im[i] - y;
          re[i] += x;
          im[i] += y;
        }
      }
    }
  }
}

/**
 * Welch's one-sided power density in uV^2/Hz, Hann windows of `size` samples, half overlapping;
 * bin k is k * rateHz / size. Means are not removed.
 */
export function welch(x: ArrayLike<number>, rateHz: number, fft: Fft): Float64Array {
  const n = fft.size;
  const out = new Float64Array(n / 2 + 1);
  const re = new Float64Array(n);
  const im = new Float64Array(n);
  let energy = 0;
  const window = Float64Array.from({ length: n }, (_, i) => {
    const w = 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / n);
    energy += w * w;
    return w;
  });
  let frames = 0;
  for (let from = 0; from + n <= x.length; from += n / 2) {
    for (let i = 0; i < n; i++) re[i] = x[from + i] * window[i];
    im.fill(0);
    fft.forward(re, im);
    for (let k = 0; k <= n / 2; k++) {
      const twice = k === 0 || k === n / 2 ? 1 : 2;
      out[k] += (twice * (re[k] * re[k] + im[k] * im[k])) / (energy * rateHz);
    }
    frames++;
  }
  return out.map((value) => value / Math.max(1, frames));
}

/** Mean density over `[lowHz, highHz)`. */
export function bandMean(
  density: Float64Array,
  rateHz: number,
  lowHz: number,
  highHz: number,
): number {
  const perBin = rateHz / (2 * (density.length - 1));
  let sum = 0;
  let bins = 0;
  for (let k = Math.ceil(lowHz / perBin - 1e-9); k * perBin < highHz && k < density.length; k++) {
    sum += density[k];
    bins++;
  }
  return bins === 0 ? 0 : sum / bins;
}
