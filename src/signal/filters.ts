/**
 * Recursive filters as second-order sections: Butterworth designs by the bilinear transform with
 * pre-warping, the notch of Orfanidis (as `scipy.signal.iirnotch`), steady-state starts, and the
 * streaming bank that runs them. States are float64; sections run in direct form II transposed.
 */

import type { Channels, Rows } from './rows.js';

/** `[sections, 5]`: b0 b1 b2 a1 a2 of each section, a0 = 1. */
export type Sections = Float64Array;

/** Butterworth sections of an even `order`; `cutoffHz` is the -3 dB point. */
export function butterworth(
  pass: 'low' | 'high',
  order: number,
  cutoffHz: number,
  rateHz: number,
): Sections {
  const k = Math.tan((Math.PI * cutoffHz) / rateHz);
  const sections = new Float64Array((order / 2) * 5);
  for (let i = 0; i < order / 2; i++) {
    // Pole pairs in order of rising quality, as SciPy orders them.
    const damping = 2 * Math.cos((Math.PI * (order - 1 - 2 * i)) / (2 * order));
    const norm = 1 / (1 + damping * k + k * k);
    const b0 = pass === 'low' ? k * k * norm : norm;
    const b1 = pass === 'low' ? 2 * b0 : -2 * b0;
    sections.set([b0, b1, b0, 2 * (k * k - 1) * norm, (1 - damping * k + k * k) * norm], i * 5);
  }
  return sections;
}

/** A notch of -3 dB bandwidth `centreHz / quality`. */
export function notch(centreHz: number, quality: number, rateHz: number): Sections {
  const w0 = (2 * Math.PI * centreHz) / rateHz;
  const gain = 1 / (1 + Math.tan(w0 / quality / 2));
  const b1 = -2 * gain * Math.cos(w0);
  return new Float64Array([gain, b1, gain, b1, 2 * gain - 1]);
}

/** Complex response `[re, im]` of the sections at `hz`. */
export function response(sections: Sections, hz: number, rateHz: number): [number, number] {
  const w = (2 * Math.PI * hz) / rateHz;
  let re = 1;
  let im = 0;
  for (let s = 0; s < sections.length; s += 5) {
    const [b0, b1, b2, a1, a2] = sections.subarray(s, s + 5) as unknown as number[];
    const nr = b0 + b1 * Math.cos(w) + b2 * Math.cos(2 * w);
    const ni = -b1 * Math.sin(w) - b2 * Math.sin(2 * w);
    const dr = 1 + a1 * Math.cos(w) + a2 * Math.cos(2 * w);
    const di = -a1 * Math.sin(w) - a2 * Math.sin(2 * w);
    const d = dr * dr + di * di;
    const qr = (nr * dr + ni * di) / d;
    const qi = (ni * dr - nr * di) / d;
    [re, im] = [re * qr - im * qi, re * qi + im * qr];
  }
  return [re, im];
}

/** Group delay in seconds at `hz`: the slope of the phase, by a central difference. */
export function groupDelayS(sections: Sections, hz: number, rateHz: number): number {
  const stepHz = 1e-3;
  const [ar, ai] = response(sections, hz - stepHz, rateHz);
  const [br, bi] = response(sections, hz + stepHz, rateHz);
  const turn = Math.atan2(bi * ar - br * ai, br * ar + bi * ai);
  return -turn / (4 * Math.PI * stepHz);
}

/** One cascade for many channels, each with a state of its own. */
export class FilterBank {
  readonly #sections: Sections;
  readonly #channels: number;
  /** `[sections, channels, 2]`. */
  readonly #state: Float64Array;
  /** `[sections, 2]`: the state after an endless input of 1 (`scipy.signal.sosfilt_zi`). */
  readonly #steady: Float64Array;

  constructor(sections: Sections, channels: number) {
    this.#sections = sections;
    this.#channels = channels;
    this.#steady = steadyState(sections);
    this.#state = new Float64Array(channels * this.#steady.length);
  }

  /** Put a channel into the state an endless input of `level` leaves. */
  restart(channel: number, level: number): void {
    for (let i = 0; i < this.#steady.length; i += 2) {
      const at = i * this.#channels + 2 * channel;
      this.#state[at] = this.#steady[i] * level;
      this.#state[at + 1] = this.#steady[i + 1] * level;
    }
  }

  /** Filter the first `samples` values of some channels' rows of `signal` in place. */
  run({ from, to }: Channels, { data, width }: Rows, samples: number): void {
    const sections = this.#sections;
    const state = this.#state;
    for (let s = 0, base = 0; s < sections.length; s += 5, base += 2 * this.#channels) {
      const b0 = sections[s];
      const b1 = sections[s + 1];
      const b2 = sections[s + 2];
      const a1 = sections[s + 3];
      const a2 = sections[s + 4];
      // Channel by channel: with few samples the processor overlaps what does not depend.
      for (let c = from; c < to; c++) {
        const at = base + 2 * c;
        let z0 = state[at];
        let z1 = state[at + 1];
        for (let i = c * width, end = i + samples; i < end; i++) {
          const x = data[i];
          const y = b0 * x + z0;
          z0 = b1 * x - a1 * y + z1;
          z1 = b2 * x - a2 * y;
          data[i] = y;
        }
        state[at] = z0;
        state[at + 1] = z1;
      }
    }
  }
}

function steadyState(sections: Sections): Float64Array {
  const steady = new Float64Array((sections.length / 5) * 2);
  let x = 1;
  for (let s = 0, at = 0; s < sections.length; s += 5, at += 2) {
    const [b0, b1, b2, a1, a2] = sections.subarray(s, s + 5) as unknown as number[];
    const y = (x * (b0 + b1 + b2)) / (1 + a1 + a2);
    steady[at + 1] = b2 * x - a2 * y;
    steady[at] = b1 * x - a1 * y + steady[at + 1];
    x = y;
  }
  return steady;
}
