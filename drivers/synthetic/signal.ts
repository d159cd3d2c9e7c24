/**
 * Made-up EEG, the same for a seed whatever the chunking: 1/f background, posterior alpha that
 * comes when the eyes close, blinks, mains, muscle bursts. For demonstrations and tests; it
 * resembles EEG, and nothing can be learnt from it about brains.
 */
import { Rng } from '../../src/core/rng.js';

export interface SignalOptions {
  readonly rateHz: number;
  readonly labels: readonly string[];
  readonly seed: number;
  /** Standard deviation of the background. */
  readonly backgroundUv: number;
  /** Amplitude of alpha at its strongest. */
  readonly alphaUv: number;
  readonly alphaHz: number;
  readonly blinksPerMinute: number;
  readonly blinkUv: number;
  readonly mainsHz: number;
  readonly mainsUv: number;
  readonly burstsPerMinute: number;
  readonly burstUv: number;
}

export interface Occasion {
  readonly frame: number;
  readonly text: 'eyes closed' | 'eyes open' | 'blink' | 'muscle';
  readonly durationS: number;
}

interface Channel {
  /** State and coefficient of each pole of the 1/f noise. */
  readonly poles: Float64Array;
  readonly alphaGain: number;
  readonly blinkGain: number;
  readonly mainsGain: number;
}

const blinkS = 0.35;
/** Share of the background all channels have in common. */
const sharedShare = 0.5;

export class SyntheticSignal {
  readonly #options: SignalOptions;
  readonly #noise: Rng;
  readonly #events: Rng;
  readonly #decay: Float64Array;
  readonly #drive: Float64Array;
  readonly #shared: Float64Array;
  readonly #channels: Channel[];
  #frame = 0;
  #alpha: [number, number] = [0, 0];
  #alphaLevel = 0;
  #isClosed = false;
  #nextSwitch: number;
  #nextBlink: number;
  #nextBurst: number;
  #burst = { end: 0, channel: 0 };
  #blink = -Infinity;

