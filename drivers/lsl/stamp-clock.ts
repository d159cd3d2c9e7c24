/**
 * Puts a feed's stamps on this machine's clock. The first samples wait for the first answer of the
 * outlet's clock, at most a second: a stamp without its offset would be wrong by the difference of
 * two machines' uptimes.
 */
import type { LslClock } from './clock.js';
import type { DecodedSamples } from './decoder.js';
import { type PostprocessOptions, StampPostprocessor } from './postprocess.js';
import type { ClockEstimate } from './time-sync.js';

export interface StampClockOptions {
  readonly rateHz: number;
  readonly postprocess: PostprocessOptions;
  readonly sync: { readonly latest: ClockEstimate | undefined };
  readonly clock: LslClock;
  /** No stamp goes before this: order holds over a reconnect. */
  readonly notBeforeS: number;
  onSamples(samples: DecodedSamples, arrivalS: number): void;
}

const waitMaxMs = 1000;
const lookMs = 10;

export class StampClock {
  readonly #options: StampClockOptions;
  readonly #post: StampPostprocessor;
  #held: { samples: DecodedSamples; arrivalS: number }[] = [];
  #isOpen = false;
  #isReady: boolean;
  /** Where the outlet's clock does not answer: arrival minus stamp. */
  #fallbackS: number | undefined;
  #waitedMs = 0;
  #lastS: number;
  #cancel: () => void = () => undefined;

  constructor(options: StampClockOptions) {
    this.#options = options;
    this.#lastS = options.notBeforeS;
    this.#isReady = !options.postprocess.clocksync;
    this.#post = new StampPostprocessor(options.postprocess, {
      rateHz: options.rateHz,
      offsetS: () => this.#offsetS,
      now: () => options.clock.now(),
    });
  }

  /** Stamp of the last sample handed over, LSL seconds here. */
  get lastS(): number {
    return this.#lastS;
  }

  /** Hand over what was held and what comes. */
  open(): void {
    this.#isOpen = true;
    this.#look();
  }

  push(samples: DecodedSamples, arrivalS: number): void {
    if (this.#isOpen && this.#isReady) this.#hand(samples, arrivalS);
    else {
      this.#held.push({ samples, arrivalS });
      if (this.#isOpen) this.#look();
    }
  }

  /** Nothing more will come: hand over what waits, with what is known of the clock. */
  flush(): void {
    this.#cancel();
    if (this.#isOpen) this.#release();
    this.#held = [];
  }

  get #offsetS(): number {
    return this.#options.sync.latest?.offsetS ?? this.#fallbackS ?? 0;
  }

  #look(): void {
    this.#cancel();
    if (this.#isReady || this.#options.sync.latest !== undefined || this.#waitedMs >= waitMaxMs)
      this.#release();
    else {
      this.#cancel = this.#options.clock.setTimeout(() => {
        this.#waitedMs += lookMs;
        this.#look();
      }, lookMs);
    }
  }

  #release(): void {
    const [first] = this.#held;
    const stampS = first?.samples.stamps.at(-1);
    if (!this.#isReady && this.#options.sync.latest === undefined) {
      if (first === undefined) return;
      if (stampS !== undefined && !Number.isNaN(stampS)) this.#fallbackS = first.arrivalS - stampS;
    }
    this.#isReady = true;
    for (const { samples, arrivalS } of this.#held.splice(0)) this.#hand(samples, arrivalS);
  }

  #hand(samples: DecodedSamples, arrivalS: number): void {
    const { stamps } = samples;
    if (Number.isNaN(stamps[0] ?? 0)) this.#fill(stamps, arrivalS);
    this.#post.apply(stamps);
    const { monotonize } = this.#options.postprocess;
    if (monotonize && (stamps[0] ?? 0) < this.#options.notBeforeS)
      for (let i = 0; i < stamps.length; i++)
        stamps[i] = Math.max(stamps[i] ?? 0, this.#options.notBeforeS);
    this.#lastS = stamps.at(-1) ?? this.#lastS;
    this.#options.onSamples(samples, arrivalS);
  }

  /** A feed that begins with deduced stamps says nothing of its time: the arrival does. */
  #fill(stamps: Float64Array, arrivalS: number): void {
    let known = stamps.findIndex((one) => !Number.isNaN(one));
    const stepS = this.#options.rateHz > 0 ? 1 / this.#options.rateHz : 0;
    if (known < 0) {
      known = stamps.length - 1;
      stamps[known] = arrivalS - this.#offsetS;
    }
    for (let i = known - 1; i >= 0; i--) stamps[i] = (stamps[i + 1] ?? 0) - stepS;
  }
}
