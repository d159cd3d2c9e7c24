/**
 * A made-up amplifier: any channels and rate, seeded, with loss and gaps on request. The same seed
 * and options give the same samples, losses and markers, whatever the speed and the chunking.
 */
import type { Observable } from 'rxjs';
import { EegError } from '../../src/core/errors.js';
import { Rng } from '../../src/core/rng.js';
import type { DriverEvent, StreamInfo } from '../../src/core/stream.js';
import { type Clock, systemClock } from '../../src/core/time.js';
import type { Driver } from '../driver.js';
import { type PacedSource, type PacedStep, pace } from '../pace.js';
import { type SignalOptions, SyntheticSignal } from './signal.js';

export interface SyntheticOptions extends Partial<SignalOptions> {
  readonly id?: string;
  /** Ends after so many seconds; default never. */
  readonly durationS?: number;
  readonly chunkS?: number;
  /** Share of chunks that are lost, 0 to 1. */
  readonly loss?: number;
  /** Times without signal. */
  readonly gaps?: readonly { readonly atS: number; readonly durationS: number }[];
  readonly speed?: number;
  readonly ready?: () => Promise<void>;
  readonly clock?: Clock;
}

const defaults: SignalOptions = {
  rateHz: 250,
  labels: ['Fp1', 'Fp2', 'C3', 'C4', 'P7', 'P8', 'O1', 'O2'],
  seed: 1,
  backgroundUv: 10,
  alphaUv: 20,
  alphaHz: 10,
  blinksPerMinute: 12,
  blinkUv: 120,
  mainsHz: 50,
  mainsUv: 2,
  burstsPerMinute: 2,
  burstUv: 30,
};

export class SyntheticDriver implements Driver {
  readonly #options: SyntheticOptions;

  constructor(options: SyntheticOptions = {}) {
    this.#options = options;
  }

  /** Errors with EEG_USAGE where an option is out of range. */
  open(signal: AbortSignal): Observable<DriverEvent> {
    const { speed = 1, clock = systemClock, ready } = this.#options;
    const source = async (): Promise<PacedSource> => {
      const options = { ...defaults, ...this.#options };
      check(options, speed);
      return { steps: (startS) => steps(options, startS), close: () => {} };
    };
    return pace(source, signal, { clock, speed, ...(ready === undefined ? {} : { ready }) });
  }
}

type Complete = SyntheticOptions & SignalOptions;

function check(options: Complete, speed: number): void {
  const { rateHz, labels, loss = 0 } = options;
  const rules: readonly (readonly [boolean, string])[] = [
    [rateHz >= 1 && rateHz <= 100_000, `rateHz from 1 to 100000, came ${rateHz}`],
    [labels.length >= 1 && labels.length <= 1024, `1 to 1024 channels, came ${labels.length}`],
    [loss >= 0 && loss < 1, `loss from 0 to below 1, came ${loss}`],
    [speed > 0, `speed above 0, came ${speed}`],
  ];
  for (const [holds, rule] of rules) {
    if (!holds) throw new EegError('EEG_USAGE', `synthetic stream: expected ${rule}`);
  }
}

function* steps(options: Complete, startS: number): Generator<PacedStep> {
  const { rateHz, durationS = Infinity, loss = 0 } = options;
  const one = (dueS: number, ...events: DriverEvent[]): PacedStep => ({
    dueS,
    events: () => events,
  });
  yield one(0, { kind: 'info', info: describe(options) }, { kind: 'status', state: 'streaming' });
  const source = new SyntheticSignal(options);
  const luck = new Rng(options.seed ^ 0x2545f491);
  const size = Math.max(1, Math.round((options.chunkS ?? 0.04) * rateHz));
  const total = Math.round(durationS * rateHz);
  // Loss strikes 40 ms at a time whatever the chunks are, so that it is the same for a seed.
  const cell = Math.max(1, Math.round(0.04 * rateHz));
  let struck = { cell: -1, lost: false };
  const isLost = (frame: number): boolean => {
    const index = Math.floor(frame / cell);
    while (struck.cell < index) struck = { cell: struck.cell + 1, lost: luck.uniform() < loss };
    const timeS = frame / rateHz;
    const inGap = options.gaps?.some((g) => timeS >= g.atS && timeS < g.atS + g.durationS);
    return struck.lost || inGap === true;
  };
  let missing = 0;
  for (let index = 0; index < total; ) {
    const count = Math.min(size, total - index);
    const { data, occasions } = source.next(count);
    const dueS = (index + count) / rateHz;
    const events: ((arrivalS: number) => DriverEvent)[] = [];
    for (const { frame, text, durationS: lengthS } of occasions) {
      const stampS = startS + frame / rateHz;
      events.push(() => ({ kind: 'marker', marker: { stampS, text, durationS: lengthS } }));
    }
    for (let from = 0; from < count; ) {
      const lost = isLost(index + from);
      let to = from + 1;
      while (to < count && isLost(index + to) === lost) to++;
      if (lost) {
        missing += to - from;
      } else {
        const gone = missing;
        if (gone > 0) events.push(() => ({ kind: 'gap', missing: gone, reason: 'lost' }));
        missing = 0;
        const part = { index: index + from, frames: to - from, startS, rateHz };
        const values = data.slice(from * options.labels.length, to * options.labels.length);
        events.push((arrivalS) => chunkEvent(part, values, arrivalS));
      }
      from = to;
    }
    yield { dueS, events: (arrivalS) => events.map((event) => event(arrivalS)) };
    index += count;
  }
  yield one(total / rateHz, { kind: 'status', state: 'ended' });
}

function chunkEvent(
  part: { index: number; frames: number; startS: number; rateHz: number },
  data: Float32Array,
  arrivalS: number,
): DriverEvent {
  const { index, frames, startS, rateHz } = part;
  const stamps = Float64Array.from({ length: frames }, (_, i) => startS + (index + i) / rateHz);
  return { kind: 'chunk', chunk: { index, frames, data, stamps, arrivalS } };
}

function describe(options: Complete): StreamInfo {
  const id = options.id ?? 'synthetic';
  return {
    id,
    name: `Synthetic ${options.labels.length} channels`,
    driver: 'synthetic',
    rateHz: options.rateHz,
    channels: options.labels.map((label) => ({ label, kind: 'eeg', unit: 'uV' })),
    sourceId: `eegd-synthetic-${id}-${options.seed}`,
  };
}