  constructor(options: SignalOptions) {
    const { rateHz, labels, seed } = options;
    this.#options = options;
    this.#noise = new Rng(seed);
    this.#events = new Rng(seed ^ 0x5bd1e995);
    // Poles an octave apart, each of the same variance: their sum falls as 1/f between them.
    const count = Math.max(1, Math.floor(Math.log2(rateHz / 2 / 0.25)));
    this.#decay = Float64Array.from({ length: count }, (_, k) =>
      Math.exp((-2 * Math.PI * 0.25 * 2 ** k) / rateHz),
    );
    this.#drive = this.#decay.map((a) => Math.sqrt((1 - a * a) / count));
    this.#shared = new Float64Array(count);
    this.#channels = labels.map((label) => ({
      poles: new Float64Array(count),
      alphaGain: /^(O|PO|P\d|P[zZ]|I[zZ])/.test(label) ? 1 : /^(Fp|AF|F)/i.test(label) ? 0.15 : 0.4,
      blinkGain: /^Fp/i.test(label) ? 1 : /^AF/i.test(label) ? 0.7 : /^F/i.test(label) ? 0.3 : 0.05,
      mainsGain: 0.5 + this.#events.uniform(),
    }));
    this.#nextSwitch = this.#after(4, 8);
    this.#nextBlink = this.#every(options.blinksPerMinute);
    this.#nextBurst = this.#every(options.burstsPerMinute);
  }

  /** The next frames, frame-major, and what begins in them. */
  next(frames: number): { data: Float32Array; occasions: Occasion[] } {
    const width = this.#channels.length;
    const data = new Float32Array(frames * width);
    const occasions: Occasion[] = [];
    for (let i = 0; i < frames; i++, this.#frame++) {
      this.#happen(occasions);
      this.#sample(data, i * width);
    }
    return { data, occasions };
  }

  #happen(occasions: Occasion[]): void {
    const { rateHz, blinksPerMinute, burstsPerMinute } = this.#options;
    const frame = this.#frame;
    if (frame >= this.#nextSwitch) {
      this.#isClosed = !this.#isClosed;
      this.#nextSwitch = this.#after(6, 14);
      const durationS = (this.#nextSwitch - frame) / rateHz;
      occasions.push({ frame, text: this.#isClosed ? 'eyes closed' : 'eyes open', durationS });
    }
    if (frame >= this.#nextBlink) {
      this.#nextBlink = this.#every(blinksPerMinute);
      if (!this.#isClosed) {
        this.#blink = frame;
        occasions.push({ frame, text: 'blink', durationS: blinkS });
      }
    }
    if (frame >= this.#nextBurst) {
      this.#nextBurst = this.#every(burstsPerMinute);
      const durationS = 0.5 + this.#events.uniform();
      const channel = this.#events.below(this.#channels.length);
      this.#burst = { end: frame + Math.round(durationS * rateHz), channel };
      occasions.push({ frame, text: 'muscle', durationS });
    }
  }

  #sample(data: Float32Array, at: number): void {
    const o = this.#options;
    const timeS = this.#frame / o.rateHz;
    const shared = this.#pink(this.#shared) * Math.sqrt(sharedShare);
    const alpha = this.#nextAlpha() * o.alphaUv;
    const mains = Math.sin(2 * Math.PI * o.mainsHz * timeS) * o.mainsUv;
    const age = (this.#frame - this.#blink) / o.rateHz;
    const blink = age < blinkS ? Math.sin((Math.PI * age) / blinkS) ** 2 * o.blinkUv : 0;
    for (const [c, channel] of this.#channels.entries()) {
      const own = this.#pink(channel.poles) * Math.sqrt(1 - sharedShare);
      // Drawn whether it is used or not, so that one channel's burst changes nothing else.
      const muscle = this.#noise.normal();
      const isBurst = c === this.#burst.channel && this.#frame < this.#burst.end;
      data[at + c] =
        (shared + own) * o.backgroundUv +
        alpha * channel.alphaGain +
        blink * channel.blinkGain +
        mains * channel.mainsGain +
        (isBurst ? muscle * o.burstUv : 0);
    }
  }

  #pink(poles: Float64Array): number {
    let sum = 0;
    for (let k = 0; k < poles.length; k++) {
      const value =
        (poles[k] as number) * (this.#decay[k] as number) +
        this.#noise.normal() * (this.#drive[k] as number);
      poles[k] = value;
      sum += value;
    }
    return sum;
  }

  /** Noise through a resonator: alpha waxes and wanes by itself, and fades in as eyes close. */
  #nextAlpha(): number {
    const { rateHz, alphaHz } = this.#options;
    const r = Math.exp((-Math.PI * 1.2) / rateHz);
    const angle = (2 * Math.PI * alphaHz) / rateHz;
    const [re, im] = this.#alpha;
    const drive = Math.sqrt(1 - r * r);
    this.#alpha = [
      r * (re * Math.cos(angle) - im * Math.sin(angle)) + this.#noise.normal() * drive,
      r * (re * Math.sin(angle) + im * Math.cos(angle)) + this.#noise.normal() * drive,
    ];
    const target = this.#isClosed ? 1 : 0.1;
    this.#alphaLevel += (target - this.#alphaLevel) / (0.3 * rateHz);
    return this.#alpha[0] * this.#alphaLevel;
  }

  #after(minS: number, maxS: number): number {
    const seconds = minS + this.#events.uniform() * (maxS - minS);
    return this.#frame + Math.round(seconds * this.#options.rateHz);
  }

  /** Intervals of a Poisson process, at least 1 s. */
  #every(perMinute: number): number {
    if (!(perMinute > 0)) return Infinity;
    const seconds = Math.max(1, (-Math.log(1 - this.#events.uniform()) * 60) / perMinute);
    return this.#frame + Math.round(seconds * this.#options.rateHz);
  }
}
