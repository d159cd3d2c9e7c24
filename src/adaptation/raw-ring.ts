/** What a stream's driver sent in the last minute, as it came, while somebody teaches on it. */
import type { DriverEvent } from '../core/stream.js';
import type { RawSignal } from './trial-signal.js';

const keptS = 75;
/** Signal before a trial that is stored with it, s. */
const leadS = 4;

interface Piece {
  readonly index: number;
  readonly frames: number;
  readonly data: Float32Array;
}

export class RawRing {
  readonly #framesMax: number;
  readonly #leadFrames: number;
  readonly #pieces: Piece[] = [];

  constructor(rateHz: number) {
    this.#framesMax = Math.ceil(keptS * rateHz);
    this.#leadFrames = Math.round(leadS * rateHz);
  }

  take(event: DriverEvent): void {
    // Connected anew, frames may be counted from 0 again.
    if (event.kind === 'info') this.#pieces.length = 0;
    if (event.kind !== 'chunk' || event.chunk.frames === 0) return;
    const { index, frames, data } = event.chunk;
    this.#pieces.push({ index, frames, data: data.slice() });
    const oldest = index + frames - this.#framesMax;
    while (this.#pieces[0] !== undefined && this.#pieces[0].index + this.#pieces[0].frames < oldest)
      this.#pieces.shift();
  }

  /** Frames `start .. end` and what is held of the seconds before; undefined where none is. */
  cut(start: number, end: number): RawSignal | undefined {
    const first = Math.max(start - this.#leadFrames, this.#pieces[0]?.index ?? start);
    const touched = this.#pieces.filter(
      ({ index, frames }) => index < end && index + frames > first,
    );
    const [one] = touched;
    if (one === undefined || first > start) return undefined;
    const channels = one.data.length / one.frames;
    const data = new Float32Array((end - first) * channels).fill(Number.NaN);
    for (const piece of touched) {
      const from = Math.max(first, piece.index);
      const to = Math.min(end, piece.index + piece.frames);
      const values = piece.data.subarray(
        (from - piece.index) * channels,
        (to - piece.index) * channels,
      );
      data.set(values, (from - first) * channels);
    }
    return { frames: end - first, lead: start - first, data };
  }
}
