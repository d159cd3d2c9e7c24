/**
 * Time stamps made good as liblsl does it (`time_postprocessor.cpp`; the same to the microsecond
 * on the same stamps): add the clock offset, remove jitter by a recursive least squares line over
 * the sample number with exponential forgetting, and never go back.
 */

export interface PostprocessOptions {
  /** Add the sender's clock offset. */
  readonly clocksync: boolean;
  /** Regular streams only. */
  readonly dejitter: boolean;
  readonly monotonize: boolean;
  /** Time after which a stamp counts half, s. */
  readonly halftimeS?: number;
  /** A step larger than this starts the line anew, s; liblsl never does. */
  readonly restartS?: number;
}

export interface PostprocessSources {
  readonly rateHz: number;
  /** Latest offset to add, s. */
  offsetS(): number;
  now(): number;
}

/** liblsl asks for the offset after so many samples, and at most every half second. */
const samplesBetweenOffsets = 50;
const secondsBetweenOffsets = 0.5;

export class StampPostprocessor {
  readonly #options: PostprocessOptions;
  readonly #sources: PostprocessSources;
  readonly #line: JitterLine;
  #offsetS = 0;
  #samplesSinceOffset = samplesBetweenOffsets;
  #nextOffsetS = 0;
  #lastS = Number.NEGATIVE_INFINITY;

  constructor(options: PostprocessOptions, sources: PostprocessSources) {
    this.#options = options;
    this.#sources = sources;
    this.#line = new JitterLine(sources.rateHz, options.halftimeS ?? 90);
  }

  /** Process in place. */
  apply(stamps: Float64Array): void {
    for (let i = 0; i < stamps.length; i++) stamps[i] = this.one(stamps[i] ?? Number.NaN);
  }

  one(stampS: number): number {
    let value = stampS;
    if (this.#options.clocksync) value += this.#offset();
    if (this.#options.dejitter) value = this.#dejitter(value);
    if (this.#options.monotonize) {
      if (value < this.#lastS) value = this.#lastS;
      else this.#lastS = value;
    }
    return value;
  }

  /** So many samples are known to be missing: the line goes on behind them. */
  skip(samples: number): void {
    this.#line.skip(samples);
  }

  /** Another outlet, another clock: everything learned is void but the order of the stamps. */
  restart(): void {
    this.#line.restart();
    this.#samplesSinceOffset = samplesBetweenOffsets;
    this.#nextOffsetS = 0;
  }

  #dejitter(value: number): number {
    const restartS = this.#options.restartS;
    if (restartS !== undefined && Math.abs(this.#line.residual(value)) > restartS)
      this.#line.restart();
    return this.#line.next(value);
  }

  #offset(): number {
    if (++this.#samplesSinceOffset > samplesBetweenOffsets) {
      const now = this.#sources.now();
      if (now > this.#nextOffsetS) {
        this.#offsetS = this.#sources.offsetS();
        this.#samplesSinceOffset = 0;
        this.#nextOffsetS = now + secondsBetweenOffsets;
      }
    }
    return this.#offsetS;
  }
}

/** Recursive least squares of stamp over sample number, forgetting half after `halftimeS`. */
export class JitterLine {
  readonly #rateHz: number;
  readonly #lambda: number;
  #t0 = Number.NaN;
  #n = 0;
  #w0 = 0;
  #w1 = 0;
  #p00 = 1e10;
  #p01 = 0;
  #p11 = 1e10;

  constructor(rateHz: number, halftimeS: number) {
    this.#rateHz = rateHz;
    this.#lambda = rateHz > 0 ? 2 ** (-1 / (rateHz * halftimeS)) : 1;
  }

  restart(): void {
    this.#t0 = Number.NaN;
    this.#n = 0;
    this.#w0 = 0;
    this.#w1 = this.#rateHz > 0 ? 1 / this.#rateHz : 0;
    this.#p00 = 1e10;
    this.#p01 = 0;
    this.#p11 = 1e10;
  }

  skip(samples: number): void {
    this.#n += samples;
  }

  /** How far `stampS` is from where the line expects the next stamp; 0 before the first. */
  residual(stampS: number): number {
    if (Number.isNaN(this.#t0)) return 0;
    return stampS - this.#t0 - (this.#w0 + this.#n * this.#w1);
  }

  next(stampS: number): number {
    if (this.#rateHz <= 0 || Number.isNaN(stampS)) return stampS;
    if (Number.isNaN(this.#t0)) {
      this.restart();
      // The baseline is taken off for accuracy only; liblsl takes the whole seconds.
      this.#t0 = Math.trunc(stampS);
    }
    const t = stampS - this.#t0;
    const u = this.#n++;
    const p0 = this.#p00 + u * this.#p01;
    const p1 = this.#p01 + u * this.#p11;
    const error = t - (this.#w0 + u * this.#w1);
    const gain = 1 / (this.#lambda + p0 + p1 * u);
    const forget = 1 / this.#lambda;
    this.#p00 = forget * (this.#p00 - p0 * p0 * gain);
    this.#p01 = forget * (this.#p01 - p0 * p1 * gain);
    this.#p11 = forget * (this.#p11 - p1 * p1 * gain);
    this.#w0 += error * (this.#p00 + this.#p01 * u);
    this.#w1 += error * (this.#p01 + this.#p11 * u);
    return this.#w0 + u * this.#w1 + this.#t0;
  }
}
