/**
 * The board's own milliseconds (time stamping on) as LSL seconds. A packet can be late, never
 * early, so the offset is the least of arrival minus board time over the last half minute.
 */

const sliceS = 5;
const slices = 6;
/** A stamp that disagrees with arrival by more is damaged, unless it keeps doing so. */
const disagreeS = 2;
const strikesMax = 5;

export class BoardClock {
  readonly #least = new Float64Array(slices).fill(Number.POSITIVE_INFINITY);
  #slice = -1;
  #turns = 0;
  #lastMs = -1;
  #lastBoardS = Number.NaN;
  #lastArrivalS = 0;
  #lastStampS = Number.NEGATIVE_INFINITY;
  #strikes = 0;

  /** Stamp of a packet whose uint32 big-endian milliseconds lie at `at`. Never runs backwards. */
  stamp(bytes: Uint8Array, at: number, arrivalS: number): number {
    const high = ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
    const low = ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number);
    const ms = high * 65536 + low;
    // After 49.7 days the counter begins again.
    const turns = this.#lastMs - ms > 2 ** 31 ? this.#turns + 1 : this.#turns;
    const boardS = (ms + turns * 2 ** 32) / 1000;
    const drift = boardS - this.#lastBoardS - (arrivalS - this.#lastArrivalS);
    if (Math.abs(drift) > disagreeS && ++this.#strikes < strikesMax) return this.hold(arrivalS);
    if (this.#strikes >= strikesMax) this.#least.fill(Number.POSITIVE_INFINITY);
    this.#strikes = 0;
    this.#turns = turns;
    this.#lastMs = ms;
    this.#lastBoardS = boardS;
    this.#lastArrivalS = arrivalS;
    return this.#advance(boardS + this.#offset(arrivalS - boardS, arrivalS));
  }

  /** Stamp of a packet that carries none: now, at the latest. */
  hold(arrivalS: number): number {
    return Number.isFinite(this.#lastStampS) ? this.#lastStampS : this.#advance(arrivalS);
  }

  #offset(difference: number, arrivalS: number): number {
    const slice = Math.floor(arrivalS / sliceS);
    // Slices passed over in a silence hold nothing of this half minute.
    for (let s = Math.max(this.#slice + 1, slice - slices + 1); s <= slice; s++) {
      this.#least[s % slices] = Number.POSITIVE_INFINITY;
    }
    this.#slice = slice;
    const at = slice % slices;
    this.#least[at] = Math.min(this.#least[at] as number, difference);
    let least = Number.POSITIVE_INFINITY;
    for (const value of this.#least) least = Math.min(least, value);
    return least;
  }

  #advance(stampS: number): number {
    this.#lastStampS = Math.max(this.#lastStampS, stampS);
    return this.#lastStampS;
  }
}
