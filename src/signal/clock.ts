/**
 * Time of every source sample, from stamps or arrivals that jitter: a recursive least-squares
 * line of time over sample index with a half-life of 90 s (the dejitter of liblsl). Where the
 * source stamps, every frame is an observation; otherwise the last frame of every chunk, with its
 * arrival. Times are LSL seconds; the wall clock is never read.
 */

const halfLifeS = 90;
/** A stamp further than this from the line begins a new line. */
const jumpS = 1;
/** Arrivals can be late (a stopped process, a full buffer) but not early: lateness is cut. */
const latenessMaxS = 0.05;
/** Frames may arrive late in one burst; only lateness that lasts this long begins a new line. */
const lateForS = 5;
/** Seconds of signal before the slope is called the stream's rate. */
const rateAfterS = 2;

export class SampleClock {
  readonly #nominalHz: number;
  readonly #forget: number;
  #line: Line;
  #lateFrames = 0;
  #lastStampS = Number.NEGATIVE_INFINITY;

  constructor(nominalHz: number) {
    this.#nominalHz = nominalHz;
    this.#forget = 2 ** (-1 / (nominalHz * halfLifeS));
    this.#line = new Line(nominalHz);
  }

  /** Estimated rate in Hz; 0 until 2 s were seen. */
  get rateHz(): number {
    const { seen, first, last, slope } = this.#line;
    return seen > 1 && last - first >= rateAfterS * this.#nominalHz && slope > 0 ? 1 / slope : 0;
  }

  /** Frames `index .. index + frames` were made at `stamps`. */
  observeStamps(index: number, frames: number, stamps: Float64Array): void {
    for (let f = 0; f < frames; f++) {
      const stampS = stamps[f];
      if (!Number.isFinite(stampS)) continue;
      const line = this.#line;
      if (line.seen > 0 && Math.abs(stampS - line.at(index + f)) > jumpS) this.#begin();
      this.#line.add(index + f, stampS, this.#forget);
    }
  }

  /** The `frames` frames before `next` arrived by `arrivalS`. */
  observeArrival(next: number, frames: number, arrivalS: number): void {
    if (!Number.isFinite(arrivalS)) return;
    const line = this.#line;
    const lateS = line.seen === 0 ? 0 : arrivalS - line.at(next - 1);
    this.#lateFrames = lateS > jumpS ? this.#lateFrames + frames : 0;
    if (lateS < -jumpS || this.#lateFrames > lateForS * this.#nominalHz) this.#begin(true);
    else if (line.seen === 0) line.trustRate(this.#nominalHz);
    const lateMost = this.#line.seen === 0 ? 0 : this.#line.at(next - 1) + latenessMaxS;
    const observedS = this.#line.seen === 0 ? arrivalS : Math.min(arrivalS, lateMost);
    this.#line.add(next - 1, observedS, this.#forget ** frames);
  }

  /** Time of a (fractional) source index on the line as it stands; NaN before any observation. */
  at(index: number): number {
    return this.#line.seen === 0 ? Number.NaN : this.#line.at(index);
  }

  /** As `at`, but never before a stamp already given out. */
  stamp(index: number): number {
    const stampS = this.at(index);
    if (stampS > this.#lastStampS) this.#lastStampS = stampS;
    return this.#lastStampS;
  }

  #begin(trustRate = false): void {
    this.#line = new Line(this.#nominalHz);
    this.#lateFrames = 0;
    if (trustRate) this.#line.trustRate(this.#nominalHz);
  }
}

/** time = origin + w0 + w1 * (index - first), by recursive least squares with forgetting. */
class Line {
  seen = 0;
  first = 0;
  last = 0;
  #originS = 0;
  #w0 = 0;
  #w1: number;
  #p00 = 1e10;
  #p01 = 0;
  #p11 = 1e10;

  constructor(nominalHz: number) {
    this.#w1 = 1 / nominalHz;
  }

  get slope(): number {
    return this.#w1;
  }

  /** Few observations, each some 5 ms off: expect the nominal rate to 0.1 %. */
  trustRate(nominalHz: number): void {
    this.#p11 = (1e-3 / nominalHz / 5e-3) ** 2;
  }

  at(index: number): number {
    return this.#w0 + this.#w1 * (index - this.first) + this.#originS;
  }

  add(index: number, stampS: number, forget: number): void {
    if (this.seen === 0) {
      this.first = index;
      this.#originS = Math.trunc(stampS);
    }
    this.seen++;
    this.last = index;
    const u = index - this.first;
    const p0 = this.#p00 + u * this.#p01;
    const p1 = this.#p01 + u * this.#p11;
    const error = stampS - this.#originS - (this.#w0 + u * this.#w1);
    const gain = 1 / (forget + p0 + p1 * u);
    this.#p00 = (this.#p00 - p0 * p0 * gain) / forget;
    this.#p01 = (this.#p01 - p0 * p1 * gain) / forget;
    this.#p11 = (this.#p11 - p1 * p1 * gain) / forget;
    this.#w0 += error * (this.#p00 + this.#p01 * u);
    this.#w1 += error * (this.#p01 + this.#p11 * u);
  }
}
